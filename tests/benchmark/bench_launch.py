# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `instance` costs beside a bare shell that starts the same kernel, and what ten at once cost beside one.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_launch.py [ROUNDS]`.
Each way takes turns in one run, from the start of the kernel until its console answers and knows all its devices. The
figures to quote are the ratios of the medians.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from support import amx, guest, mconsole, uml
from support.run_operation import operate
from support.wait import wait_until

MANY = 10


def names(count: int) -> list[str]:
    """Return umids."""
    return [f"n{number}" for number in range(count)]


def ours(folder: Path, count: int) -> None:
    """Start instances by the operation, as one task does it."""
    root = {"initrd": str(guest.initrd())}
    done = operate("instance", umids=names(count), uml_dir=str(folder), memory="64M", root=root)
    if done.get("failed"):
        raise SystemExit(done["msg"])


def bare(folder: Path, count: int) -> None:
    """Start the same kernels by a shell, and ask until all answer."""
    shared = ["mem=64M", f"initrd={guest.initrd()}", "root=/dev/ram0", "rdinit=/init", "ubd0c=/dev/null", "con=null"]
    words = [
        [str(uml.kernel_path()), f"umid={name}", f"uml_dir={folder}", *shared, "ssl=null"] for name in names(count)
    ]
    script = "\n".join(f"setsid {shlex.join(each)} con0=null,fd:1 </dev/null >/dev/null 2>&1 &" for each in words)
    subprocess.run(["sh", "-c", script], env={**os.environ, **amx.by_hand()}, check=True)
    for name in names(count):
        wait_until(lambda name=name: is_up(folder / name / "mconsole"), 60, f"{name} answers")


def is_up(console: Path) -> bool:
    """Return whether a console answers, and knows all its devices, which `instance` waits for."""
    return mconsole.answers(console) and mconsole.request(console, "config con1")[0] == 0


def seconds(start: Callable[[Path, int], None], count: int) -> float:
    """Return what one start takes, and end what was started."""
    with tempfile.TemporaryDirectory(prefix="uml.") as folder, contextlib.ExitStack() as stack:
        ways = ["terminate", "kill"]
        stack.callback(lambda: operate("instance", umids=["*"], uml_dir=folder, state="absent", stop_methods=ways))
        begin = time.monotonic()
        start(Path(folder), count)
        return time.monotonic() - begin


def main() -> None:
    """Print the ratios."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cases = {"ours": (ours, 1), "shell": (bare, 1), "ours, ten": (ours, MANY), "shell, ten": (bare, MANY)}
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _round in range(rounds + 1):
        for name, (start, count) in cases.items():
            taken[name].append(seconds(start, count))
    middle = {name: statistics.median(each[1:]) for name, each in taken.items()}
    print("  ".join(f"{name} {each:.2f} s" for name, each in middle.items()), "(medians)")
    print(f"ours / shell          {middle['ours'] / middle['shell']:.2f}")
    print(f"ours / shell, ten     {middle['ours, ten'] / middle['shell, ten']:.2f}")
    print(f"ten at once / one     {middle['ours, ten'] / middle['ours']:.2f}")


if __name__ == "__main__":
    main()
