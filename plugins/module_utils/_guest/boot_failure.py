# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a kernel ended while it booted: the first cause that its log shows, not the panic that followed from it."""

from __future__ import annotations

import os
import re
from typing import List, NamedTuple, Optional, Pattern, Sequence

PANIC = "Kernel panic"
_RUN_INIT = re.compile(r"Run \S+ as init process")
_INIT_ENDED = re.compile(r"Attempted to kill init! exitcode=0x([0-9a-f]+)")
_FATAL = re.compile(r"(Too few physical memory|Failed to |Couldn't |Fatal|Error|ERROR|cannot|not found).*")


class _Cause(NamedTuple):
    """A line that is the reason for panics of one kind, and what to do about it where that is known."""

    panic: Pattern[str]
    line: Pattern[str]
    hint: str = ""


_NO_ROOT = re.compile(r"VFS: Unable to mount root fs")
_CAUSES: Sequence[_Cause] = (
    _Cause(
        re.compile(r"Attempted to kill init"),
        re.compile(r"ptrace set fp regs failed, errno = 14"),
        "a kernel before 6.13 on a CPU with AMX; build the register shim with the role uml.mconsole.host, use a kernel"
        " from 6.13 on, or another VM host",
    ),
    _Cause(re.compile(r"Attempted to kill init"), re.compile(r"\S+: error while loading shared libraries: .*")),
    _Cause(_NO_ROOT, re.compile(r"Couldn't stat .*"), "the initrd cannot be read"),
    _Cause(_NO_ROOT, re.compile(r"Initramfs unpacking failed: .*"), "the initrd is not a valid archive"),
    _Cause(_NO_ROOT, re.compile(r"check access for rdinit=\S* failed: -\d+"), "the initrd has no such program"),
    _Cause(_NO_ROOT, re.compile(r"Failed to (open|initialize) .*")),
    _Cause(_NO_ROOT, re.compile(r"VFS: Cannot open root device .*")),
    _Cause(
        re.compile(r"Kernel mode signal 7"),
        re.compile(r"Bus error - .*"),
        "the file system of memory_dir is full",
    ),
    _Cause(
        re.compile(r"deadlocked on memory"),
        re.compile(r"Out of memory and no killable processes.*"),
        "give the instance more memory",
    ),
)


def explain(lines: Sequence[str]) -> str:
    """Return why a kernel ended, from the lines of its log since it was started."""
    number = next((number for number, line in enumerate(lines) if PANIC in line), None)
    if number is None:
        return _without_panic(lines)
    before, panic = lines[:number], lines[number][lines[number].index(PANIC) :].strip()
    return _cause(before, panic) or _of_init(before, panic) or panic


def _without_panic(lines: Sequence[str]) -> str:
    found = [match.group(0) for match in map(_FATAL.search, lines) if match is not None]
    said = [*found[:1], *lines[-1:], "it printed nothing"]
    return said[0].strip()


def _cause(before: Sequence[str], panic: str) -> Optional[str]:
    """Return the first line that is a known reason for this panic."""
    known = [cause for cause in _CAUSES if cause.panic.search(panic)]
    for line in before:
        for cause in known:
            match = cause.line.search(line)
            if match is not None:
                return f"{match.group(0).strip()} ({cause.hint})" if cause.hint else match.group(0).strip()
    return None


def _of_init(before: Sequence[str], panic: str) -> Optional[str]:
    """Return how init ended, with the last line since it was started, which is mostly its own."""
    match = _INIT_ENDED.search(panic)
    if match is None:
        return None
    code = int(match[1], 16)
    how = f"signal {code & 0x7F}" if code & 0x7F else f"status {os.WEXITSTATUS(code)}"
    starts = [number for number, line in enumerate(before) if _RUN_INIT.search(line)]
    said: List[str] = list(before[starts[-1] + 1 :]) if starts else []
    last = f"; the line before: {said[-1].strip()}" if said else ""
    return f"{panic} (init ended with {how}{last})"
