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
import errno
import itertools
import os
import secrets
import signal
import socket
import stat
import threading
from typing import List, Optional

from . import procfs
from .errors import Error, NotAllowedError
from .wire import SAFE_BURST

ROOMY_QUEUE = 4096
_BATCH = 8
_TRIES = 20
_START_TIME = 5.0  # seconds; making a network namespace is slow on a busy host
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_counter = itertools.count()
_token = secrets.token_hex(4)  # in a container the next process may have our number, and find our left-overs


def private_directory(base: str = "") -> str:
    """Return the directory of this user's sockets, made when it is not there.

    It lies in ``base``, or in the first of :func:`bases` where nobody else was first.
    Root's may be passed through (0711), so that the instances of other users reach the one socket made for them.

    :raises NotAllowedError: when somebody else made it, or others may write there
    :raises Error: when it cannot be made
    """
    first, *others = [base] if base else bases()
    try:
        return _own_directory(first)
    except NotAllowedError:
        for each in others:
            with contextlib.suppress(NotAllowedError):
                return _own_directory(each)
        raise


def bases() -> List[str]:
    """Return where this user's directory may lie: for root in /run, where nobody can be first, for others in /tmp.

    There anybody can be first, and lock a user out so; that user's own directory in /run comes next, where there is
    one. It does not come first, since it goes with the user's last session, and some users have none.
    """
    uid = os.geteuid()
    if uid == 0:
        return ["/run" if os.path.isdir("/run") else "/tmp"]
    own = f"/run/user/{uid}"
    with contextlib.suppress(OSError):
        found = os.lstat(own)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022:
            return ["/tmp", own]
    return ["/tmp"]


def _own_directory(base: str) -> str:
    uid = os.geteuid()
    mode = 0o711 if uid == 0 else 0o700
    path = os.path.join(base, f".uml-mconsole-{uid}")
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass
    except OSError as err:
        raise Error(f"this host cannot make {path}, the directory of the client's sockets: {err.strerror}") from err
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o066:
        raise NotAllowedError(
            f"{path} is not a directory of user {uid} that nobody else may read or write"
            f" (found owner {found.st_uid}, mode {found.st_mode:07o}); remove it",
            path=path,
        )
    if stat.S_IMODE(found.st_mode) != mode:
        os.chmod(path, mode)
    return path


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
        """End the child, if there is one, and remove the directory, if nobody else uses it."""
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


class LongQueueHelper:
    """A child in a network namespace of its own, that makes unbound datagram sockets for us."""

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
    """Be the child: answer each byte with a batch of sockets until the parent is gone."""
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
    """Close what was inherited: whoever waits for its end would wait for us."""
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
