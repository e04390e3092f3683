# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Locks on the VM host: the holder of a disk file, and our own lock that leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
import time
from typing import Callable, Iterator, Optional, Tuple

from .errors import UnansweredError

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit machines, the only ones with current kernels of this kind
_POLL = 0.02


def holder(path: str, exclusive: bool) -> Optional[int]:
    """Return a process whose lock on the file would keep a kernel from it (F_GETLK), or None.

    After a crash that may be a process that is gone: its helpers hold the lock on (kernels 6.1 and 6.12).
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        kind, _whence, _start, _length, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


@contextlib.contextmanager
def named(directory: Callable[[], str], name: str, deadline: float, busy: str) -> Iterator[None]:
    """Hold the lock of a name: a file in the private directory that ``directory`` makes. Its holder removes the file.

    :raises UnansweredError: with the text ``busy`` when another task holds it past the deadline
    """
    path, descriptor = _take(directory, f"lock-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}", deadline, busy)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):  # a cleaner of /tmp may have removed it
            os.unlink(path)  # while it is held: a task that waits for it sees that it is gone, and makes another
        os.close(descriptor)


def _take(directory: Callable[[], str], name: str, deadline: float, busy: str) -> Tuple[str, int]:
    """Return the path and the descriptor of a lock that is held, on the file that is at the path after that.

    The directory is made at each try: the last client of this user removes it when it ends.
    """
    while True:
        with contextlib.suppress(FileNotFoundError):
            path = os.path.join(directory(), name)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if _is_held(descriptor, path):
                return path, descriptor
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise UnansweredError(f"{busy}; nothing was done", sent=False)
        time.sleep(_POLL)


def _is_held(descriptor: int, path: str) -> bool:
    """Lock an open file and return whether that worked, and the file is still the one at its path."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_at(descriptor, path)


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether the open file is still the one at that path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
