# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Follow the console log of one instance: from where it ends now, as it grows, a bounded part at a time."""

from __future__ import annotations

import os
import stat
from typing import List, Optional, Sequence, Tuple

from .._guest import console_log
from .._mconsole import procfs
from . import patterns
from .patterns import Watch

_CHUNK = 256 << 10  # bytes read at once
_LAG = 16 << 20  # bytes that we may be behind before the rest is left out
_LONGEST = 8 << 10  # bytes of a line, which a guest may never end


class LogFollower:
    """The open log of one instance.

    It is the very file that the kernel has open, so one that is renamed is followed on; one that is cut is read from
    its new beginning. ``skipped`` are the bytes that were left out, ``cuts`` how often it was cut.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self.path = path
        self.identity = (found.st_dev, found.st_ino)
        self.skipped = 0
        self.cuts = 0
        self._descriptor = descriptor
        self._offset = found.st_size
        self._rest = b""
        self._record = False  # what the unfinished line holds
        self._asked = False  # whether it does

    @classmethod
    def of(cls, pid: int) -> Optional[LogFollower]:
        """Return a follower of a process's standard output, or None when it is not a file or not readable."""
        own = f"/proc/{pid}/fd/1"
        try:
            if not stat.S_ISREG(os.stat(own).st_mode):  # to open a pipe or a terminal does something to it
                return None
            descriptor = os.open(own, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return None
        return cls(procfs.link(own) or "", descriptor)

    def read_new_lines(self, wanted: Sequence[Watch]) -> Tuple[List[Tuple[Watch, str]], bool]:
        """Return (what matches in the lines that came, whether there is more to read at once)."""
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:
            self.cuts += 1
            self._forget(0)
        elif size - self._offset > _LAG:
            self.skipped += size - _CHUNK - self._offset
            self._forget(size - _CHUNK)
        if size == self._offset:
            return self._prompt(wanted), False
        data = os.pread(self._descriptor, _CHUNK, self._offset)
        self._offset += len(data)
        return list(patterns.find(wanted, self._split(data))), len(data) == _CHUNK

    def size(self) -> int:
        """Return the bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _forget(self, offset: int) -> None:
        self._offset, self._rest, self._record, self._asked = offset, b"", False, False

    def _split(self, data: bytes) -> List[str]:
        """Return the lines that end in the data, each cut at a bound, and keep what has no end yet."""
        found = (self._rest + data).split(b"\n")
        self._rest = found.pop()
        if found and self._record:
            del found[0]
            self._record = False
        self._asked = False
        if len(self._rest) > _LONGEST:
            if not self._record:
                found.append(self._rest)
            self._record, self._rest = True, b""
        return [_text(line) for line in found if line]

    def _prompt(self, wanted: Sequence[Watch]) -> List[Tuple[Watch, str]]:
        """Process once an unfinished line that has not grown since the last look."""
        if not self._rest or self._asked or self._record:
            return []
        self._asked = True
        found = list(patterns.find(wanted, [_text(self._rest)]))
        self._record = bool(found)
        return found


def _text(line: bytes) -> str:
    """Return a line as a terminal would show it: what is looked for must not hide between escapes."""
    text = line[:_LONGEST].rstrip(b"\r").decode("utf-8", "replace")
    return text if text.isprintable() else console_log.harmless(text)
