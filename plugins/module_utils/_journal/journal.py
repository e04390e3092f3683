# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The journal of events: JSON lines in files of bounded size, one writer, any number of readers.

A file is named after the first sequence number that it may hold, so the numbering outlives every file. A line is whole
when its newline is there: readers take nothing else, and the writer takes back what it could not write to its end.
Writes are not forced to the disk: a killed writer loses nothing, a machine that loses its power may lose the end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import os
import stat
import time
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

from .._mconsole import procfs
from .._mconsole.errors import InputError, NotAllowedError
from .event_line import Event, parse

LIMIT = 16 << 20  # bytes of all files together
_FILES = 8
_NAME = "events-{:016d}.jsonl"
_PREFIX, _SUFFIX = "events-", ".jsonl"
LOCK = "writer.lock"  # holds the limit of its last holder
_TAIL = 1 << 16  # bytes; a line is rarely longer
_PATIENCE = 1.0  # seconds that a writer waits for those that add a single event
_POLL = 0.1  # seconds between looks of one who waits: a stat or two each


class File(NamedTuple):
    """One file of the journal: the first sequence number that it may hold, and where it is."""

    first: int
    path: str


def default_directory() -> str:
    """Return where this user's journal is: the system's place for root, else the user's own."""
    if os.geteuid() == 0:
        return "/var/lib/uml-mconsole"
    state = os.environ.get("XDG_STATE_HOME", "")
    base = state if os.path.isabs(state) else os.path.expanduser("~/.local/state")
    return os.path.join(base, "uml-mconsole")


def files(directory: str) -> List[File]:
    """Return the journal's files, oldest first; none where there is no journal.

    :raises NotAllowedError: when this user may not look there
    """
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as err:
        raise NotAllowedError(f"the journal {directory} cannot be read: {err.strerror}", path=directory) from err
    numbers = [name[len(_PREFIX) : -len(_SUFFIX)] for name in names if name.startswith(_PREFIX)]
    return [
        File(number, os.path.join(directory, _NAME.format(number)))
        for number in sorted(int(text) for text in numbers if text.isdigit() and len(text) == 16)
    ]


def size(directory: str) -> int:
    """Return the bytes that the journal takes; 0 if this user cannot see one."""
    total = 0
    with contextlib.suppress(OSError, NotAllowedError):
        for file in files(directory):
            total += os.stat(file.path).st_size
    return total


# Writing.


class Writer:
    """The one writer of a journal; ``limit`` is what all its files together may take, in bytes.

    :raises InputError: when another process writes it, or its directory cannot be made
    :raises NotAllowedError: when the directory belongs to another user, or others may read it
    """

    def __init__(self, directory: str, limit: int = LIMIT, lock: Optional[Callable[[str], int]] = None) -> None:
        self._directory = directory
        self._take_lock = lock or functools.partial(_locked, note=b"%d\n" % limit)
        self._share = max(limit // _FILES, 1)
        self._lock = self._file = -1
        self._size = 0
        self.last = 0
        self._open()

    def append(self, event: Event) -> int:
        """Write one event and return its sequence number; all of its line is there then, or nothing.

        :raises OSError: when there is no room, for instance; the number is not used up
        """
        line = json.dumps({"seq": self.last + 1, **event}).encode("ascii") + b"\n"
        if os.fstat(self._file).st_nlink == 0:  # it was removed; readers must find the next events
            self.close()
            self._open()
        if self._size and self._size + len(line) > self._share:
            self._rotate()
        self._write(line)
        self.last += 1
        return self.last

    def close(self) -> None:
        """Let another write."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _open(self) -> None:
        """Go on where the last writer ended, or behind what this one has already written."""
        make_directory(self._directory)
        self._lock = self._take_lock(os.path.join(self._directory, LOCK))
        found = files(self._directory)
        before, self.last = self.last, max(self.last, _last(found[-1]) if found else 0)
        self._use(found[-1].path if found and self.last > before else self._next())

    def _next(self) -> str:
        return os.path.join(self._directory, _NAME.format(self.last + 1))

    def _use(self, path: str) -> None:
        """Go on in a file, without what was torn at its end."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        self._size = _newest(path)[0]
        os.ftruncate(descriptor, self._size)
        if self._file >= 0:
            os.close(self._file)
        self._file = descriptor

    def _rotate(self) -> None:
        """Begin the next file, and remove the oldest."""
        self._use(self._next())
        for file in files(self._directory)[:-_FILES]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.path)

    def _write(self, line: bytes) -> None:
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)


def make_directory(path: str) -> None:
    """Make the journal's directory, which is its owner's alone.

    :raises InputError: when it cannot be made
    :raises NotAllowedError: when it exists and belongs to another user, or others may read it
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        found = os.lstat(path)
    except OSError as err:
        raise InputError(f"the journal's directory {path} cannot be made: {err.strerror}", path=path) from err
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise NotAllowedError(
            f"{path} is not a directory of user {os.geteuid()} that is closed to all other users"
            f" (found owner {found.st_uid}, mode {found.st_mode:07o})",
            path=path,
        )


def _locked(path: str, note: bytes) -> int:
    descriptor = take_lock(path, fcntl.LOCK_EX, _PATIENCE)
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, os.pwrite(descriptor, note, 0))
    return descriptor


def take_lock(path: str, kind: int, patience: float) -> int:
    """Return the descriptor of a lock; one that adds a single event holds it for a moment.

    :raises InputError: when another process has it for longer than ``patience``, in seconds
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise InputError(f"another process writes the journal of {os.path.dirname(path)}", path=path) from None
            time.sleep(_PATIENCE / 100)


def _newest(path: str) -> Tuple[int, bytes]:
    """Return where the last whole line of a file ends, and that line, reading no more of the file than needed."""
    start = 0
    with contextlib.suppress(FileNotFoundError):
        start = max(os.path.getsize(path) - _TAIL, 0)
    data = _read(path, start)
    if start and data.count(b"\n") < 2:
        start, data = 0, _read(path)
    end = data.rfind(b"\n") + 1
    return start + end, data[:end].rpartition(b"\n")[0].rpartition(b"\n")[2]


def _last(file: File) -> int:
    """Return the last number of a file; a line that is not an event has used a number as well."""
    newest = parse(_newest(file.path)[1])
    if newest is not None:
        return int(newest["seq"])
    last = file.first - 1
    for line in _lines(_read(file.path)):
        event = parse(line)
        last = event["seq"] if event else last + 1
    return last


# Reading.


def _lines(data: bytes) -> List[bytes]:
    """Return the whole lines; what has no newline yet is being written."""
    return data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]


def _read(path: str, offset: int = 0, count: int = -1) -> bytes:
    """Return a file from an offset on, or a part of that; nothing where it has been removed meanwhile."""
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read(count)
    except FileNotFoundError:
        return b""


class Reader:
    """One reader's place in a journal: ``position`` is the last sequence number that it was given.

    Events that were removed or spoilt before it read them become one event of type ``gap``; ``lost`` is their number.
    """

    def __init__(self, directory: str, position: int = 0) -> None:
        self._directory = directory
        self.position = position
        self._inode = 0
        self._offset = 0
        self._line = b""  # the last one that was read, which ends at the offset

    def read(self) -> Iterator[Event]:
        """Yield what is there behind the position, moving it."""
        found = files(self._directory)
        if found and self._turn_to(found[-1]) and _last(found[-1]) < self.position:
            yield _gap(0, None, f"the journal has started again: it has no event {self.position}")
            self.position = 0
        start = max((file.first for file in found if file.first <= self.position + 1), default=0)
        for file in found:
            if file.first >= start:
                yield from self._read_file(file)

    def _turn_to(self, file: File) -> bool:
        """Begin with a file unless we are in it; return whether we begin.

        A file that was removed may have left its inode to the next one, so the line before our place must be there.
        """
        try:
            there = os.stat(file.path)
        except FileNotFoundError:
            return False
        before = _read(file.path, self._offset - len(self._line), len(self._line))
        if there.st_ino == self._inode and before == self._line:
            return False
        self._inode, self._offset, self._line = there.st_ino, 0, b""
        return True

    def _read_file(self, file: File) -> Iterator[Event]:
        self._turn_to(file)
        for line in _lines(_read(file.path, self._offset)):
            self._line = line + b"\n"
            self._offset += len(self._line)
            event = parse(line)
            if event is not None and event["seq"] > self.position:
                yield from self._missing(event["seq"])
                self.position = event["seq"]
                yield event

    def _missing(self, seq: int) -> Iterator[Event]:
        """Account for the numbers between the position and the next event that is there."""
        lost = seq - self.position - 1
        if lost > 0:
            self.position = seq - 1
            yield _gap(seq - 1, lost, f"{lost} events are no longer in the journal")

    def follow(self, deadline: Optional[float] = None) -> Iterator[Optional[Event]]:
        """Yield events as they come, and None when there is no event yet; end at a time of the monotonic clock."""
        while True:
            yield from self.read()
            if deadline is not None and time.monotonic() >= deadline:
                return
            yield None
            time.sleep(_POLL)


def last(directory: str) -> int:
    """Return the last sequence number of a journal; 0 when it has no event."""
    found = files(directory)
    return _last(found[-1]) if found else 0


def oldest(directory: str) -> int:
    """Return the position before the oldest event that is still there."""
    found = files(directory)
    return found[0].first - 1 if found else 0


def is_written(directory: str) -> bool:
    """Return whether a process writes the journal, without disturbing one that is about to."""
    try:
        inode = os.stat(os.path.join(directory, LOCK)).st_ino
    except OSError:
        return False
    locks = [line.split() for line in procfs.read_text("/proc/locks").splitlines() if f":{inode} " in line]
    return any(words[1] == "FLOCK" and "WRITE" in words for words in locks if len(words) > 1)


def _gap(seq: int, lost: Optional[int], text: str) -> Event:
    nobody = {"umid": None, "uml_dir": None, "pid": None, "boot": None}
    event = {"seq": seq, "time": time.time(), "host": os.uname().nodename, **nobody, "type": "gap"}
    return {**event, "severity": "warning", "data": text, "lost": lost}
