# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install pip into the environments of ansible-test from Python's own store, without a further host.

ansible-test makes environments without pip and runs a program called get_pip_VERSION.py in each, with the environment's
Python. Where that program is in its cache, it is not downloaded.
"""

import subprocess
import sys


def main() -> int:
    """Install pip, then what the arguments name; return the exit status."""
    # A separate process: in this one, pip would afterwards ignore the machine's configuration.
    subprocess.check_call([sys.executable, "-m", "ensurepip"])
    words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
    return subprocess.call([sys.executable, "-m", "pip", "install", "--upgrade", *words])


if __name__ == "__main__":
    sys.exit(main())
