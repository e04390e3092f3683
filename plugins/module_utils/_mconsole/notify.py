# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The notify socket: the target of kernels' messages, and the means to identify the sender.

A kernel waits for its listener in the middle of its work (mconsole_user.c mconsole_notify), so a socket that is bound
and not read freezes the guest. A socket that no process holds costs it nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from typing import Iterator, List, NamedTuple, Optional, Sequence

from .errors import Error, InputError, NotAllowedError, NotThereError
from .long_queue import LongQueueHelper
from .names import MAX_SOCKET_PATH
from .socket_id import SocketId, socket_id
from .wire import MAX_DATAGRAM, encode_text

OPTION = "mconsole=notify:"
NAME = ".notify"  # in a uml_dir, where no umid of ours begins with a dot and the kernels' clean-up does not come
_SIZE = MAX_DATAGRAM + 1  # one byte more than any notification: what is longer shows
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size)  # no room for descriptors that a stranger may send along


class Datagram(NamedTuple):
    """One datagram, and the process that sent it (0 when it is of another pid namespace)."""

    data: bytes
    pid: int


def default_path(uml_dir: str) -> str:
    """Return the path of the notify socket that all instances of a uml_dir share."""
    return os.path.join(uml_dir, NAME)


def path_of(argv: Sequence[str], cwd: str) -> Optional[str]:
    """Return the path that a kernel with this command line sends to, or None; the last word counts, as for the kernel.

    What follows ``--`` is init's. The kernel takes quotes around a value away (lib/cmdline.c next_arg).
    """
    own = list(argv[1 : argv.index("--")] if "--" in argv else argv[1:])
    words = [word.replace('"', "") for word in own]
    found = [word[len(OPTION) :] for word in words if word.startswith(OPTION)]
    return os.path.normpath(os.path.join(cwd, found[-1])) if found and found[-1] else None


class Listener:
    """A notify socket, bound to its path for one user alone, with a long queue where the host allows it."""

    def __init__(self, path: str, owner: Optional[int] = None) -> None:
        """Bind to the path, as the user ``owner`` if that is another one and we are root.

        :raises InputError: when the path is too long, or a file that is not a socket is there
        :raises NotAllowedError: when another process listens there, or this user may not
        :raises NotThereError: when there is no such directory
        """
        if len(encode_text(path)) > MAX_SOCKET_PATH:
            raise InputError(f"the notify path {path!r} has over {MAX_SOCKET_PATH} bytes", path=path)
        self.path = path
        self._owner = owner
        self._sock = _roomy_socket()
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            os.fchmod(self._sock.fileno(), 0o600)  # before it has a name
            with _as_user(owner):
                self._made = _bind(self._sock, path)
        except BaseException:
            self._sock.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, to wait for datagrams."""
        return self._sock.fileno()

    def drain(self, limit: int) -> List[Datagram]:
        """Return what has come, at most so many datagrams, and do not wait."""
        found: List[Datagram] = []
        receive, dont_wait = self._sock.recvmsg, socket.MSG_DONTWAIT
        try:
            while len(found) < limit:
                data, ancillary, _flags, _address = receive(_SIZE, _SPACE, dont_wait)
                found.append(Datagram(data, _CREDENTIALS.unpack(ancillary[0][2])[0] if ancillary else 0))
        except BlockingIOError:
            pass
        return found

    def is_reached(self) -> bool:
        """Return whether the path still leads to this socket."""
        return socket_id(self.path) == self._made

    def close(self) -> None:
        """Remove the path if it is still ours, and let go of the socket."""
        with contextlib.suppress(OSError, NotAllowedError), _as_user(self._owner):
            if self.is_reached():
                os.unlink(self.path)
        self._sock.close()


def is_heard(path: str) -> Optional[bool]:
    """Return whether a process listens at a path, by a connection that sends nothing; None when that is not known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except PermissionError:
            return None
        except OSError:
            return False
    return True


def _roomy_socket() -> socket.socket:
    """Return an unbound socket, from a nursery that is gone again: new paths are rare."""
    nursery = LongQueueHelper()
    try:
        return nursery.take() or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    finally:
        nursery.close()


@contextlib.contextmanager
def _as_user(owner: Optional[int]) -> Iterator[None]:
    """Do something in another user's directory with that user's rights only: what lies there is not to be trusted."""
    ours = os.geteuid()
    if owner is None or owner == ours:
        yield
        return
    try:
        os.seteuid(owner)
    except OSError as err:
        raise NotAllowedError(f"not allowed to act for user {owner}: {err.strerror}") from err
    try:
        yield
    finally:
        os.seteuid(ours)


def _bind(sock: socket.socket, path: str) -> Optional[SocketId]:
    """Bind to the path, where a socket that no process holds may be left; the host itself follows no link there."""
    try:
        _clear(path)
        sock.bind(path)
        return socket_id(path)
    except FileNotFoundError as err:
        raise NotThereError(f"there is no directory for the notify socket {path}", path=path) from err
    except PermissionError as err:
        raise NotAllowedError(f"not allowed to make the notify socket {path}: {err.strerror}", path=path) from err
    except OSError as err:
        raise Error(f"the notify socket {path} cannot be made: {err.strerror}", path=path) from err


def _clear(path: str) -> None:
    """Remove a socket that no process holds.

    :raises Error: when a process holds it, or it is not a socket
    """
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise InputError(f"the notify path {path} exists and is not a socket", path=path)
    if is_heard(path) is not False:
        raise NotAllowedError(f"another process listens at the notify path {path}", path=path)
    os.unlink(path)
