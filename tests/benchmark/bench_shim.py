# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the register shim costs a guest's system call, on a VM host where kernels run with it and without it.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_shim.py [ROUNDS]`.
Two instances of each old kernel take turns in one run, one with the shim. The figures to quote are the ratios of the
medians. On a CPU with AMX a kernel without the shim does not run, so the state that is copied is that of a CPU without.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from support import amx, kernels, uml

CALLS = 20_000  # dd reads and writes one byte each time
COMMAND = f"dd if=/dev/zero of=/dev/null bs=1 count={CALLS // 2} 2>/dev/null"


def seconds(guest: uml.Instance) -> float:
    """Return what the calls take; the agent's own part is some 50 ms."""
    begin = time.monotonic()
    guest.guest(COMMAND, 300)
    return time.monotonic() - begin


def measure(series: str, folder: Path, rounds: int) -> None:
    """Print one row."""
    ways = {"with": (amx.shim(),), "without": ()}
    with contextlib.ExitStack() as stack:
        guests = {}
        for name, preload in ways.items():
            guests[name] = uml.launch(name, folder, kernel=kernels.path(series), preload=preload)
            stack.callback(guests[name].close)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _round in range(rounds + 1):
            for name, guest in guests.items():
                taken[name].append(seconds(guest))
    middle = {name: statistics.median(values[1:]) / CALLS * 1e6 for name, values in taken.items()}
    ratio = middle["with"] / middle["without"]
    print(
        f"{series:5} without {middle['without']:.1f} us  with {middle['with']:.1f} us a system call  ratio {ratio:.2f}"
    )


def main() -> None:
    """Print a row for each kernel that may need the shim."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="uml.") as folder:
        for series in ("6.1", "6.12"):
            measure(series, Path(folder), rounds)


if __name__ == "__main__":
    main()
