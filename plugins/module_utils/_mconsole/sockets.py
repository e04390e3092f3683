# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The client's own sockets: private, path-bound, fresh for each exchange, and roomy where the host allows it.

A kernel never waits for its client: what does not fit the client's queue is dropped. The queue's length is
net.unix.max_dgram_qlen of the network namespace in which the *client's* socket was made, so a child process of
ours makes sockets in a namespace of its own, where that is large, and hands them over; bound to a path, they
reach instances of every other namespace.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import socket
import stat
import threading
from typing import Iterator, List, Optional, Tuple

from .errors import NotAllowedError

ROOMY_QUEUE = 4096
_BATCH = 8
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_counter = itertools.count()


def private_directory(base: str = "/tmp") -> str:
    """Return the directory of this user's sockets, made when it is not there.

    Root's may be passed through (0711), so that the instances of other users reach the one socket made for them.

    :raises NotAllowedError: when somebody else made it, or others may write there
    """
    mode = 0o711 if os.geteuid() == 0 else 0o700
    path = os.path.join(base, f".uml-mconsole-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o066:
        raise NotAllowedError(
            f"{path} is not a directory of user {os.geteuid()} that nobody else may read or write"
            f" (found owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}); remove it",
            path=path,
        )
    if stat.S_IMODE(found.st_mode) != mode:
        os.chmod(path, mode)
    return path


def sweep(directory: str) -> None:
    """Remove the reply sockets that processes which died in the middle left behind."""
    for name in os.listdir(directory):
        pid = name[1:].partition("-")[0]
        if name.startswith("r") and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(directory, name))


class Sockets:
    """Makes the socket of one exchange; ``roomy=True`` also keeps a child that makes them with a long queue."""

    def __init__(self, roomy: bool = True) -> None:
        self._directory = ""
        self._nursery: Optional[Nursery] = None
        self._wants_roomy = roomy
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def bound(self, long_reply: bool, owner: int) -> Iterator[Tuple[socket.socket, bool]]:
        """Yield (socket bound to a fresh private path, whether its queue is roomy); owner may answer to it."""
        sock = self._roomy_socket() if long_reply else None
        roomy = sock is not None
        with sock or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            path = f"{self.directory}/r{os.getpid()}-{next(_counter)}"
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(path)
            try:
                if owner != os.geteuid():
                    os.chown(path, owner, -1)
                yield sock, roomy
            finally:
                os.unlink(path)

    @property
    def directory(self) -> str:
        """Return the private directory, made and swept at first use."""
        if not self._directory:
            directory = private_directory()
            sweep(directory)
            self._directory = directory
        return self._directory

    def start(self) -> None:
        """Start the child that makes roomy sockets; to be called while there is one thread only."""
        if self._nursery is None and self._wants_roomy:
            self._nursery = Nursery()

    def close(self) -> None:
        """End the child, if there is one."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def _roomy_socket(self) -> Optional[socket.socket]:
        with self._lock:
            self.start()
            return self._nursery.take() if self._nursery is not None else None


class Nursery:
    """A child in a network namespace of its own, that makes unbound datagram sockets for us."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._ready: List[socket.socket] = []
        self._pid = os.fork()
        if self._pid == 0:
            _serve_sockets(theirs)
        theirs.close()

    def take(self) -> Optional[socket.socket]:
        """Return a roomy socket, or None when this host does not let us make one."""
        if not self._ready and self._pid:
            self._ready = self._fetch()
            if not self._ready:
                self.close()
        return self._ready.pop() if self._ready else None

    def close(self) -> None:
        """End the child and forget its sockets."""
        if self._pid:
            self._ours.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
        for sock in self._ready:
            sock.close()
        self._ready = []

    def _fetch(self) -> List[socket.socket]:
        try:
            self._ours.sendall(b"?")
            _data, ancillary, _flags, _address = self._ours.recvmsg(1, socket.CMSG_SPACE(_BATCH * 4))
        except OSError:
            return []
        descriptors = array.array("i")
        for _level, _type, data in ancillary:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _serve_sockets(channel: socket.socket) -> None:
    """Be the child: answer each byte with a batch of sockets until the parent is gone."""
    try:
        keep = channel.fileno()
        limit = os.sysconf("SC_OPEN_MAX")
        os.closerange(0, keep)
        os.closerange(keep + 1, min(limit, 4096))
        _enter_roomy_namespace()
        while channel.recv(1):
            _hand_over(channel)
    finally:
        os._exit(0)


def _hand_over(channel: socket.socket) -> None:
    made = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(_BATCH)]
    descriptors = array.array("i", [sock.fileno() for sock in made])
    channel.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
    for sock in made:
        sock.close()


def _enter_roomy_namespace() -> None:
    """Move into a network namespace with long datagram queues.

    :raises OSError: when the host does not let this user
    """
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWNET if uid == 0 else _CLONE_NEWNET | _CLONE_NEWUSER)
    if uid != 0:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    _write("/proc/sys/net/unix/max_dgram_qlen", str(ROOMY_QUEUE))


def _unshare(flags: int) -> None:
    """Call unshare(2); os.unshare exists from Python 3.12 only."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)
