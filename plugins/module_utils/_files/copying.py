# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Copies of large files: shared blocks where the file system can, else without the holes, and never for too long."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from typing import Iterator, NamedTuple, Optional, Tuple

FileId = Tuple[int, int]  # st_dev, st_ino
_FICLONE = 0x40049409  # linux/fs.h
_PART = 8 << 20  # bytes between looks at the clock
_BLOCK = 64 << 10  # bytes that a fingerprint looks at together
_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


class TooLateError(OSError):
    """The deadline passed before the copy was whole."""


class Copied(NamedTuple):
    """How a file was copied (``reflink`` or ``sparse``), its size in bytes, and the bytes that it takes on the disk."""

    method: str
    size: int
    allocated: int


def copy(source: str, target: str, deadline: float, known: Optional[FileId] = None) -> Copied:
    """Copy a regular file into one that is not there yet, for its owner alone, with the times of the source.

    :raises OSError: when that fails, or it is another file than the known one; a part of the target may be there then
    :raises TooLateError: when the deadline of the monotonic clock passed
    """
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        there = os.fstat(reading)
        if known not in (None, (there.st_dev, there.st_ino)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), source)
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            method = "reflink" if _clone(reading, writing) else _copy_data(reading, writing, deadline)
            found = os.fstat(reading)
            os.utime(writing, ns=(found.st_atime_ns, found.st_mtime_ns))
            made = os.fstat(writing)
            return Copied(method, made.st_size, made.st_blocks * 512)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def can_share(source: str, folder: str) -> bool:
    """Return whether a copy of a file in a folder would share its blocks, and so needs no room."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with tempfile.TemporaryFile(dir=folder) as target:
            return _clone(reading, target.fileno())
    finally:
        os.close(reading)


def fsync_file(path: str) -> None:
    """Force a file to the disk, which takes longer than to copy it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(path: str) -> str:
    """Return a hash of the content of a file that does not depend on where it has holes; holes are not read."""
    made = hashlib.sha256()
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        last = -1
        for start, end in extents(stream.fileno(), size):
            for number in range(max(start // _BLOCK, last + 1), -(-end // _BLOCK)):
                block = os.pread(stream.fileno(), _BLOCK, number * _BLOCK)
                last = number
                if block.strip(b"\0"):
                    made.update(b"%d:" % number + block)
        made.update(b"%d" % size)
    return made.hexdigest()


def _clone(reading: int, writing: int) -> bool:
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
    except OSError as err:
        if err.errno in _CANNOT_CLONE:
            return False
        raise
    return True


def _copy_data(reading: int, writing: int, deadline: float) -> str:
    size = os.fstat(reading).st_size
    os.ftruncate(writing, size)
    for start, end in extents(reading, size):
        while start < end:
            if time.monotonic() > deadline:
                raise TooLateError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            start += _copy_part(reading, writing, start, min(_PART, end - start))
    return "sparse"


def extents(descriptor: int, size: int) -> Iterator[Tuple[int, int]]:
    """Yield where a file has data; a file system without that knowledge says that it is all data."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as err:
            if err.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _copy_part(reading: int, writing: int, offset: int, length: int) -> int:
    """Copy some bytes to the same place and return how many."""
    try:
        done = os.copy_file_range(reading, writing, length, offset, offset)
    except OSError as err:
        if err.errno not in _CANNOT_CLONE:
            raise
        done = os.pwrite(writing, os.pread(reading, length, offset), offset)
    if not done:
        raise OSError(errno.EIO, "the file became shorter while it was copied")
    return done
