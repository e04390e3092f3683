# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What an instance says of itself when its console is asked: how fast it answers, its memory, load and disks.

All of it is text of a guest, which may lie: only numbers get through, and only names that a disk can have.
"""

from __future__ import annotations

import re
import time
from typing import Dict, List, NamedTuple, Optional

from .._guest import parsers
from .._guest.snapshot import Snapshot
from .._mconsole import commands, dangers
from .._mconsole.console import Console
from .._mconsole.errors import Error, UnansweredError

_MEMORY = re.compile(r"^(MemTotal|MemFree|MemAvailable): +([0-9]{1,15}) kB$", re.MULTILINE)
_DISK = re.compile(r"^ *[0-9]+ +[0-9]+ (ubd[a-p]) ([0-9 ]+)$", re.MULTILINE)
_SIZE = re.compile(r"^ *[0-9]+ +[0-9]+ +([0-9]{1,15}) (ubd[a-p])$", re.MULTILINE)
_SECTOR = 512  # bytes; diskstats counts in these whatever a disk has
_LARGEST = 1 << 64  # a kernel's counters have 64 bits


class Disk(NamedTuple):
    """Requests and bytes since the boot, the size, and the bytes of its file on the VM host (None: not seen)."""

    reads: int
    read_bytes: int
    writes: int
    written_bytes: int
    size: Optional[int]
    allocated: Optional[int]


class Sample(NamedTuple):
    """One look: ``latency`` in seconds is None when the console did not answer; memory in bytes by meminfo's name."""

    latency: Optional[float]
    memory: Dict[str, int]
    load: Dict[str, float]
    disks: Dict[str, Disk]


def sample(console: Console) -> Optional[Sample]:
    """Return what an instance says now, or None when this user cannot ask it, or it is gone.

    A paused instance and one that has just booted say only that they answer: to read files is not safe then.
    """
    began = time.monotonic()
    try:
        console.exchange(commands.parse("version").request)
        latency = time.monotonic() - began
        if console.is_young or console.paused() is not False:
            return Sample(latency, {}, {}, {})
        load = parsers.loadavg(_read(console, "loadavg")).get("loadavg", {})
        return Sample(latency, _memory(_read(console, "meminfo")), load, _disks(console))
    except UnansweredError:
        return Sample(None, {}, {}, {})
    except Error:
        return None
    finally:
        console.sent.clear()  # a console keeps what it has sent, and this one is asked for months


def _read(console: Console, path: str) -> str:
    """Return a short file of the guest's /proc, or nothing when it did not come whole."""
    command = commands.parse(f"proc {path}")
    dangers.refuse_if_dangerous(command, console)
    reply = console.exchange(command.request)
    return reply.text if reply.ok and not reply.truncated else ""


def _memory(text: str) -> Dict[str, int]:
    return {name: int(size) << 10 for name, size in _MEMORY.findall(text)}


def _disks(console: Console) -> Dict[str, Disk]:
    """Return the disks that the guest lists, by their names."""
    counted = {name: counters.split() for name, counters in _DISK.findall(_read(console, "diskstats"))}
    sizes = {name: int(size) << 10 for size, name in _SIZE.findall(_read(console, "partitions"))} if counted else {}
    host = Snapshot(console)
    return {
        name: _disk(words, sizes.get(name), _allocated(console, host, name))
        for name, words in counted.items()
        if len(words) >= 7 and max(map(len, words)) < 24
    }


def _disk(words: List[str], size: Optional[int], allocated: Optional[int]) -> Disk:
    """Return a disk from its words of diskstats (linux Documentation/admin-guide/iostats.rst)."""
    reads, read, writes, written = (int(words[index]) % _LARGEST for index in (0, 2, 4, 6))
    return Disk(reads, read * _SECTOR, writes, written * _SECTOR, size, allocated)


def _allocated(console: Console, host: Snapshot, name: str) -> Optional[int]:
    """Return the bytes that a disk's file takes: of one with a backing file that is what differs from it."""
    reply = console.exchange(commands.parse(f"config {name}").request)
    file = reply.text.partition(",")[0] if reply.ok else ""
    try:
        found = host.stat(file) if file else None
    except OSError:
        return None
    return found.st_blocks * _SECTOR if found is not None else None
