# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Import an artifact as Galaxy does, and fail on any warning: galaxy_import.py ARTIFACT."""

from __future__ import annotations

import re
import subprocess
import sys

DONE = "Importer processing completed successfully"
COMPLAINT = re.compile(r"^(WARNING|ERROR)|not found, skipping", re.MULTILINE)


def main(artifact: str) -> int:
    """Print what galaxy-importer says; return the exit status."""
    command = [sys.executable, "-m", "galaxy_importer.main", artifact]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    return done.returncode or DONE not in done.stdout or bool(COMPLAINT.search(done.stdout))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
