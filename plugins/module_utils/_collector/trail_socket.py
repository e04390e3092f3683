# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where operations send their accounts: a socket for this user, and one of root's collector for all other users."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional

from .._journal.trail import PREFIX, PUBLIC
from .._mconsole.private_dir import inside_private_directory
from . import operation_event
from .named_socket import NamedSocket, name_of
from .rate_limit import RateLimit
from .recorder import Recorder

_SIZE = 128 << 10  # bytes; every entry of ours is shorter
_BATCH = 100  # entries that are read before other things have their turn
_USERS = 64  # users whose rates are known
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size)  # no room for descriptors that are sent along


class TrailSocket(NamedSocket):
    """One datagram socket, and who may send to it; the VM host says which user has sent an entry."""

    def __init__(self, directory: str, is_public: bool, take: Callable[[Mapping[str, Any], int], None]) -> None:
        super().__init__(name_of(PREFIX, directory))
        self._is_public = is_public
        self._take = take
        self.open()

    def open(self) -> None:
        """Make the socket, in place of one that no process has any more."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        os.fchmod(sock.fileno(), 0o600)  # before it has a name
        if self._is_public:
            os.makedirs(PUBLIC, 0o755, exist_ok=True)
            self.path = self.bind(sock, PUBLIC)
            os.chmod(self.path, 0o666)  # bind has taken the umask's bits away
        else:
            self.path = inside_private_directory(lambda folder: self.bind(sock, folder))
        self._sock = sock

    def answer(self) -> None:
        """Take what has come; what is not an entry is left out."""
        with contextlib.suppress(BlockingIOError):
            for _entry in range(_BATCH if self._sock is not None else 0):
                self._receive()

    def _receive(self) -> None:
        if self._sock is None:
            return
        data, ancillary, _flags, _address = self._sock.recvmsg(_SIZE, _SPACE, socket.MSG_DONTWAIT)
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(data)
            if isinstance(entry, dict) and ancillary:
                self._take(entry, _CREDENTIALS.unpack(ancillary[0][2])[1])

    def close(self) -> None:
        """Take what is left, remove the socket, and its directory if no other collector uses that."""
        with contextlib.suppress(OSError):
            if self._sock is not None:
                os.unlink(self.path)
        self.answer()
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.path))


class Trail:
    """Records the entries of operations on the instances that are covered; no user crowds out others."""

    def __init__(self, recorder: Recorder, uml_dirs: Optional[List[str]], rate: float) -> None:
        self._recorder = recorder
        self._uml_dirs = uml_dirs
        self._rate = rate
        self._allowances: Dict[int, RateLimit] = {}

    def take(self, entry: Mapping[str, Any], uid: int) -> None:
        """Record an entry of a user."""
        fields = operation_event.fields_of(entry, uid)
        if self._uml_dirs is not None and fields["uml_dir"] not in (None, *self._uml_dirs):
            return
        allowance = self._allowance(uid)
        is_allowed = allowance.take()
        suppressed = allowance.pop_suppressed(False) if is_allowed else 0
        if suppressed:
            text = f"{suppressed} operations of user {operation_event.user_name(uid)} were too many at once"
            self._recorder.gap(text, suppressed)
        if is_allowed:
            self._recorder.add(operation_event.KIND, operation_event.sentence(fields), None, **fields)

    def _allowance(self, uid: int) -> RateLimit:
        if uid not in self._allowances and len(self._allowances) >= _USERS:
            del self._allowances[next(iter(self._allowances))]
        return self._allowances.setdefault(uid, RateLimit(self._rate))


def open_sockets(directory: str, trail: Trail) -> List[TrailSocket]:
    """Return the sockets of a collector; only root's has one for other users."""
    sockets = [TrailSocket(directory, False, trail.take)]
    if os.geteuid() == 0 and os.path.isdir(os.path.dirname(PUBLIC)):
        with contextlib.suppress(OSError):  # without a writable /run, other users have no socket
            sockets.append(TrailSocket(directory, True, trail.take))
    return sockets
