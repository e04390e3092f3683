# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What kills or freezes an instance on which kernel in which state: one table, consulted in one place.

Each row was measured on 6.1, 6.12 and 7.2; the reason is what a user reads.
"""

from __future__ import annotations

import posixpath
import re
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .commands import WORDS, Command
from .errors import DangerError


class DangerContext:
    """The questions that a row may ask about an instance; a console answers them."""

    umid: str

    def paused(self) -> Optional[bool]:
        """Return whether it is stopped or frozen; None when it cannot be seen."""
        raise NotImplementedError

    def release(self) -> str:
        """Return the kernel's release."""
        raise NotImplementedError

    def drives_disks(self) -> bool:
        """Return whether the guest's disk driver is there."""
        raise NotImplementedError

    def ask(self, text: str) -> Optional[str]:
        """Return the answer to a query, or None."""
        raise NotImplementedError

    def proc(self, path: str) -> Optional[str]:
        """Return a guest file, or None."""
        raise NotImplementedError


class Danger(NamedTuple):
    """One row: the words it is about, when it applies, what happens then, and how to do it safely."""

    name: str
    words: Tuple[str, ...]
    applies: Callable[[Command, DangerContext], bool]
    reason: str


_PROCESS = r"(?:self|thread-self|[0-9]+)(?:/task/[0-9]+)?"
_ENDLESS = re.compile(
    r"(?:.*/)?(?:kcore|kmsg|initctl|trace_pipe|trace_pipe_raw)"
    rf"|{_PROCESS}/(?:fd|map_files|exe|mem|pagemap|clear_refs)(?:/.*)?"
    rf"|{_PROCESS}/(?:root|cwd)/(?!sys/)(?:.*/)?(?:dev|fd)/.*"
)
_TAKEN = re.compile(r"mem=-(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)([kKmMgGtTpPeE]?)")
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}  # memparse (lib/cmdline.c)
PAGE = 4096  # of every kernel of this kind
MEMORY_FLOOR = 4 << 20  # bytes; with 2 MiB or less available, some guests panicked when they ran a command
_DISK = re.compile(r"ubd(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*|[a-p])")  # numbers as the kernel's strtoul reads them


def _old(situation: DangerContext) -> bool:
    """Return whether the kernel is of the 6.x series or older (or unknown)."""
    major = situation.release().partition(".")[0]
    return not major.isdigit() or int(major) < 7


def _while_paused(command: Command, situation: DangerContext) -> bool:
    asks = command.word.name == "config" and not command.changes
    return not asks and bool(situation.paused())


def _ends_while_paused(command: Command, situation: DangerContext) -> bool:
    return bool(situation.paused()) and _old(situation)


def _endless_file(command: Command, situation: DangerContext) -> bool:
    return _ENDLESS.fullmatch(posixpath.normpath(command.argument).lstrip("/")) is not None


def _task_list(command: Command, situation: DangerContext) -> bool:
    return command.argument[0] == "t" and _old(situation)


def _deadly_key(command: Command, situation: DangerContext) -> bool:
    return command.argument[0] in "bcefijo"


def _no_disk_driver(command: Command, situation: DangerContext) -> bool:
    asks = command.word.name == "config" and not command.changes
    return not asks and command.argument.startswith("ubd") and not situation.drives_disks()


def _ghost_disk(command: Command, situation: DangerContext) -> bool:
    disk = _DISK.match(command.argument)
    return disk is not None and is_ghost(disk.group(1), situation)


def _last_memory(command: Command, situation: DangerContext) -> bool:
    """Return whether taking memory leaves a guest too little; True also for a guest that does not show its memory."""
    match = _TAKEN.fullmatch(command.argument)
    if match is None:
        return False
    meminfo, zoneinfo = situation.proc("meminfo"), situation.proc("zoneinfo")
    taken = _number(match.group(1)) << _SHIFTS[match.group(2).lower()]
    return not meminfo or not zoneinfo or available(meminfo, zoneinfo) - taken < MEMORY_FLOOR


def available(meminfo: str, zoneinfo: str) -> int:
    """Return the bytes that a guest can still give to a process, what is on the lists of its processors included."""
    known = re.search(r"^MemAvailable: +([0-9]{1,18}) kB", meminfo, re.MULTILINE)
    return listed(zoneinfo) + (int(known.group(1)) << 10 if known is not None else 0)


def listed(zoneinfo: str) -> int:
    """Return the bytes of the free pages on the lists of a guest's processors, which meminfo counts as used."""
    return sum(map(int, re.findall(r"^[ \t]+count:[ \t]+([0-9]{1,18})\b", zoneinfo, re.MULTILINE))) * PAGE


def _number(text: str) -> int:
    """Return a number as the kernel's strtoul reads it: 010 is octal, 0xa hexadecimal."""
    base = 16 if text[:2] in ("0x", "0X") else 8 if text.startswith("0") else 10
    return int(text, base)


def disk_letter(unit: str) -> str:
    """Return the letter of a disk given by letter or by number, which may be octal (010) or hexadecimal (0xa)."""
    return unit if unit.isalpha() else chr(ord("a") + min(_number(unit), 25))


def is_ghost(unit: str, situation: DangerContext) -> bool:
    """Return whether a disk is configured, as the console says, though the guest has no such device.

    A boot-line disk whose set-up failed keeps its slot (ubd_kern.c); empty files have a device, yet no line
    in /proc/partitions, so sysfs decides there.
    """
    letter = disk_letter(unit)
    partitions = situation.proc("partitions") or ""
    if any(line.endswith(f" ubd{letter}") for line in partitions.splitlines()):
        return False
    if not situation.ask(f"config ubd{unit}"):
        return False
    return situation.proc(f"1/root/sys/block/ubd{letter}/size") is None


DANGERS: Tuple[Danger, ...] = (
    Danger(
        "guest-while-paused",
        ("config", "remove", "proc"),
        _while_paused,
        "the instance is paused, and changing devices or reading guest files then can freeze it for good;"
        " resume it first",
    ),
    Danger(
        "end-while-paused",
        ("halt", "reboot"),
        _ends_while_paused,
        "the instance is paused, and this kernel crashes when it is ended so; resume it first",
    ),
    Danger(
        "no-disk-driver",
        ("config", "remove"),
        _no_disk_driver,
        "the guest's kernel has no disk driver yet, and panics when that comes and finds disks; it still boots, so wait"
        " until its first process runs",
    ),
    Danger(
        "last-memory",
        ("config",),
        _last_memory,
        f"the guest would have less than {MEMORY_FLOOR >> 20} MiB available, and a kernel without memory panics"
        " (System is deadlocked on memory)",
    ),
    Danger(
        "ghost-disk",
        ("remove",),
        _ghost_disk,
        "the disk is configured but the guest has no such device (a boot-line disk that failed);"
        " removing it panics the kernel",
    ),
    Danger(
        "endless-file",
        ("proc",),
        _endless_file,
        "reading a device, a pipe or an endless file wedges the kernel's worker for good",
    ),
    Danger("task-list", ("sysrq",), _task_list, "the task list (sysrq t) crashes kernels of the 6.x series"),
    Danger(
        "deadly-key",
        ("sysrq",),
        _deadly_key,
        "this sysrq key kills processes, crashes, restarts or powers off the guest",
    ),
)
_BY_WORD: Dict[str, List[Danger]] = {name: [row for row in DANGERS if name in row.words] for name in WORDS}


def find(command: Command, situation: DangerContext) -> Optional[Danger]:
    """Return the first danger that a command is in this situation, or None."""
    for row in _BY_WORD[command.word.name]:
        if row.applies(command, situation):
            return row
    return None


def refuse_if_dangerous(command: Command, situation: DangerContext) -> None:
    """Let a harmless command pass.

    :raises DangerError: when it would kill or freeze the instance
    """
    danger = find(command, situation)
    if danger is not None:
        raise DangerError(
            f"{command.text.strip()!r} was not sent to {situation.umid}: {danger.reason}",
            umid=situation.umid,
            command=command.text,
            danger=danger.name,
        )
