# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One console: one exchange at a time, each with a deadline."""

from __future__ import annotations

import errno
import math
import os
import re
import socket
import stat
import time
from typing import Callable, List, Optional, Tuple

from . import commands, dangers, procfs, syscalls
from .errors import InputError, NotAllowedError, NotThereError, ProtocolError, RefusedError, UnansweredError
from .long_queue import ROOMY_QUEUE
from .names import MAX_SOCKET_PATH
from .reply_sockets import ReplySocket, ReplySockets
from .wire import MAX_DATAGRAM, SAFE_BURST, Assembly, Packet, Reply, Request, decode_text, encode_text

TIMEOUT = 5.0
_SETTLED = 0.05  # seconds after which a new socket is listened to (measured: up to 0.01), and a new driver has disks
_YOUNG = 10.0  # seconds from its console on for which a kernel may lack drivers; measured: 0.7 on an idle VM host
_QUIET = 0.5  # seconds without a packet after which the end of a reply that overflowed counts as lost
_READ_SIZE = MAX_DATAGRAM + 1  # so that an over-long one is seen as such
_PACKET_COST = 1536  # bytes at most that the host counts for one datagram of a reply (1280 on x86)
_SEND_ROOM = 212992  # net.core.wmem_default of Linux
_DISK_DRIVER = re.compile(r"^ *[0-9]+ ubd$", re.MULTILINE)
_RELEASE = re.compile(r".* ([0-9]+\.[0-9]\S*) #", re.DOTALL)  # after a node name that may hold anything


class Console(dangers.DangerContext):
    """The console of one instance.

    ``path`` is its socket, ``timeout`` seconds bound each exchange; ``read_only`` makes every command that
    changes something a fault of ours (check mode). ``sent`` lists the commands that were sent, in order.
    """

    def __init__(
        self,
        path: str,
        umid: str = "",
        timeout: float = TIMEOUT,
        sockets: Optional[ReplySockets] = None,
        read_only: bool = False,
        log: Optional[Callable[[str], None]] = None,
    ) -> None:
        self.path = path
        self.umid = umid or os.path.basename(os.path.dirname(path))
        self.timeout = timeout
        self.read_only = read_only
        self.sent: List[str] = []
        self._sockets = sockets or _shared
        self._log = log
        self._first: Optional[Tuple[int, ...]] = None
        self._found: Optional[Tuple[Tuple[int, int], int, int]] = None
        self._driven: Optional[Tuple[int, ...]] = None  # the console with which there was a disk driver
        self._has_settled = False

    def command(self, text: str, force: bool = False, timeout: Optional[float] = None) -> Reply:
        """Send a command and return the kernel's OK.

        :raises InputError: when it is no command; nothing was sent
        :raises DangerError: when it would kill or freeze the instance and force is not given; nothing was sent
        :raises RefusedError: when the kernel said no
        :raises NotThereError: when nobody listens
        :raises NotAllowedError: when this user may not send
        :raises UnansweredError: when no answer came in time: it may have happened
        """
        reply = self.request(text, force, timeout)
        if not reply.ok:
            said = reply.text.strip() or os.strerror(-reply.err if reply.err < 0 else errno.EIO)
            raise RefusedError(
                f"{self.umid} refused {text!r}: {said}", umid=self.umid, command=text, err=reply.err, said=reply.text
            )
        return reply

    def request(self, text: str, force: bool = False, timeout: Optional[float] = None) -> Reply:
        """Send a command and return the kernel's answer, be it OK or not; else as :meth:`command`."""
        command = commands.parse(text)
        if self.read_only and command.changes:
            raise AssertionError(f"a command that changes something was planned in check mode: {text!r}")
        if not force:
            dangers.refuse_if_dangerous(command, self)
        return self.exchange(command.request, command.word.long_reply, timeout)

    def ask(self, text: str) -> Optional[str]:
        """Return the text that answers a query, or None when the kernel said no.

        :raises UnansweredError: also when the answer did not arrive whole: half of a list proves nothing
        """
        reply = self.request(text)
        if reply.truncated:
            raise UnansweredError(
                f"the answer of {self.umid} to {text!r} did not arrive whole ({reply.packets} packets of it did)",
                umid=self.umid,
                command=text,
                truncated=True,
            )
        return reply.text if reply.ok else None

    def proc(self, path: str) -> Optional[str]:
        """Return a file of the guest's /proc, or None when it cannot be read there; ``1/root/...`` is any file.

        :raises UnansweredError: as :meth:`ask`; ``command("proc ...")`` returns what there is, marked as truncated
        """
        text = self.ask(f"proc {path}")
        return text[1:] if text and text.startswith("\n") else text

    def exchange(self, request: Request, long_reply: bool = False, timeout: Optional[float] = None) -> Reply:
        """Send one request over a fresh socket and return the whole reply; no danger is looked for here."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            room = self._send_room() if long_reply else SAFE_BURST
            with self._sockets.bound(long_reply) as bound:
                found = _connect(bound.sock, self.path)  # from here on the host lets nobody else send to this socket
                self._first = self._first or _identity(found)
                if found.st_uid:  # root needs no permission to answer
                    bound.admit(found.st_uid)
                self._send(bound.sock, request, deadline)
                return self._collect(bound, min(bound.capacity, room), deadline, request.text)
        except OSError as err:
            raise self._explain(err, request.text) from err

    def _send(self, sock: socket.socket, request: Request, deadline: float) -> None:
        """Send at once, or wait for room in the instance's queue: it is 11 deep, and full when the instance hangs."""
        try:
            sock.send(request.to_bytes(), socket.MSG_DONTWAIT)
        except BlockingIOError:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            sock.send(request.to_bytes())
        self.sent.append(request.text)
        if self._log is not None:
            self._log(request.text)

    def _collect(self, bound: ReplySocket, capacity: int, deadline: float, text: str) -> Reply:
        """Return the reply, or what came of it by the deadline, marked as truncated."""
        try:
            bound.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            first = Packet.from_bytes(bound.sock.recv(_READ_SIZE))
            if not first.more:  # nearly always
                return Reply(first.err, decode_text(first.data))
            return _collect_more(bound.sock, Assembly(capacity, first), deadline)
        except OSError as err:  # the time is over; whatever else it is, the command was sent
            raise UnansweredError(
                f"{self.umid} did not answer {text!r} within its time; it may have happened, {self._fate()}",
                umid=self.umid,
                command=text,
            ) from err
        except ProtocolError as err:
            raise ProtocolError(f"{self.umid} answered {text!r} with what is no reply: {err}", umid=self.umid) from err

    def _explain(self, err: OSError, text: str) -> Exception:
        """Return the error of the tree that a failed system call means."""
        facts = {"umid": self.umid, "path": self.path, "command": text}
        if isinstance(err, socket.timeout) or err.errno == errno.EAGAIN:
            return UnansweredError(
                f"{self.umid} takes no more commands (its queue is full), so {text!r} was not sent", sent=False, **facts
            )
        if err.errno in (errno.ENOENT, errno.ENOTDIR):
            return NotThereError(
                f"no instance {self.umid!r}: there is no console at {self.path}{self._boots()}", **facts
            )
        if err.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN):
            return NotThereError(f"the instance {self.umid!r} is gone: nobody listens at {self.path}", **facts)
        if err.errno in (errno.EACCES, errno.EPERM):
            return NotAllowedError(f"not allowed to use the console of {self.umid!r} at {self.path}", **facts)
        if err.errno is None or err.errno == errno.ENAMETOOLONG:
            return InputError(f"the console path {self.path!r} has over {MAX_SOCKET_PATH} bytes", **facts)
        return NotThereError(f"the console of {self.umid!r} at {self.path} cannot be used: {err.strerror}", **facts)

    # What became of the instance.

    def started_anew(self) -> bool:
        """Tell whether the console is another than at the first command: what was done then is gone."""
        now = self._now()
        return None not in (self._first, now) and self._first != now

    def _now(self) -> Optional[Tuple[int, ...]]:
        """Return which console it is now, or None without."""
        status = self._status()
        return None if status is None else _identity(status)

    def _status(self) -> Optional[os.stat_result]:
        try:
            return os.stat(self.path)
        except OSError:
            return None

    def is_over(self) -> bool:
        """Tell whether the instance of the first command has ended, or was started anew."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            return sock.connect_ex(self.path) in (errno.ECONNREFUSED, errno.ENOENT) or self.started_anew()

    @property
    def is_young(self) -> bool:
        """Tell whether its kernel may still lack drivers."""
        return 0 <= self.age() < _YOUNG

    def age(self) -> float:
        """Return for how many seconds there has been this console, which each boot makes anew; infinite without.

        It is below zero when the VM host's clock was set back since.
        """
        status = self._status()
        return math.inf if status is None else time.time() - status.st_ctime

    def _fate(self) -> str:
        """Say why there may have been no answer."""
        if self.is_over():
            return "and the instance has ended or was started anew"
        return "or the instance hangs"

    def _boots(self) -> str:
        """Say of an instance without a console whether it may still get one."""
        pid = self.pid()
        alive = pid is not None and os.path.exists(f"/proc/{pid}")
        return f" yet; process {pid} of its pid file runs, so it may be booting" if alive else ""

    # What the table of dangers asks about.

    def paused(self) -> Optional[bool]:
        """Tell whether the instance is stopped or frozen, from the VM host's /proc; None when it cannot be seen.

        A stopped kernel makes its console socket blocking (mconsole_stop); no command tells.
        """
        end = self._kernel_end()
        flags = procfs.descriptor_flags(*end) if end is not None else None
        return None if flags is None else not flags & os.O_NONBLOCK

    def drives_disks(self) -> bool:
        """Tell whether the guest's disk driver is there, and has looked for its disks.

        The console answers before (ubd_kern.c: ubd_init is a late initcall), and takes disks for it; ubd_init adds each
        of them again, fails, and panics where it prints why. It is listed a moment before it does so.
        """
        if not self.has_disk_driver():
            return False
        if not self._has_settled:
            time.sleep(_SETTLED if self.is_young else 0.0)
            self._has_settled = True
        return True

    def has_disk_driver(self) -> bool:
        """Tell whether the guest lists its disk driver, which is looked for once a boot."""
        now = self._now()
        if now is None or self._driven != now:
            self._has_settled = False
            self._driven = now if _DISK_DRIVER.search(self.proc("devices") or "") else None
        return self._driven is not None

    def release(self) -> str:
        """Return the kernel's release, such as ``6.1.176``, or nothing when it does not tell."""
        found = _RELEASE.match(self.ask("version") or "")
        return found.group(1) if found is not None else ""

    def pid(self) -> Optional[int]:
        """Return the instance's main process from its pid file, or None."""
        return procfs.read_pid(os.path.join(os.path.dirname(self.path), "pid"))

    # The other end of the socket, in the instance's main process.

    def _kernel_end(self) -> Optional[Tuple[int, int]]:
        """Return (process, descriptor) of the kernel's socket, looked for again when it was made anew (a reboot)."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return None
        _wait_until_listening(status)
        made = (status.st_ino, status.st_ctime_ns)
        if self._found is None or self._found[0] != made:
            self._found = self._look_for_kernel_end(made)
        return None if self._found is None else self._found[1:]

    def _look_for_kernel_end(self, made: Tuple[int, int]) -> Optional[Tuple[Tuple[int, int], int, int]]:
        pid = self.pid()
        if pid is None:
            return None
        name = os.path.basename(os.path.dirname(self.path))  # it may know itself by a relative path
        descriptor = procfs.socket_descriptor(pid, procfs.socket_inodes(pid, f"{name}/mconsole"))
        return None if descriptor is None else (made, pid, descriptor)

    def _send_room(self) -> int:
        """Return how many datagrams the kernel can have under way to us, which is made as many as may be."""
        end = self._kernel_end()
        size = syscalls.widen(*end, ROOMY_QUEUE * _PACKET_COST) if end is not None else None
        return (size or _SEND_ROOM) // _PACKET_COST


def _identity(status: os.stat_result) -> Tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _connect(sock: socket.socket, path: str) -> os.stat_result:
    """Connect to the very socket that lies at a path, and return its status.

    Who may write there could put a link to another's console in its place, or a second name of it, and have a command
    that is meant for the one go to the other. What was looked at is what is connected to.

    :raises OSError: when it is not there, is no socket, or nobody listens
    """
    if len(encode_text(path)) > MAX_SOCKET_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        handle = os.open(os.path.basename(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        found = os.fstat(handle)
        if not stat.S_ISSOCK(found.st_mode) or found.st_nlink > 1:
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        sock.connect(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    _wait_until_listening(found)
    return found


def _wait_until_listening(found: os.stat_result) -> None:
    """Wait until a kernel that has just made its socket listens to it, too.

    It makes the socket first (mconsole_kern.c mconsole_init). For a moment this is blocking, as that of a paused kernel
    is; and what comes before its interrupt is there wakes nobody, and is answered with the next request.
    """
    age = time.time() - found.st_ctime
    if 0 <= age < _SETTLED:
        time.sleep(_SETTLED - age)


def _collect_more(sock: socket.socket, assembly: Assembly, deadline: float) -> Reply:
    """Return a reply of several packets, with what came of it in time."""
    left = deadline - time.monotonic()
    while left > 0 and assembly.feed(_next(sock, assembly, left)):
        left = deadline - time.monotonic()
    return assembly.reply()


def _next(sock: socket.socket, assembly: Assembly, left: float) -> bytes:
    """Return the next datagram, or nothing when none comes in the time that is left."""
    sock.setblocking(False)
    try:
        return sock.recv(_READ_SIZE)
    except BlockingIOError:
        assembly.drained()
    sock.settimeout(min(left, _QUIET) if assembly.may_be_cut else left)
    try:
        return sock.recv(_READ_SIZE)
    except socket.timeout:
        return b""


_shared = ReplySockets()
