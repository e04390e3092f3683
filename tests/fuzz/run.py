# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give any number of inputs to a part of the collection, and check what must hold.

    .venv/bin/python tests/fuzz/run.py wire 10000000 [SEED]

Each thousand has its own source, so that a finding is printed with the command that repeats it:

    .venv/bin/python tests/fuzz/run.py wire 1000 SEED
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from fuzz.invariants import PARTS

SHARE = 1000  # inputs of one source
TELL = 30.0  # seconds between signs of life


def main(part: str, count: int, seed: int) -> int:
    """Run, and return the status: 1 when something was found."""
    check, began = PARTS[part], time.monotonic()
    told = began
    for done in range(0, count, SHARE):
        source = random.Random(seed + done // SHARE)
        for number in range(min(SHARE, count - done)):
            try:
                check(source)
            except Exception as err:
                print(f"{part}: input {number + 1} of seed {seed + done // SHARE}: {err!r}", flush=True)
                raise
        if time.monotonic() - told > TELL:
            told = time.monotonic()
            print(f"{part}: {done + SHARE} inputs in {told - began:.0f} s", flush=True)
    print(f"{part}: {count} inputs from seed {seed} in {time.monotonic() - began:.0f} s, nothing found", flush=True)
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in PARTS:
        sys.exit(f"usage: {sys.argv[0]} {{{','.join(PARTS)}}} COUNT [SEED]")
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 1))
