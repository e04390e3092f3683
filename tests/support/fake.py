# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A console without an instance: a real datagram socket in a thread, with a `fake_kernel.Kernel` behind it.

It has its own idea of the datagrams, so that it shares no mistake with the collection's, and a manner that can be bad.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from support.fake_kernel import Kernel, Part

HEADER = struct.Struct("=III")
MAGIC = 0xCAFEBABE
BUFFER = 524  # what a kernel reads of a request
ROOM = 511
PATIENCE = 30.0  # seconds that a bad manner goes on
Manner = Callable[[list[bytes]], Iterable[bytes]]


def packets_of(part: Part) -> list[bytes]:
    """Return the datagrams of one mconsole_reply: the error is in the first alone, each text ends with a NUL."""
    data = part.text.encode("utf-8", "surrogateescape")
    pieces = [data[start : start + ROOM] for start in range(0, len(data), ROOM)] or [b""]
    more = [True] * (len(pieces) - 1) + [part.more]
    errs = [part.err & 0xFFFFFFFF] + [0] * (len(pieces) - 1)
    heads = (HEADER.pack(err, on, len(piece) + 1) for err, on, piece in zip(errs, more, pieces, strict=True))
    return [head + piece + b"\0" for head, piece in zip(heads, pieces, strict=True)]


class FakeConsole:
    """`<uml_dir>/<umid>/{mconsole,pid}`, answered until closed; the pid is ours, so /proc shows its socket."""

    def __init__(self, uml_dir: Path, umid: str = "fake", kernel: Kernel | None = None) -> None:
        self.umid = umid
        self.kernel = kernel or Kernel(nodename=umid)
        self.directory = uml_dir / umid
        self.console = self.directory / "mconsole"
        self.received: list[str] = []
        self.datagrams: list[bytes] = []
        self.manner: Manner | None = None
        self._buffer = bytearray(BUFFER)
        self._closing = threading.Event()
        self.directory.mkdir(parents=True)
        (self.directory / "pid").write_text(f"{os.getpid()}\n")
        self._socket = self._listen()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name=f"fake {umid}", daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeConsole:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread and remove the files."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._waker.send(b"!")
        self._thread.join(PATIENCE)
        for sock in (self._socket, self._wake, self._waker):
            sock.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._thread.is_alive():
            raise AssertionError(f"the fake console {self.umid} hangs")

    @property
    def alive(self) -> bool:
        """Return whether its kernel still runs."""
        return self._thread.is_alive()

    def wait_dead(self, timeout: float = 60) -> None:
        """Wait until its kernel has ended."""
        self._thread.join(timeout)
        if self.alive:
            raise AssertionError(f"the fake console {self.umid} lives on")

    def _listen(self) -> socket.socket:
        """Make the socket: non-blocking while the kernel runs, which is how the host recognizes a stopped one."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(self.console))
        sock.setblocking(False)
        return sock

    def _serve(self) -> None:
        """Take requests until the kernel ends or we are closed."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._socket, select.POLLIN)
        while not self._closing.is_set() and self._runs():
            poll.poll()
            with contextlib.suppress(BlockingIOError):
                self._take(*self._socket.recvfrom(BUFFER, socket.MSG_DONTWAIT))
            if self.kernel.end == "reboot":
                poll.unregister(self._socket)
                self._reboot()
                poll.register(self._socket, select.POLLIN)
        self._end()

    def _runs(self) -> bool:
        return not self.kernel.end

    def _reboot(self) -> None:
        """Come up again with a new socket."""
        self._socket.close()
        self.console.unlink()
        self.kernel.end, self.kernel.paused = "", False
        self._socket = self._listen()

    def _end(self) -> None:
        """Leave what a kernel leaves: nothing after a clean end, a dead socket after a crash."""
        self._socket.close()
        if self.kernel.end == "halt":
            shutil.rmtree(self.directory)

    def _take(self, datagram: bytes, address: str | None) -> None:
        """Look at a request as mconsole_get_request does: a short one uses what is left of the one before."""
        self.datagrams.append(datagram)
        self._buffer[: len(datagram)] = datagram
        magic, version, length = HEADER.unpack_from(self._buffer)
        if magic != MAGIC:
            self._send([b"ERR Version 0 mconsole clients are not supported by this driver"], address)
            return
        if length >= ROOM + 1:
            self._send(packets_of(Part(1, "Request too large")), address)
            return
        if version != 2:
            self._send(packets_of(Part(1, "This driver only supports version 2 clients")), address)
        self._answer(self._command(length), address)

    def _command(self, length: int) -> str:
        """Return the command in the buffer, which is a C string."""
        data = bytes(self._buffer[HEADER.size : HEADER.size + length]).split(b"\0")[0]
        self.received.append(data.decode("utf-8", "surrogateescape"))
        return self.received[-1]

    def _answer(self, command: str, address: str | None) -> None:
        parts = self.kernel.answer(command)
        self._socket.setblocking(self.kernel.paused)  # a kernel does so before it answers `stop` and `go`
        if parts is None:
            return
        if self.manner is not None:
            self._misbehave(self.manner, [packet for part in parts for packet in packets_of(part)], address)
            return
        for part in parts:
            self._send(packets_of(part), address)

    def _send(self, packets: list[bytes], address: str | None) -> None:
        """Send as a kernel does: who gave no address hears nothing, and what finds the queue full is dropped."""
        with contextlib.suppress(OSError):
            for packet in packets:
                self._socket.sendto(packet, address or "")

    def _misbehave(self, manner: Manner, packets: list[bytes], address: str | None) -> None:
        """Send what a bad manner makes of a reply, waiting for room: it is the content that is bad."""
        deadline = time.monotonic() + PATIENCE
        for packet in manner(packets):
            if not self._delivered(packet, address, deadline):
                break

    def _delivered(self, packet: bytes, address: str | None, deadline: float) -> bool:
        """Send when there is room; a client that has gone gets nothing more."""
        while time.monotonic() < deadline and not self._closing.is_set():
            try:
                self._socket.sendto(packet, socket.MSG_DONTWAIT, address or "")
            except BlockingIOError:
                self._closing.wait(0.001)
            except OSError:
                return False
            else:
                return True
        return False


# Bad manners: what becomes of the packets of a reply.


def silent(packets: list[bytes]) -> Iterable[bytes]:
    """Never answer."""
    return []


def lying_length(packets: list[bytes]) -> Iterable[bytes]:
    """Say more bytes than there are."""
    err, more, length = HEADER.unpack_from(packets[0])
    return [HEADER.pack(err, more, length + 100) + packets[0][HEADER.size :]]


def cut_header(packets: list[bytes]) -> Iterable[bytes]:
    """Send less than a header."""
    return [packets[0][:7]]


def garbage(packets: list[bytes]) -> Iterable[bytes]:
    """Send a datagram that is not a reply."""
    return [b"\xff" * 300]


def extra(packets: list[bytes]) -> Iterable[bytes]:
    """Go on after the end."""
    return [*packets, *packets]


def unterminated(packets: list[bytes]) -> Iterable[bytes]:
    """Leave out the end."""
    return [HEADER.pack(0, 1, 2) + b"x\0"]


def endless(packets: list[bytes]) -> Iterator[bytes]:
    """Never come to the end."""
    while True:
        yield HEADER.pack(0, 1, ROOM + 1) + b"y" * ROOM + b"\0"


def huge(packets: list[bytes]) -> Iterator[bytes]:
    """Answer with 10 MB."""
    for _each in range(10 * (1 << 20) // ROOM):
        yield HEADER.pack(0, 1, ROOM + 1) + b"z" * ROOM + b"\0"
    yield HEADER.pack(0, 0, 1) + b"\0"
