# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collector costs: events a second beside a bare loop that throws them away, a guest's writes, and memory.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_collector.py [INSTANCES]`.
The bare loop and the collector take turns, fed by the same program, which looks like an instance; then a real guest
writes to `/proc/mconsole` with either of them listening. The figures to quote are the ratios of the medians, and the
memory with one instance and with INSTANCES (50).
"""

from __future__ import annotations

import contextlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from support import uml
from support.events import Collecting, collecting
from support.wait import wait_until

COUNT = 20000
WRITES = 20000
ROUNDS = 5
DETACHED: dict[str, Any] = {"start_new_session": True}  # an instance leads its processes
# Bound to the path in argv[1], it says when it has read argv[2] datagrams, again and again.
READER = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.bind(sys.argv[1])
    print("ready", flush=True)
    while True:
        for _each in range(int(sys.argv[2])):
            sock.recvfrom(528)
        print("done", flush=True)
"""
# What a kernel sends, as fast as it is read, each time a number comes: the pid file and its words make it an instance.
SENDER = """
import os, socket, struct, sys
uml_dir = sys.argv[2].partition("=")[2]
os.makedirs(uml_dir + "/fake")
open(uml_dir + "/fake/pid", "w").write(str(os.getpid()))
datagram = struct.pack("=IIiI", 0xCAFEBABE, 2, 3, 32) + b"x" * 32
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    print("ready", flush=True)
    for line in sys.stdin:
        path, count = line.split()
        for _each in range(int(count)):
            sock.sendto(datagram, path)
"""


@contextlib.contextmanager
def program(text: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of ours, and end it."""
    command = [sys.executable, "-I", "-S", "-c", text, *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **DETACHED
    ) as process:
        try:
            process.stdout.readline()  # type: ignore[union-attr]
            yield process
        finally:
            process.kill()


def written(collect: Collecting) -> int:
    """Return how many events the collector has written."""
    return int(collect()["counters"]["written"])


def by_collector(collect: Collecting, sender: subprocess.Popen[str]) -> float:
    """Return the seconds until all that was sent is in the journal, by the times that stand there."""
    before = collect.events()[-1]["seq"]
    began = time.time()
    print(collect.notify, COUNT, file=sender.stdin)
    wait_until(lambda: written(collect) >= before + COUNT, 60, "all of them in the journal")
    return float(collect.events()[-1]["time"]) - began


def by_reader(path: Path, reader: subprocess.Popen[str], sender: subprocess.Popen[str]) -> float:
    """Return the seconds until all that was sent is read."""
    began = time.time()
    print(path, COUNT, file=sender.stdin)
    reader.stdout.readline()  # type: ignore[union-attr]
    return time.time() - began


def compare_events(collect: Collecting) -> None:
    """Print how many events a second either takes."""
    bare_path = collect.uml_dir / "bare.events"
    words = ("umid=fake", f"uml_dir={collect.uml_dir}", f"mconsole=notify:{collect.notify}")
    with program(SENDER, *words) as sender, program(READER, str(bare_path), str(COUNT)) as reader:
        wait_until(lambda: collect.events("appeared"), 20, "the sender is taken for an instance")
        taken: dict[str, list[float]] = {"bare": [], "collector": []}
        for _round in range(ROUNDS):
            taken["bare"].append(by_reader(bare_path, reader, sender))
            taken["collector"].append(by_collector(collect, sender))
    assert not collect.events("gap", "unknown")
    bare, ours = (COUNT / statistics.median(taken[name]) for name in ("bare", "collector"))
    print(f"events a second: bare loop {bare:,.0f}, collector {ours:,.0f} (medians of {ROUNDS})")
    print(f"bare / collector   {bare / ours:.2f}")


def compare_writes(collect: Collecting) -> None:
    """Print how many notifications a second a guest can send to either."""
    bare_path = collect.uml_dir / "bare.writes"
    with contextlib.ExitStack() as stack:
        stack.enter_context(program(READER, str(bare_path), "1000000000"))
        guests = {
            name: uml.launch(name, collect.uml_dir, notify=path, wait=False)
            for name, path in (("bare", bare_path), ("collector", collect.notify))
        }
        stack.callback(uml.close_all, list(guests.values()))
        taken: dict[str, list[float]] = {name: [] for name in guests}
        for guest in guests.values():
            guest.wait_up()
        for _round in range(ROUNDS):
            for name, guest in guests.items():
                taken[name].append(seconds_of_writes(guest))
    bare, ours = (WRITES / statistics.median(taken[name]) for name in ("bare", "collector"))
    print(f"a guest's writes a second: bare loop {bare:,.0f}, collector {ours:,.0f} (medians of {ROUNDS})")
    print(f"bare / collector   {bare / ours:.2f}   (at most 1.10)")


def seconds_of_writes(guest: uml.Instance) -> float:
    """Return the seconds that a guest takes, by its own clock."""
    words = f"dd if=/dev/zero of=/proc/mconsole bs=32 count={WRITES} conv=notrunc 2>/dev/null"
    uptime = "cut -d' ' -f1 /proc/uptime"
    began, ended = guest.guest(f"{uptime}; {words}; {uptime}", timeout=60).split()
    return float(ended) - float(began)


def memory_of_many(collect: Collecting, count: int) -> None:
    """Print the memory with one instance and with many."""
    pid = collect("restarted")["pid"]
    guests: list[uml.Instance] = []
    try:
        for wanted in (1, count):
            while len(guests) < wanted:
                number = len(guests)
                guests.append(uml.launch(f"n{number}", collect.uml_dir, notify=collect.notify, agent=False, wait=False))
            for guest in guests:
                guest.wait_up(300)
            wait_until(lambda wanted=wanted: len(collect()["instances"]) == wanted, 30, "all are watched")
            began, used = time.monotonic(), processor_time(pid)
            time.sleep(10)
            share = (processor_time(pid) - used) / (time.monotonic() - began)
            print(f"{wanted} instances: {resident(pid) / 1024:.1f} MB, idle {share:.1%} of a processor")
    finally:
        uml.close_all(guests)


def resident(pid: int) -> int:
    """Return the kB of memory that a process has now."""
    return int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def processor_time(pid: int) -> float:
    """Return the seconds that a process has computed."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


def main() -> None:
    """Print the ratios."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory(prefix="uml.") as folder, collecting(Path(folder)) as collect:
        collect(event_rate=0, journal_size="64M")
        compare_events(collect)
        compare_writes(collect)
        memory_of_many(collect, count)


if __name__ == "__main__":
    main()
