# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Locks on the VM host: who holds a disk file, and a lock of our own that leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
import time
from typing import Iterator, Optional

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
def named(directory: str, name: str, deadline: float, busy: str) -> Iterator[None]:
    """Hold the lock of a name, as a file in a private directory that is removed by its last holder.

    :raises UnansweredError: with the text ``busy`` when another holds it past the deadline
    """
    path = os.path.join(directory, f"lock-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}")
    descriptor = _take(path, deadline, busy)
    try:
        yield
    finally:
        os.unlink(path)  # while it is held: who waits for it sees that it is gone, and makes it anew
        os.close(descriptor)


def _take(path: str, deadline: float, busy: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise UnansweredError(f"{busy}; nothing was done", sent=False)
        time.sleep(_POLL)


def _is_at(descriptor: int, path: str) -> bool:
    """Tell whether the open file is still the one at that path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
