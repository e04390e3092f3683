# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of the console kept apart from the collection's own: the rig must not share its mistakes."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

REQUEST = struct.Struct("=III")
REPLY = struct.Struct("=III")
MAGIC = 0xCAFEBABE


def request(path: Path, text: str, timeout: float = 30) -> tuple[int, str]:
    """Send one command and return the kernel's error number and the whole text."""
    with _client(timeout) as client:
        data = text.encode()
        client.sendto(REQUEST.pack(MAGIC, 2, len(data)) + data, str(path))
        return _answer(client)


def answers(path: Path) -> bool:
    """Return whether a kernel is listening, without waiting long for one that is not."""
    with contextlib.suppress(OSError):
        return request(path, "version", timeout=1)[0] == 0
    return False


@contextlib.contextmanager
def _client(timeout: float) -> Iterator[socket.socket]:
    """Yield a bound socket: an unbound one would get no answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind("")
        client.settimeout(timeout)
        yield client


def _answer(client: socket.socket) -> tuple[int, str]:
    """Collect the packets of one reply."""
    error, more, texts = 0, 1, []
    while more:
        packet = client.recv(1024)
        this, more, _length = REPLY.unpack_from(packet)
        error |= this
        texts.append(packet[REPLY.size :].rstrip(b"\0").decode(errors="replace"))
    return error - (1 << 32) if error >> 31 else error, "".join(texts)
