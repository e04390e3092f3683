# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A relay before a console: it passes everything on, and something happens just when a certain command comes by."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from support.mconsole import MAGIC, REPLY, REQUEST
from support.wait import wait_until

Happening = Callable[[], None]
BEFORE = "before"  # it happens before the command gets to the kernel
AFTER = "after"  # it happens when the kernel has done it, and before the answer comes back
INSTEAD = "instead"  # the command never gets to the kernel
LAST = "last"  # the command never gets to the kernel, and nothing listens any more


class Relay:
    """Takes the place of an instance's console; the kernel's own socket gets another name beside it.

    At the ``number``-th command that starts with ``start``, ``happening`` is called, once.
    """

    def __init__(self, console: Path, start: str, happening: Happening, when: str = BEFORE, number: int = 1) -> None:
        self._console, self._real = console, console.with_name("relayed")
        self._start, self._happening, self._when, self._left = start, happening, when, number
        self.seen: list[str] = []
        self.happened = threading.Event()

    def __enter__(self) -> Relay:
        owner = self._console.stat()
        self._console.rename(self._real)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._console))
        os.chown(self._console, owner.st_uid, owner.st_gid)
        self._inode = self._console.stat().st_ino
        self._socket.settimeout(0.1)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ends.set()
        self._thread.join(60)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):  # a kernel that ended or started again has removed it
            if self._console.stat().st_ino == self._inode:
                self._real.rename(self._console)

    def _run(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(OSError):  # there is no request, or one of the two ends has closed
                self._pass_on(*self._socket.recvfrom(4096))

    def _pass_on(self, request: bytes, asker: str) -> None:
        text = request[REQUEST.size :].decode(errors="replace")
        self.seen.append(text)
        due = not self.happened.is_set() and text.startswith(self._start)
        self._left -= due
        if not due or self._left:
            self._forward(request, asker)
        elif self._when == AFTER:
            self._forward(request, asker, self._happen)
        else:
            self._happen()
            if self._when == BEFORE:
                self._forward(request, asker)
            elif self._when == LAST:
                self._ends.set()
                self._socket.close()

    def _happen(self) -> None:
        try:
            self._happening()
        finally:
            self.happened.set()

    def _forward(self, request: bytes, asker: str, then: Happening = lambda: None) -> None:
        """Ask the kernel and hand its packets back."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.bind("")
            client.settimeout(5)
            client.sendto(request, str(self._real))
            packets = [client.recv(1024)]
            while REPLY.unpack_from(packets[-1])[1]:
                packets.append(client.recv(1024))
        then()
        for packet in packets:
            self._socket.sendto(packet, asker)

    def ask(self, text: str) -> None:
        """Send the kernel a command, past the relay, to which no answer is waited for."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.bind("")
            client.sendto(REQUEST.pack(MAGIC, 2, len(text)) + text.encode(), str(self._real))

    def wait(self, timeout: float = 60) -> None:
        """Wait until it has happened."""
        wait_until(self.happened.is_set, timeout, lambda: f"{self._start!r} came by; seen: {self.seen}")
