# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A collector's status socket: it answers each connection with its state and coverage, and takes no requests."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import socket
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .._mconsole.private_dir import bases, inside_private_directory
from .named_socket import NamedSocket, name_of

_TIME = 5.0  # seconds that a collector may take to answer; it may be writing to a slow disk
_GLANCE = 1.0  # seconds for each of those that are asked together
_ROOM = 4 << 20  # bytes that it can send at once, because it does not wait for readers
_PREFIX = "collector-"
Status = Dict[str, Any]


class StatusSocket(NamedSocket):
    """The listening socket, in the user's private directory, named by the directory of the journal."""

    def __init__(self, directory: str, status: Callable[[], Status]) -> None:
        super().__init__(name_of(_PREFIX, directory))
        self._status = status
        self.open()

    def open(self) -> None:
        """Create the socket, in place of one whose process has ended."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.fchmod(sock.fileno(), 0o600)
        self.path = inside_private_directory(lambda folder: self.bind(sock, folder))
        sock.listen(64)
        sock.setblocking(False)
        self._sock = sock

    def answer(self) -> None:
        """Send the status to one client, which may not read it."""
        with contextlib.suppress(OSError):
            visitor, _address = self._sock.accept() if self._sock is not None else (None, None)
            if visitor is not None:
                with visitor:
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
                    visitor.setblocking(False)
                    visitor.sendall(json.dumps(self._status()).encode("ascii") + b"\n")

    def close(self) -> None:
        """Remove it, and the directory if no other process uses that."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.path))


def query(directory: str) -> Optional[Status]:
    """Return how the collector is that writes the journal in a directory, or None when none answers."""
    for folder in (os.path.join(base, f".uml-mconsole-{os.geteuid()}") for base in bases()):
        path = _path(folder, directory)
        found = _ask(path) if _owner(path) == os.geteuid() else None
        if found is not None:
            return found
    return None


def query_all() -> List[Tuple[int, Status]]:
    """Return (owner, how it is) of each collector that this user may ask: for root those of all users."""
    found = ((_owner(path), _ask(path, _GLANCE)) for path in (os.path.join(*parts) for parts in _status_sockets()))
    return [(owner, status) for owner, status in found if status is not None]


def _owner(path: str) -> int:
    try:
        return os.lstat(os.path.dirname(path)).st_uid
    except OSError:
        return -1


def _status_sockets() -> Iterator[Tuple[str, str]]:
    """Yield (folder, name) of all doors in the private directories of the users whose collectors this one may ask."""
    mine = f".uml-mconsole-{os.geteuid()}"
    for base in ("/run", "/tmp", *glob.glob("/run/user/*")):
        with contextlib.suppress(OSError):
            for folder in os.listdir(base):
                if folder == mine or (folder.startswith(".uml-mconsole-") and os.geteuid() == 0):
                    path = os.path.join(base, folder)
                    yield from ((path, name) for name in os.listdir(path) if name.startswith(_PREFIX))


def _path(private: str, directory: str) -> str:
    return os.path.join(private, name_of(_PREFIX, directory))


def _ask(path: str, timeout: float = _TIME) -> Optional[Status]:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(path)
            line = sock.makefile("rb").readline()
            found: Optional[Status] = json.loads(line) if line else None
            return found
    except (OSError, ValueError):
        return None
