# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The memory that a guest has left, and how to take some away and give it back.

The kernel takes pages and gives them back on request (linux arch/um/drivers/mconsole_kern.c mem_config), says OK to a
part of it, and does not report how many it has taken. But the pages that it has taken are the only ones that no
counter of the guest includes: they are total memory less what /proc/meminfo accounts for and the free pages on the
lists of the processors (/proc/zoneinfo). The rest is the kernel's own, measured on idle and busy guests of 64 MiB to
1 GiB: 0.4-1.3 MiB on 6.1 and 6.12, 4.4-5.0 MiB on 7.2.
"""

from __future__ import annotations

import os
import re
import time
from typing import Dict, NamedTuple, Optional, Tuple

from .._mconsole import dangers, procfs
from .._mconsole.errors import DangerError, InputError, RefusedError, UnverifiedError
from .._mconsole.kernel_processes import kernel_arg
from .._mconsole.parsing import parse_size
from .._task.task import Task
from .snapshot import Snapshot

KIB, MIB = 1 << 10, 1 << 20
DEFAULT_BOOT = 64 * MIB  # what a kernel takes without mem= (um_arch.c)
TOLERANCE = 4 * MIB
RESERVE = 8 * MIB
_OWN: Tuple[Tuple[Tuple[int, int], int], ...] = (((7, 0), 4700 * KIB), ((0, 0), 750 * KIB))  # by series, newest first
_ACCOUNTED = (
    *("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "KernelStack", "PageTables", "SecPageTables"),
    *("VmallocUsed", "Percpu", "Zswap", "Hugetlb", "Balloon"),
)
_CHUNK = 256 * KIB  # asked for at least: a guest that is full of caches drops some only when it runs short
_PATIENCE = 3.0  # seconds without progress after which a guest has nothing more to give
_NEAR = 0.3  # the same, once it is within the tolerance
_POLL = 0.02


class Reading(NamedTuple):
    """A guest's memory in bytes, read at once; ``spare`` is what can be taken before it starts to reclaim."""

    boot: int
    total: int
    free: int
    available: int
    spare: int
    taken: int
    resident: Optional[int]

    @property
    def size(self) -> int:
        """Return what the guest has left of what it was booted with."""
        return self.boot - self.taken

    def report(self) -> Dict[str, Optional[int]]:
        """Return what a module returns."""
        shown = ("boot", "size", "taken", "total", "free", "available", "resident")
        return {name: getattr(self, name) for name in shown}


def read(snapshot: Snapshot) -> Reading:
    """Return the guest's memory.

    :raises RefusedError: when its /proc cannot be read
    """
    meminfo, zoneinfo = snapshot.proc("meminfo"), snapshot.proc("zoneinfo")
    if not meminfo or not zoneinfo:
        raise RefusedError(f"{snapshot.umid} does not show its memory", umid=snapshot.umid, command="proc meminfo")
    counters = {"MemTotal": 0, "MemFree": 0, **_counters(meminfo)}
    listed = dangers.listed(zoneinfo)
    low = sum(map(int, re.findall(r"^[ \t]+low[ \t]+([0-9]{1,18})\b", zoneinfo, re.MULTILINE))) * dangers.PAGE
    free = counters["MemFree"] + listed
    accounted = sum(counters.get(name, 0) for name in _ACCOUNTED) + listed
    own = next(value for series, value in _OWN if snapshot.series() >= series)
    return Reading(
        boot=boot_size(snapshot),
        total=counters["MemTotal"],
        free=free,
        available=dangers.available(meminfo, zoneinfo),
        spare=free - low,
        taken=max(0, counters["MemTotal"] - accounted - own),
        resident=resident(snapshot),
    )


def _counters(meminfo: str) -> Dict[str, int]:
    rows = re.findall(r"^(\w+):[ \t]+([0-9]{1,18}) kB$", meminfo, re.MULTILINE)
    return {name: int(value) * KIB for name, value in rows}


def boot_size(snapshot: Snapshot) -> int:
    """Return the bytes that the instance was booted with: ``mem=`` as the VM host or the guest shows it.

    :raises RefusedError: when neither does
    """
    argv = procfs.argv(snapshot.pid) if snapshot.pid is not None else []
    guest = ["", *(snapshot.proc("cmdline") or "").split()]
    word = kernel_arg(argv, "mem") or kernel_arg(guest, "mem")
    if word is None and not argv:
        raise RefusedError(f"nothing shows what memory {snapshot.umid} was booted with", umid=snapshot.umid)
    return parse_size(word) if word is not None else DEFAULT_BOOT


def resident(snapshot: Snapshot) -> Optional[int]:
    """Return the bytes of the VM host that the instance's memory file holds, or None when it cannot be seen."""
    for number in snapshot.descriptor_numbers():
        try:
            found = os.stat(f"/proc/{snapshot.pid}/fd/{number}")
        except OSError:
            continue
        if found.st_nlink == 0 and found.st_size >= 16 * MIB:
            return found.st_blocks * 512
    return None


def parse(text: str) -> Optional[int]:
    """Return a size in bytes, or None for ``max``, all that the instance was booted with.

    :raises InputError: when it is neither
    """
    return None if text == "max" else parse_size(text, "size", least=MIB)


def reserve_of(text: str) -> int:
    """Return what must stay available, in bytes.

    :raises InputError: when it is not a size, or so little that the guest's kernel can panic
    """
    value = parse_size(text, "reserve", least=MIB)
    if value < dangers.MEMORY_FLOOR:
        raise InputError(
            f"reserve is {text!r}; a guest with less than {mib(dangers.MEMORY_FLOOR)} available can panic, so give"
            f" {dangers.MEMORY_FLOOR // MIB}M or more"
        )
    return value


def command(delta: int) -> str:
    """Return the command that takes (positive) or gives back (negative) so many bytes."""
    return f"config mem={'-' if delta > 0 else '+'}{abs(delta) // KIB}K"


def plan(umid: str, now: Reading, wanted: int, tolerance: int, reserve: int) -> Optional[str]:
    """Return the command that brings a guest to a size, or None where it has it within the tolerance.

    :raises InputError: when it was booted with less, or cannot spare so much
    """
    if wanted > now.boot:
        raise InputError(f"{umid} was booted with {mib(now.boot)} and cannot have {mib(wanted)}; more needs a restart")
    delta = missing(now, wanted)
    if abs(now.size - wanted) <= tolerance:
        return None
    if delta > 0 and now.available - delta < reserve:
        raise InputError(
            f"{umid} has {mib(now.available)} available, and {mib(wanted)} would take {mib(delta)} of it;"
            f" {mib(reserve)} are to stay (reserve)",
            available=now.available,
        )
    return command(delta)


def missing(now: Reading, wanted: int) -> int:
    """Return the bytes to take, or to give when negative: whole MiB, so that two looks at one guest plan the same.

    To give all back is to give more than was taken; the kernel ignores the excess.
    """
    delta = round((now.size - wanted) / MIB) * MIB
    return -now.boot if delta < 0 and wanted == now.boot else delta


def mib(value: int) -> str:
    """Return bytes as a user reads them."""
    return f"{value / MIB:.1f} MiB"


def bring(task: Task, wanted: int, tolerance: int, reserve: int) -> None:
    """Give at once, or take: at once where so much is free, else bit by bit while the guest drops its caches.

    :raises UnverifiedError: when it has nothing more to give
    :raises DangerError: when it uses more itself meanwhile
    """
    now = read(Snapshot.take(task.console))
    delta = missing(now, wanted)
    if delta <= 0 or delta <= now.spare:
        task.console.command(command(delta))
        return
    take_slowly(task, now, wanted, tolerance, reserve)


def take_slowly(task: Task, now: Reading, wanted: int, tolerance: int, reserve: int) -> None:
    """Take what can be spared, again and again; who gets near enough does not wait for the last bit."""
    best, progress = now.size, time.monotonic()
    while missing(now, wanted) > 0:
        _check_reserve(task, now, wanted, max(reserve - tolerance, dangers.MEMORY_FLOOR))
        task.console.command(command(min(missing(now, wanted), max(now.spare, _CHUNK))))
        now = read(Snapshot.take(task.console))
        if now.size < best:
            best, progress = now.size, time.monotonic()
        elif time.monotonic() - progress > (_PATIENCE if now.size - wanted > tolerance else _NEAR):
            return
        else:
            time.sleep(_POLL)


def check_reached(task: Task, now: Reading, wanted: int, tolerance: int) -> None:
    """Check the memory after the change.

    :raises UnverifiedError: when it is not what was requested
    """
    if abs(now.size - wanted) > tolerance:
        raise UnverifiedError(
            f"{task.umid} has {mib(now.size)} and not {mib(wanted)}: its kernel finds no more memory to give",
            umid=task.umid,
            size=now.size,
        )


def _check_reserve(task: Task, now: Reading, wanted: int, reserve: int) -> None:
    if now.available - missing(now, wanted) < reserve:
        raise DangerError(
            f"{task.umid} uses more memory than a moment ago; it has {mib(now.size)} now, and {mib(reserve)} are to"
            " stay available (reserve)",
            umid=task.umid,
            size=now.size,
        )
