# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Serves the metrics over HTTP: one path, one method, short requests, and clients that cannot hold up the loop."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import stat
import time
from typing import Callable, Dict, Optional

from .._mconsole.errors import InputError
from .metrics_address import MetricsAddress

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST = 8 << 10  # bytes of a request
_PATIENCE = 10.0  # seconds that a client has to send its request and to take the answer
_MOST = 32  # clients at a time
_HELP = {
    "400 Bad Request": "This is not a request.",
    "404 Not Found": f"The metrics are at {PATH}.",
    "405 Method Not Allowed": "Only GET and HEAD are answered.",
    "431 Request Header Fields Too Large": "The request is too long.",
}


class MetricsSocket:
    """The listening socket, and the clients that are being answered; ``text`` returns the metrics."""

    def __init__(self, address: MetricsAddress, text: Callable[[], str], selector: selectors.BaseSelector) -> None:
        self._address = address
        self._text = text
        self._selector = selector
        self._sock: Optional[socket.socket] = None
        self._clients: Dict[int, _Client] = {}
        self.open()

    def open(self) -> None:
        """Listen.

        :raises InputError: when that is not possible here
        """
        sock = socket.socket(self._address.family, socket.SOCK_STREAM)
        try:
            if self._address.path:
                _remove_dead(self._address.path)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._address.target)
            if self._address.path:
                os.chmod(self._address.path, 0o666)  # who may enter the directory may read the metrics
            sock.listen(_MOST)
        except OSError as err:
            sock.close()
            where = self._address.path or "{}:{}".format(*self._address.target)
            raise InputError(f"metrics_listen {where} cannot be used: {err.strerror}", address=where) from err
        sock.setblocking(False)
        self._sock = sock

    def fileno(self) -> int:
        """Return the descriptor, to wait for clients."""
        return self._sock.fileno() if self._sock is not None else -1

    def is_there(self) -> bool:
        """Return whether clients still find it."""
        return not self._address.path or os.path.exists(self._address.path)

    def answer(self) -> None:
        """Take one client; when there are too many, the one that came first must go."""
        with contextlib.suppress(OSError):
            sock, _address = self._sock.accept() if self._sock is not None else (None, None)
            if sock is not None:
                if len(self._clients) >= _MOST:
                    next(iter(self._clients.values())).close()
                client = _Client(sock, self._text, self._selector, self._clients)
                self._clients[sock.fileno()] = client

    def tick(self) -> None:
        """End the clients whose time is over."""
        for client in list(self._clients.values()):
            if time.monotonic() >= client.deadline:
                client.close()

    def close(self) -> None:
        """End all clients, and remove the socket."""
        for client in list(self._clients.values()):
            client.close()
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            with contextlib.suppress(OSError):
                if self._address.path:
                    os.unlink(self._address.path)


class _Client:
    """One connection: its request comes in parts, and its answer leaves in parts."""

    def __init__(
        self,
        sock: socket.socket,
        text: Callable[[], str],
        selector: selectors.BaseSelector,
        clients: Dict[int, _Client],
    ) -> None:
        self.deadline = time.monotonic() + _PATIENCE
        self._sock = sock
        self._text = text
        self._selector = selector
        self._clients = clients
        self._request = b""
        self._answer = memoryview(b"")
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, self._read)

    def close(self) -> None:
        """End the connection."""
        self._clients.pop(self._sock.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(self._sock)
        self._sock.close()

    def _read(self) -> None:
        """Read a part of the request; answer it when it is whole."""
        try:
            part = self._sock.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._request += part
        is_whole = b"\r\n\r\n" in self._request or b"\n\n" in self._request
        if not part:
            self.close()
        elif is_whole or len(self._request) > _LONGEST:
            self._answer = memoryview(_answer(self._request, is_whole, self._text))
            self._selector.modify(self._sock, selectors.EVENT_WRITE, self._write)
            self._write()

    def _write(self) -> None:
        """Send a part of the answer; the end of it is the end of the connection."""
        try:
            self._answer = self._answer[self._sock.send(self._answer) :]
        except BlockingIOError:
            return
        except OSError:
            self._answer = memoryview(b"")
        if not self._answer:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            self.close()


def _answer(request: bytes, is_whole: bool, text: Callable[[], str]) -> bytes:
    """Return the answer to a request, as bytes."""
    words = request.split(b"\n", 1)[0].split()
    if not is_whole:
        status = "431 Request Header Fields Too Large"
    elif len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        status = "400 Bad Request"
    elif words[0] not in (b"GET", b"HEAD"):
        status = "405 Method Not Allowed"
    else:
        status = "200 OK" if words[1].partition(b"?")[0] == PATH.encode() else "404 Not Found"
    kind = CONTENT_TYPE if status == "200 OK" else "text/plain; charset=utf-8"
    body = (text() if status == "200 OK" else _HELP[status] + "\n").encode("utf-8")
    more = "Allow: GET, HEAD\r\n" if status.startswith("405") else ""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if words[:1] == [b"HEAD"] else body)


def _remove_dead(path: str) -> None:
    """Remove the socket of a process that has ended; another file stays, and binding says so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        if sock.connect_ex(path) == errno.ECONNREFUSED:  # a regular file refuses as well
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    os.unlink(path)
