# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The client's own sockets: private, path-bound, fresh for each exchange, and roomy where the host allows it.

A kernel never waits for its client: what does not fit the client's queue is dropped. The queue's length is
net.unix.max_dgram_qlen of the network namespace in which the *client's* socket was made, so a child process of
ours makes sockets in a separate namespace, where that is large, and hands them over; bound to a path, they reach
instances of every other namespace.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import socket
import stat
import threading
from typing import Optional

from . import procfs
from .errors import Error, NotAllowedError
from .long_queue import ROOMY_QUEUE, LongQueueHelper
from .private_dir import private_directory
from .wire import SAFE_BURST

_TRIES = 20
_counter = itertools.count()
_token = secrets.token_hex(4)  # in a container the next process may have our number, and find our left-overs


def sweep(directory: str) -> None:
    """Remove the reply sockets that processes which died in the middle left behind."""
    for name in os.listdir(directory):
        if name.startswith("r"):
            with contextlib.suppress(OSError):
                _remove_dead(os.path.join(directory, name))


def _remove_dead(path: str) -> None:
    """Remove a socket that no process holds, be it of this container or another: the host refuses to lead to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if sock.connect_ex(path) == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)


class ReplySocket:
    """A socket for one exchange, with its private path; ``capacity`` datagrams cannot be lost in it."""

    __slots__ = ("capacity", "path", "sock")

    def __init__(self, sock: socket.socket, path: str, queue: int) -> None:
        self.sock = sock
        self.path = path
        self.capacity = queue + 1  # the host looks before it queues

    def __enter__(self) -> ReplySocket:
        return self

    def admit(self, owner: int) -> None:
        """Let a user's instance answer.

        :raises NotAllowedError: when we are neither that user nor root
        """
        if owner == os.geteuid():
            return
        try:
            os.chown(self.path, owner, -1)
        except OSError as err:
            raise NotAllowedError(
                f"an instance of user {owner} cannot answer user {os.geteuid()}: {err.strerror}", path=self.path
            ) from err

    def __exit__(self, *exception: object) -> None:
        self.sock.close()
        try:  # noqa: SIM105  # every exchange comes by, and a try costs nothing
            os.unlink(self.path)
        except OSError:
            pass  # a cleaner of /tmp may have been here


class ReplySockets:
    """Makes the socket of one exchange; ``roomy=True`` also keeps a child that makes them with a long queue.

    Threads may share one.
    """

    def __init__(self, roomy: bool = True) -> None:
        self._directory = ""
        self._nursery: Optional[LongQueueHelper] = None
        self._wants_roomy = roomy
        self._queue = _own_queue()
        self._lock = threading.Lock()

    def bound(self, long_reply: bool) -> ReplySocket:
        """Return a context with the ``sock`` of an exchange.

        :raises Error: when this host cannot make it now
        """
        roomy = self._roomy_socket() if long_reply else None
        sock = roomy or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            os.fchmod(sock.fileno(), 0o600)  # before it has a name
            return ReplySocket(sock, self._bind(sock), ROOMY_QUEUE if roomy else self._queue)
        except OSError as err:
            sock.close()
            where = self._directory or "its private directory"
            raise Error(f"this host cannot make a socket to be answered at in {where}: {err.strerror}") from err

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
            self._nursery = LongQueueHelper()

    def close(self) -> None:
        """End the child, if there is one, and remove the directory, if no other process uses it."""
        with self._lock:
            if self._nursery is not None:
                self._nursery.close()
                self._nursery = None
        if self._directory:
            with contextlib.suppress(OSError):
                os.rmdir(self._directory)

    def _bind(self, sock: socket.socket) -> str:
        """Bind to a fresh path and return it: a late answer to an earlier command goes to the path that asked for it.

        The directory may go under our feet: the last client of this user takes it along, and so may a cleaner.
        """
        name = f"/r{os.getpid()}-{_token}-{next(_counter)}"
        for left in range(_TRIES, -1, -1):
            try:
                path = (self._directory or self.directory) + name
                sock.bind(path)
                break
            except FileNotFoundError:
                self._directory = ""
                if not left:
                    raise
        return path

    def _roomy_socket(self) -> Optional[socket.socket]:
        if not self._wants_roomy:
            return None
        with self._lock:
            self.start()
            return self._nursery.take() if self._nursery is not None else None


def _own_queue() -> int:
    """Return the length of the queue of a socket that is made here."""
    text = procfs.read_text("/proc/sys/net/unix/max_dgram_qlen").strip()
    return int(text) if text.isdigit() else SAFE_BURST - 1
