# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One console: one exchange at a time, each with a deadline."""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Callable, List, Optional

from . import commands, dangers, hostproc
from .errors import (
    InputError,
    NotAllowedError,
    NotThereError,
    ProtocolError,
    RefusedError,
    UnansweredError,
)
from .names import MAX_SOCKET_PATH
from .sockets import Sockets
from .wire import Assembly, Reply, Request

TIMEOUT = 5.0
_QUIET = 0.5  # seconds without a packet after which the end of a reply that overflowed counts as lost
_READ_SIZE = 4096  # more than any datagram, so that an over-long one is seen as such


class Console:
    """The console of one instance.

    ``path`` is its socket, ``timeout`` seconds bound each exchange; ``read_only`` makes every command that
    changes something a fault of ours (check mode). ``sent`` lists the commands that were sent, in order.
    """

    def __init__(
        self,
        path: str,
        umid: str = "",
        timeout: float = TIMEOUT,
        sockets: Optional[Sockets] = None,
        read_only: bool = False,
        log: Optional[Callable[[str], None]] = None,
    ) -> None:
        self.path = path
        self.umid = umid or os.path.basename(os.path.dirname(path))
        self.timeout = timeout
        self.read_only = read_only
        self.sent: List[str] = []
        self._sockets = sockets or _default_sockets()
        self._log = log or (lambda text: None)
        self._descriptor: Optional[int] = None

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
        if command.changes and self.read_only:
            raise AssertionError(f"a command that changes something was planned in check mode: {text!r}")
        if not force:
            dangers.consult(command, self)
        return self.exchange(command.request, command.word.long_reply, timeout)

    def ask(self, text: str) -> Optional[str]:
        """Return the text that answers a query, or None when the kernel said no."""
        reply = self.request(text)
        return reply.text if reply.ok else None

    def proc(self, path: str) -> Optional[str]:
        """Return a file of the guest's /proc, or None when it cannot be read there; ``1/root/...`` is any file."""
        text = self.ask(f"proc {path}")
        return text[1:] if text and text.startswith("\n") else text

    def exchange(self, request: Request, long_reply: bool = False, timeout: Optional[float] = None) -> Reply:
        """Send one request over a fresh socket and return the whole reply; no danger is looked for here."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            owner = os.stat(self.path).st_uid
            with self._sockets.bound(long_reply, owner) as (sock, roomy):
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                sock.connect(self.path)  # from here on the kernel lets nobody else send to this socket
                sock.send(request.to_bytes())
                self.sent.append(request.text)
                self._log(request.text)
                return self._collect(sock, Assembly(roomy), deadline, request.text)
        except OSError as err:
            raise self._explain(err, request.text) from err

    def _collect(self, sock: socket.socket, assembly: Assembly, deadline: float, text: str) -> Reply:
        """Return the reply, or what came of it by the deadline, marked as truncated."""
        try:
            while not assembly.feed(sock.recv(_READ_SIZE)):
                left = deadline - time.monotonic()
                sock.settimeout(max(min(left, _QUIET) if assembly.may_be_cut else left, 0.001))
        except socket.timeout:
            pass
        except ProtocolError as err:
            raise ProtocolError(f"{self.umid} answered {text!r} with what is no reply: {err}", umid=self.umid) from err
        reply = assembly.reply()
        if reply is None:
            raise self._unanswered(text)
        return reply

    def _unanswered(self, text: str) -> UnansweredError:
        return UnansweredError(
            f"{self.umid} did not answer {text!r} within its time; it may have happened, or the instance hangs",
            umid=self.umid,
            command=text,
        )

    def _explain(self, err: OSError, text: str) -> Exception:
        """Return the error of the tree that a failed system call means."""
        facts = {"umid": self.umid, "path": self.path, "command": text}
        if isinstance(err, socket.timeout) or err.errno == errno.EAGAIN:
            return UnansweredError(f"{self.umid} takes no more commands (its queue is full); {text!r} not sent", **facts)
        if err.errno in (errno.ENOENT, errno.ENOTDIR):
            return NotThereError(f"no instance {self.umid!r}: there is no console at {self.path}", **facts)
        if err.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN):
            return NotThereError(f"the instance {self.umid!r} is gone: nobody listens at {self.path}", **facts)
        if err.errno in (errno.EACCES, errno.EPERM):
            return NotAllowedError(f"not allowed to use the console of {self.umid!r} at {self.path}", **facts)
        if err.errno is None or err.errno == errno.ENAMETOOLONG:
            return InputError(f"the console path {self.path!r} has over {MAX_SOCKET_PATH} bytes", **facts)
        return NotThereError(f"the console of {self.umid!r} at {self.path} cannot be used: {err.strerror}", **facts)

    # What the table of dangers asks about.

    def paused(self) -> Optional[bool]:
        """Tell whether the instance is stopped or frozen, from the VM host's /proc; None when it cannot be seen.

        A stopped kernel makes its console socket blocking (mconsole_stop); no command tells.
        """
        pid = self.pid()
        if pid is None:
            return None
        flags = hostproc.descriptor_flags(pid, self._descriptor) if self._descriptor is not None else None
        if flags is None:
            self._descriptor = hostproc.socket_descriptor(pid, self._inodes(pid))
            flags = hostproc.descriptor_flags(pid, self._descriptor) if self._descriptor is not None else None
        return None if flags is None else not flags & os.O_NONBLOCK

    def release(self) -> str:
        """Return the kernel's release, such as ``6.1.176``."""
        words = (self.ask("version") or "").split()
        return words[2] if len(words) > 2 else ""

    def pid(self) -> Optional[int]:
        """Return the instance's main process from its pid file, or None."""
        text = hostproc.read_text(os.path.join(os.path.dirname(self.path), "pid")).strip()
        return int(text) if text.isdigit() else None

    def _inodes(self, pid: int) -> dict[str, str]:
        """Return the sockets that may be this console (it may know itself by a relative path)."""
        return hostproc.socket_inodes(pid, f"{self.umid}/mconsole")


_shared: List[Sockets] = []


def _default_sockets() -> Sockets:
    """Return the process's own maker of sockets."""
    if not _shared:
        _shared.append(Sockets())
    return _shared[0]
