# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What kills or freezes an instance on which kernel in which state: one table, consulted in one place.

Each row was measured on 6.1, 6.12 and 7.2; the reason is what a user reads.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Optional, Tuple

from .commands import Command
from .errors import DangerError


class Situation:
    """What a row may ask about an instance; a console is one."""

    umid: str

    def paused(self) -> Optional[bool]:
        """Tell whether it is stopped or frozen; None when it cannot be seen."""
        raise NotImplementedError

    def release(self) -> str:
        """Return the kernel's release."""
        raise NotImplementedError

    def ask(self, text: str) -> Optional[str]:
        """Return the answer to a query, or None."""
        raise NotImplementedError

    def proc(self, path: str) -> Optional[str]:
        """Return a guest file, or None."""
        raise NotImplementedError


class Danger(NamedTuple):
    """One row: when it applies, what happens then, and how to do it safely."""

    name: str
    applies: Callable[[Command, Situation], bool]
    reason: str


_ENDLESS = re.compile(
    r"(^|/)(dev|fd|exe|kcore|kmsg|mem|clear_refs|pagemap|trace_pipe|trace_pipe_raw|pipe|tty|sock)(/|$)(?!drivers$|ldiscs$)"
)
_DISK = re.compile(r"ubd(1[0-5]|[0-9]|[a-p])")


def _old(situation: Situation) -> bool:
    """Tell whether the kernel is of the 6.x series or older (or unknown)."""
    major = situation.release().partition(".")[0]
    return not major.isdigit() or int(major) < 7


def _reaches_the_guest(command: Command) -> bool:
    return command.word.name in ("remove", "proc") or (command.word.name == "config" and command.changes)


def _while_paused(command: Command, situation: Situation) -> bool:
    return _reaches_the_guest(command) and bool(situation.paused())


def _ends_while_paused(command: Command, situation: Situation) -> bool:
    return command.word.name in ("halt", "reboot") and bool(situation.paused()) and _old(situation)


def _endless_file(command: Command, situation: Situation) -> bool:
    return command.word.name == "proc" and _ENDLESS.search(command.argument) is not None


def _task_list(command: Command, situation: Situation) -> bool:
    return command.word.name == "sysrq" and command.argument[:1] == "t" and _old(situation)


def _deadly_key(command: Command, situation: Situation) -> bool:
    return command.word.name == "sysrq" and command.argument[:1] in "bcefijo"


def _ghost_disk(command: Command, situation: Situation) -> bool:
    disk = _DISK.match(command.argument)
    return command.word.name == "remove" and disk is not None and is_ghost(disk.group(1), situation)


def disk_letter(unit: str) -> str:
    """Return the letter of a disk given by number or by letter."""
    return chr(ord("a") + int(unit)) if unit.isdigit() else unit


def is_ghost(unit: str, situation: Situation) -> bool:
    """Tell whether a disk is configured, as the console says, though the guest has no such device.

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
        _while_paused,
        "the instance is paused, and changing devices or reading guest files then can freeze it for good;"
        " resume it first",
    ),
    Danger(
        "end-while-paused",
        _ends_while_paused,
        "the instance is paused, and this kernel crashes when it is ended so; resume it first",
    ),
    Danger(
        "ghost-disk",
        _ghost_disk,
        "the disk is configured but the guest has no such device (a boot-line disk that failed);"
        " removing it panics the kernel",
    ),
    Danger(
        "endless-file",
        _endless_file,
        "reading a device, a pipe or an endless file wedges the kernel's worker for good",
    ),
    Danger("task-list", _task_list, "the task list (sysrq t) crashes kernels of the 6.x series"),
    Danger("deadly-key", _deadly_key, "this sysrq key kills processes, crashes, restarts or powers off the guest"),
)


def find(command: Command, situation: Situation) -> Optional[Danger]:
    """Return the first danger that a command is in this situation, or None."""
    return next((danger for danger in DANGERS if danger.applies(command, situation)), None)


def consult(command: Command, situation: Situation) -> None:
    """Let a command pass that harms nobody.

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
