# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collector under load, on real kernels: many instances at once, a crash of it in the middle, a flooded console.

The sizes are those of a quick run; UML_COLLECTOR_INSTANCES=50 UML_COLLECTOR_NOTIFICATIONS=10000 UML_COLLECTOR_FLOOD=100
(megabytes) are the full ones.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import uml
from support.events import Collecting, collecting
from support.wait import wait_until

LOG = logging.getLogger(__name__)  # figures, shown by -o log_cli=true -o log_cli_level=INFO
INSTANCES = int(os.environ.get("UML_COLLECTOR_INSTANCES", "4"))
EACH = int(os.environ.get("UML_COLLECTOR_NOTIFICATIONS", "2000")) // INSTANCES
FLOOD = int(os.environ.get("UML_COLLECTOR_FLOOD", "8"))
PATIENCE = 60 + 6 * INSTANCES
MEMORY = 64 << 10  # kB that a collector may have at most; Python alone has a fifth of it
WIDTH = 32


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that runs."""
    with collecting(uml_dir) as found:
        found()
        yield found


@pytest.fixture
def fleet(collect: Collecting) -> Iterator[list[uml.Instance]]:
    """Yield instances that are all up, and all known to the collector."""
    with contextlib.ExitStack() as stack:
        guests: list[uml.Instance] = []
        stack.callback(uml.close_all, guests)
        for number in range(INSTANCES):
            guests.append(uml.launch(f"n{number}", collect.uml_dir, notify=collect.notify, wait=False))
        for guest in guests:
            guest.wait_up(PATIENCE)
        wait_until(lambda: len(collect.events("message")) == INSTANCES, PATIENCE, "all told that they are up")
        yield guests


def memory(pid: int, field: str = "VmHWM") -> int:
    """Return the kB that a process has had at most."""
    return int(re.search(rf"{field}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def burst(guests: list[uml.Instance], word: str, count: int) -> list[threading.Thread]:
    """Let all guests write at once, one notification a write(2) of numbered lines of one length."""
    line = f"printf '%-{WIDTH - 1}s\\n' \"$name {word} $i\""
    fill = f"name=$(hostname); i=0; while [ $i -lt {count} ]; do {line}; i=$((i+1)); done"
    for guest in guests:
        guest.guest(f"{fill} > /tmp/{word}", timeout=PATIENCE)
    write = f"dd if=/tmp/{word} of=/proc/mconsole bs={WIDTH} conv=notrunc 2>/dev/null"
    threads = [threading.Thread(target=guest.guest, args=(write, PATIENCE)) for guest in guests]
    for thread in threads:
        thread.start()
    return threads


def numbers(collect: Collecting, umid: str, word: str) -> list[int]:
    """Return the numbers that came from an instance in a burst; what came under another's name fails the test."""
    found = [each["data"].split() for each in collect.events("message", umid=umid) if f" {word} " in each["data"]]
    assert {name for name, _word, _number in found} <= {umid}
    return [int(number) for _name, _word, number in found]


def test_nothing_of_a_burst_from_all_is_lost(collect: Collecting, fleet: list[uml.Instance]) -> None:
    status = collect()
    assert len(status["instances"]) == INSTANCES
    for thread in burst(fleet, "all", EACH):
        thread.join()
    for guest in fleet:
        wait_until(lambda guest=guest: len(numbers(collect, guest.umid, "all")) >= EACH, 20, guest.umid)
        assert numbers(collect, guest.umid, "all") == list(range(EACH))
    assert not collect.events("gap", "unknown")
    assert memory(status["pid"]) < MEMORY
    LOG.info("%d instances, %d each: %d kB at most", INSTANCES, EACH, memory(status["pid"]))


def test_killed_in_the_middle_of_a_burst(collect: Collecting, fleet: list[uml.Instance]) -> None:
    """No guest freezes, each keeps its events from before and after, and there is one gap event."""
    threads = burst(fleet, "killed", EACH)
    wait_until(lambda: numbers(collect, fleet[0].umid, "killed"), 20, "it began")
    os.kill(collect()["pid"], signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert collect()["changed"]
    for thread in burst(fleet, "since", EACH):
        thread.join()
    for guest in fleet:
        wait_until(lambda guest=guest: len(numbers(collect, guest.umid, "since")) >= EACH, 20, guest.umid)
        assert numbers(collect, guest.umid, "since") == list(range(EACH))
        before = numbers(collect, guest.umid, "killed")
        assert before == sorted(set(before))
    lines = collect.lines()
    assert [each["seq"] for each in lines] == list(range(1, len(lines) + 1))
    assert len(collect.events("gap")) == 1


def test_a_panic_is_told_within_a_second(collect: Collecting, fleet: list[uml.Instance]) -> None:
    """By the clock of the journal: the event's own time against that at which the command was sent."""

    began = time.time()
    with contextlib.suppress(TimeoutError):
        fleet[0].request("sysrq c", timeout=0.2)
    event = collect.wait("panic", fleet[0].umid)
    LOG.info("a panic after %.3f s", event["time"] - began)
    assert event["time"] >= began
    assert collect.wait("crashed", fleet[0].umid)["seq"] > event["seq"]
    assert len(collect()["instances"]) == INSTANCES - 1


def test_a_flooded_console_hurts_nobody(collect: Collecting) -> None:
    """Guests send escapes, NULs, invalid UTF-8, endless lines, templates: patterns match, and losses are recorded."""
    collect(patterns=[{"name": "each", "regex": "flood"}], journal_size="1M")
    nasty = "flood \\033[2J\\000\\377 {{ 7 * 7 }} \\302\\233 \\n"
    with contextlib.closing(uml.launch("a", collect.uml_dir, notify=collect.notify)) as guest:
        guest.guest(f"i=0; while [ $i -lt 2000 ]; do printf '{nasty}'; i=$((i+1)); done > /tmp/nasty")
        guest.guest("head -c 1000000 /dev/zero | tr '\\0' y > /tmp/long; cat /tmp/nasty /tmp/long > /tmp/flood")
        size = int(guest.guest("wc -c < /tmp/flood"))
        rounds = max((FLOOD << 20) // size, 1)
        guest.guest(f"i=0; while [ $i -lt {rounds} ]; do cat /tmp/flood; i=$((i+1)); done > /dev/console", PATIENCE * 5)
        guest.guest("echo told > /proc/mconsole")
        guest.guest("{ echo; echo 'BUG: afterwards'; } > /dev/console")
        collect.wait("message", "a", "told")
        wait_until(
            lambda: [each for each in collect.events("log") if each["pattern"] == "bug"], 60, "the line after it"
        )
        collect.wait("gap", "a", "too many at once")
        said = collect.events("log", "gap", umid="a")
        assert all(each["data"].isprintable() and len(each["data"]) <= 8192 for each in said)
        assert any("{{ 7 * 7 }}" in each["data"] for each in said)
        collect.lines()
        assert collect.size() <= 1.25 * (1 << 20)
        assert memory(collect()["pid"]) < MEMORY
        most, length = memory(collect()["pid"]), collect.size()
        LOG.info("%d MB: %d kB at most, journal %d bytes", rounds * size >> 20, most, length)
