# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a hundred clones of one image take to be up, beside a shell loop that starts the same kernels.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_clones.py [COUNT [ROUNDS]]`
Both ways take turns. A clone is up when its guest says so, at the end of its own start. The figures to quote are the
medians, their ratio, and the largest copy-on-write file.
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

from support import amx, guest, kernels, uml
from support.run_operation import operate
from support.wait import wait_until

KERNEL = str(kernels.path("7.2"))


def names(count: int) -> list[str]:
    """Return umids."""
    return [f"n{number}" for number in range(count)]


def ours(folder: Path, count: int) -> None:
    """Start clones by the operation, as one task does it."""
    root = {"image": str(folder / "guest.img"), "cow": f"{folder}/{{umid}}.cow", "init": "/init"}
    words = {"hostname": "{umid}", "systemd.machine_id": "{machine_id}"}
    done = operate(
        "instance",
        umids=names(count),
        uml_dir=str(folder),
        kernel=KERNEL,
        memory="64M",
        root=root,
        kernel_args=words,
        memory_budget="ignore",
    )
    if done.get("failed"):
        raise SystemExit(done["msg"])


def bare(folder: Path, count: int) -> None:
    """Start the same kernels by a shell."""
    shared = ["mem=64M", "root=/dev/ubda", "rw", "init=/init", "con=null", "ssl=null", "con0=null,fd:1"]
    lines = []
    for name in names(count):
        own = [f"umid={name}", f"uml_dir={folder}", f"hostname={name}", f"ubd0={folder}/{name}.cow,{folder}/guest.img"]
        lines.append(f"setsid {shlex.join([KERNEL, *own, *shared])} </dev/null >{folder}/{name}.log 2>&1 &")
    with uml.fixed_addresses():
        subprocess.run(["sh", "-c", "\n".join(lines)], env={**os.environ, **amx.by_hand()}, check=True)


def wait_up(folder: Path, count: int) -> None:
    """Wait until every guest has said that it is up."""
    missing = set(names(count))

    def all_up() -> bool:
        missing.difference_update(name for name in [*missing] if guest.UP in log(folder / f"{name}.log"))
        return not missing

    wait_until(all_up, 300, "every clone is up")


def log(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def measure(start: Callable[[Path, int], None], count: int) -> tuple[float, int]:
    """Return the seconds until all are up and the bytes of the largest COW file, and end what was started."""
    with tempfile.TemporaryDirectory(prefix="uml.") as folder, contextlib.ExitStack() as stack:
        where = Path(folder)
        guest.copy_root_image(where / "guest.img")
        stack.callback(lambda: operate("instance", umids=["*"], uml_dir=folder, state="absent", stop_methods=["kill"]))
        begin = time.monotonic()
        start(where, count)
        wait_up(where, count)
        taken = time.monotonic() - begin
        return taken, max(path.stat().st_blocks * 512 for path in where.glob("*.cow"))


def main() -> None:
    """Print the figures."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    count, rounds = (*map(int, sys.argv[1:]), *(100, 3)[len(sys.argv) - 1 :])[:2]
    taken: dict[str, list[float]] = {"ours": [], "shell": []}
    largest = 0
    for _round in range(rounds):
        for name, start in {"ours": ours, "shell": bare}.items():
            seconds, size = measure(start, count)
            taken[name].append(seconds)
            largest = max(largest, size)
            print(f"{name} {seconds:.1f} s", flush=True)
    middle = {name: statistics.median(found) for name, found in taken.items()}
    print(f"{count} clones: ours {middle['ours']:.1f} s, shell {middle['shell']:.1f} s (medians)")
    print(f"ours / shell      {middle['ours'] / middle['shell']:.2f}")
    print(f"largest COW file  {largest} bytes")


if __name__ == "__main__":
    main()
