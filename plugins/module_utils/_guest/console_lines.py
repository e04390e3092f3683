# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The whole lines of a console log behind a mark, a bounded part of them, from a file that another user may own."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import Iterator, List, NamedTuple, Optional, Pattern, Tuple

from .._mconsole.instances import Instance
from .console_log import harmless

PART = 1 << 20  # bytes of one log that are looked at in one task
WIDTH = 1024  # characters of a line
_MARK = re.compile(r"([0-9]{1,20}):([0-9]{1,20}):([0-9]{1,20})")
Line = Tuple[int, str]  # where it begins in the file, its text


class Mark(NamedTuple):
    """A place in a log: the file by st_dev and st_ino, and the bytes before the place."""

    device: int
    inode: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Optional[Mark]:
        """Return the mark that a text is, or None."""
        match = _MARK.fullmatch(text)
        return cls(*map(int, match.groups())) if match is not None else None

    def __str__(self) -> str:
        return f"{self.device}:{self.inode}:{self.offset}"


class Found(NamedTuple):
    """The lines, the mark for the next task, and whether there are more.

    ``skipped`` are the bytes behind the old mark that were not looked at.
    """

    lines: List[Line]
    mark: Mark
    more: bool
    skipped: int


def path_of(instance: Instance) -> str:
    """Return where a log is: what a running instance prints to, and else the usual file beside its directory."""
    return f"/proc/{instance.pid}/fd/1" if instance.alive else f"{instance.place.directory}.log"


def open_log(instance: Instance) -> Optional[int]:
    """Return a descriptor of the log, or None when it is not a file of the instance's user, or not readable."""
    follow = 0 if instance.alive else os.O_NOFOLLOW
    path = path_of(instance)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe or a terminal does something to it
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | follow)
    except OSError:
        return None
    found = os.fstat(descriptor)
    is_own = instance.alive or (found.st_nlink == 1 and found.st_uid == instance.uid)
    if stat.S_ISREG(found.st_mode) and is_own:
        return descriptor
    os.close(descriptor)
    return None


def read(descriptor: int, after: Optional[Mark], wanted: Optional[Pattern[str]], limit: int, newest: bool) -> Found:
    """Return at most ``limit`` lines behind a mark that match: the last ones, or the first ones.

    A mark of another file, or behind the end of this one, stands for its beginning: the log was replaced or cut.
    """
    status = os.fstat(descriptor)
    known = after is not None and (after.device, after.inode) == (status.st_dev, status.st_ino)
    start = after.offset if after is not None and known and after.offset <= status.st_size else 0
    begin = max(start, status.st_size - PART) if newest else start
    data = os.pread(descriptor, PART, begin)
    whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == PART else 0)  # a line longer than a part ends there
    lines = [line for line in _split(data[:whole], begin, begin > start) if wanted is None or wanted.search(line[1])]
    kept = lines[-limit:] if newest else lines[:limit]
    end = begin + whole
    is_more = len(lines) > limit or begin > start
    if not newest:
        end = lines[limit][0] if len(lines) > limit else end
        is_more = len(lines) > limit or (end < status.st_size and len(data) == PART)
    return Found(kept, Mark(status.st_dev, status.st_ino, end), is_more, begin - start)


def _split(data: bytes, begin: int, is_cut: bool) -> Iterator[Line]:
    """Yield the lines; the first one is left out when its beginning was."""
    offset = begin
    found = data.split(b"\n")
    if not found[-1]:  # behind the last newline
        found.pop()
    for number, line in enumerate(found):
        if not (is_cut and number == 0):
            yield offset, harmless(line[: 4 * WIDTH].decode("utf-8", "replace"))[:WIDTH].rstrip("\r")
        offset += len(line) + 1


@contextlib.contextmanager
def opened(instance: Instance) -> Iterator[Optional[int]]:
    """Yield the descriptor of :func:`open_log`."""
    descriptor = open_log(instance)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)
