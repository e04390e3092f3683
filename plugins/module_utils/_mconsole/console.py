# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One console: one exchange at a time, each with a deadline.

This file holds the meaning of a failed exchange and the questions of the table of dangers; `exchange.py` holds the
exchange itself.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Callable, List, Optional

from . import commands, dangers, disk_driver, exchange, parsing, socket_id
from .disk_driver import DiskDriver
from .errors import InputError, NotAllowedError, NotThereError, ProtocolError, RefusedError, UnansweredError
from .kernel_socket import KernelSocket
from .names import MAX_SOCKET_PATH
from .reply_sockets import ReplySocket, ReplySockets
from .socket_id import SocketId, id_of
from .wire import SAFE_BURST, TIMEOUT, Reply, Request


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
        self._first: Optional[SocketId] = None
        self._kernel_socket = KernelSocket(path)
        self._disk_driver = DiskDriver(path, lambda: self.proc("devices"))

    def command(self, text: str, force: bool = False, timeout: Optional[float] = None) -> Reply:
        """Send a command and return the kernel's OK.

        :raises InputError: when it is not a command; nothing was sent
        :raises DangerError: when it would kill or freeze the instance and force is not given; nothing was sent
        :raises RefusedError: when the kernel said no
        :raises NotThereError: when no process listens
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
            room = self._kernel_socket.send_room() if long_reply else SAFE_BURST
            with self._sockets.bound(long_reply) as bound:
                found = exchange.connect(bound.sock, self.path)  # from here on only this console can answer it
                self._first = self._first or id_of(found)
                if found.st_uid:  # root needs no permission to answer
                    bound.admit(found.st_uid)
                self._send(bound.sock, request, deadline)
                return self._collect(bound, min(bound.capacity, room), deadline, request.text)
        except OSError as err:
            raise self._explain(err, request.text) from err

    def _send(self, sock: socket.socket, request: Request, deadline: float) -> None:
        exchange.send(sock, request, deadline)
        self.sent.append(request.text)
        if self._log is not None:
            self._log(request.text)

    def _collect(self, bound: ReplySocket, capacity: int, deadline: float, text: str) -> Reply:
        try:
            return exchange.collect(bound, capacity, deadline)
        except OSError as err:  # the command was sent, also when this failed
            raise UnansweredError(
                f"{self.umid} did not answer {text!r} within its time; it may have happened, {self._fate()}",
                umid=self.umid,
                command=text,
            ) from err
        except ProtocolError as err:
            raise ProtocolError(
                f"{self.umid} answered {text!r} with a packet that is not a reply: {err}", umid=self.umid
            ) from err

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
            return NotThereError(f"the instance {self.umid!r} is gone: no process listens at {self.path}", **facts)
        if err.errno in (errno.EACCES, errno.EPERM):
            return NotAllowedError(f"not allowed to use the console of {self.umid!r} at {self.path}", **facts)
        if err.errno is None or err.errno == errno.ENAMETOOLONG:
            return InputError(f"the console path {self.path!r} has over {MAX_SOCKET_PATH} bytes", **facts)
        return NotThereError(f"the console of {self.umid!r} at {self.path} cannot be used: {err.strerror}", **facts)

    # What became of the instance.

    def has_restarted(self) -> bool:
        """Return whether the instance has booted again after the first command: what was done then is gone."""
        now = socket_id.socket_id(self.path)
        return None not in (self._first, now) and self._first != now

    def is_over(self) -> bool:
        """Return whether the instance of the first command has ended or has booted again."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            return sock.connect_ex(self.path) in (errno.ECONNREFUSED, errno.ENOENT) or self.has_restarted()

    @property
    def is_young(self) -> bool:
        """Return whether the kernel booted so recently that it may lack drivers."""
        return disk_driver.is_young(self.path)

    def age(self) -> float:
        """Return the seconds since the kernel made this console, at each boot a new one; infinite without a console.

        The age is below zero when the VM host's clock was set back after that.
        """
        return socket_id.age(self.path)

    def _fate(self) -> str:
        """Return why there may have been no answer."""
        if self.is_over():
            return "and the instance has ended or has restarted"
        return "or the instance hangs"

    def _boots(self) -> str:
        """Return, for an instance without a console, that it may be booting, if its process runs."""
        pid = self.pid()
        alive = pid is not None and os.path.exists(f"/proc/{pid}")
        return f" yet; process {pid} of its pid file runs, so it may be booting" if alive else ""

    # What the table of dangers asks about.

    def paused(self) -> Optional[bool]:
        """Return whether the instance is stopped or frozen, from the VM host's /proc; None when it cannot be seen."""
        return self._kernel_socket.paused()

    def drives_disks(self) -> bool:
        """Return whether the guest's disk driver is there and has looked for its disks."""
        return self._disk_driver.is_ready()

    def has_disk_driver(self) -> bool:
        """Return whether the guest lists its disk driver."""
        return self._disk_driver.is_listed()

    def release(self) -> str:
        """Return the kernel's release, such as ``6.1.176``, or nothing when it does not say."""
        return parsing.release(self.ask("version") or "")

    def pid(self) -> Optional[int]:
        """Return the instance's main process from its pid file, or None."""
        return self._kernel_socket.pid()


_shared = ReplySockets()
