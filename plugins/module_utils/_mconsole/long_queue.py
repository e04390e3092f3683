# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A child process that makes sockets with a long queue, in a separate network namespace."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import socket
from typing import List, Optional

ROOMY_QUEUE = 4096
_BATCH = 8
_START_TIME = 5.0  # seconds; making a network namespace is slow on a busy host
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


class LongQueueHelper:
    """A child in a separate network namespace that makes unbound datagram sockets for us."""

    def __init__(self) -> None:
        import ctypes  # noqa: F401  # the child needs it, and should not import while other threads hold locks

        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(_START_TIME)
        self._ready: List[socket.socket] = []
        self._owner = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _serve_sockets(theirs)
        theirs.close()

    def take(self) -> Optional[socket.socket]:
        """Return a roomy socket, or None when this host does not let us make one."""
        if not self._ready and self._pid and self._owner == os.getpid():
            self._ready = self._fetch()
            if not self._ready:
                self.close()
        return self._ready.pop() if self._ready else None

    def close(self) -> None:
        """End the child and forget its sockets; a process forked from ours forgets them only."""
        if self._pid and self._owner == os.getpid():
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._pid, os.WNOHANG) == (0, 0):  # it is still our child, and runs
                    os.kill(self._pid, signal.SIGKILL)
                    os.waitpid(self._pid, 0)
        self._pid = 0
        self._ours.close()
        for sock in self._ready:
            sock.close()
        self._ready = []

    def _fetch(self) -> List[socket.socket]:
        descriptors = array.array("i")
        try:
            self._ours.sendall(b"?")
            space = socket.CMSG_SPACE(_BATCH * descriptors.itemsize)
            _data, ancillary, _flags, _address = self._ours.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return []
        for _level, _type, data in ancillary:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _serve_sockets(channel: socket.socket) -> None:
    """Run the child: answer each byte with a batch of sockets until the parent is gone."""
    try:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the parent's handlers are not for us; we end when it does
        _close_all_but(channel.fileno())
        _enter_roomy_namespace()
        while channel.recv(1):
            _hand_over(channel)
    finally:
        os._exit(0)


def _close_all_but(keep: int) -> None:
    """Close the inherited descriptors: a process that waits for the end of one would wait for us."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) != keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _hand_over(channel: socket.socket) -> None:
    made = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _each in range(_BATCH)]
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
