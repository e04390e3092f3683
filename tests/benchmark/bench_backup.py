# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a backup pauses an instance, beside a bare copy of the same file.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_backup.py [ROUNDS]`.
The guest has a disk of 256 MB with 64 MB in it; a backup and `cp --sparse=always` of its file take turns. The figure to
quote is the ratio of the medians of the pause and of the copy.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from support import uml
from support.run_operation import operate

SIZE, FILLED = 256 << 20, 64 << 20


def backup(folder: Path) -> float:
    """Return how long a backup paused the instance, in seconds."""
    done = operate("disk_backup", umid="n0", uml_dir=str(folder), dest=str(folder / "copy"), overwrite=True)
    if done.get("failed"):
        raise SystemExit(done["msg"])
    return float(done["pause"])


def bare(folder: Path) -> float:
    """Return what the copy alone takes."""
    begin = time.monotonic()
    subprocess.run(["cp", "--sparse=always", folder / "disk", folder / "plain"], check=True)
    return time.monotonic() - begin


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round, without the one that warms up."""
    with tempfile.TemporaryDirectory(prefix="uml.") as name:
        folder = Path(name)
        (folder / "disk").write_bytes(os.urandom(FILLED))
        os.truncate(folder / "disk", SIZE)
        instance = uml.launch("n0", folder, f"ubd1={folder}/disk")
        try:
            pairs = [(backup(folder), bare(folder)) for _round in range(rounds + 1)][1:]
        finally:
            instance.close()
    return {"pause": [pair[0] for pair in pairs], "cp": [pair[1] for pair in pairs]}


def main() -> None:
    """Print the ratio."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instance ends with us
    taken = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    middle = {name: statistics.median(each) for name, each in taken.items()}
    print(f"pause {middle['pause']:.3f} s, longest {max(taken['pause']):.3f} s; cp {middle['cp']:.3f} s (medians)")
    print(f"pause / cp            {middle['pause'] / middle['cp']:.2f}")


if __name__ == "__main__":
    main()
