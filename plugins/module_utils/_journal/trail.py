# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The way of an operation's account into a journal: to the collectors that run, or else into the journal itself."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from typing import Any, Dict, Iterable, Iterator, List, Optional

from .._mconsole.private_dir import bases
from . import journal
from .event_line import Event

PUBLIC = "/run/uml-mconsole"  # where root's collectors listen to the other users
PREFIX = "trail-"
_PATIENCE = 0.2  # seconds that a collector may take, and that another process may hold the journal
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR)
Entry = Dict[str, Any]


def send(entry: Entry) -> bool:
    """Send an entry to all collectors that take it from this user; return whether one of this user's own has it.

    :raises OSError: when a collector that is there does not take it
    """
    data = json.dumps(entry).encode("ascii")
    uid = os.geteuid()
    has_own = [_send(path, data) for path in _sockets(os.path.join(base, f".uml-mconsole-{uid}") for base in bases())]
    if uid != 0:
        for path in _sockets([PUBLIC]):
            _send(path, data)
    return any(has_own)


def _sockets(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        with contextlib.suppress(OSError):
            if os.lstat(folder).st_uid in (0, os.geteuid()):
                names: List[str] = os.listdir(folder)
                yield from (os.path.join(folder, name) for name in names if name.startswith(PREFIX))


def _send(path: str, data: bytes) -> bool:
    """Return whether a collector has taken the data; one that has died has left its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_PATIENCE)
        try:
            sock.sendto(data, path)
        except OSError as err:
            if err.errno in _ABSENT:
                return False
            raise
    return True


def append(directory: str, event: Event) -> None:
    """Write one event to a journal that no collector writes, within the size that its last collector gave it.

    :raises Error: when another process writes it, or the directory is not this user's alone
    :raises OSError: when there is no room
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # others that add an event
        with contextlib.closing(journal.Writer(directory, _limit(directory), _visit)) as writer:
            writer.append(event)
    finally:
        os.close(descriptor)


def _visit(path: str) -> int:
    """Return the writer's lock, taken shared, so that other processes do not take this one for a collector."""
    return journal.take_lock(path, fcntl.LOCK_SH, _PATIENCE)


def _limit(directory: str) -> int:
    """Return the bytes that the last collector allowed the journal."""
    noted: Optional[int] = None
    with contextlib.suppress(OSError, ValueError), open(os.path.join(directory, journal.LOCK), "rb") as stream:
        noted = int(stream.read(32))
    return noted or journal.LIMIT
