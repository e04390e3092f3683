# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A vhost-user backend that knows just enough for a kernel to take its device.

Source: linux arch/um/drivers/vhost_user.h and virtio_uml.c. Only what is asked for is answered.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

HEADER = struct.Struct("=III")  # request, flags, size
VERSION, REPLY = 1, 1 << 2
GET_FEATURES, GET_PROTOCOL_FEATURES = 1, 15
ANSWERS = {GET_FEATURES: 1 << 32, GET_PROTOCOL_FEATURES: 0}  # VIRTIO_F_VERSION_1, and nothing more


@contextlib.contextmanager
def backend(path: Path) -> Iterator[None]:
    """Listen at a path until the end, for one instance after the other."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener,), daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            kernel, _address = listener.accept()
            with kernel:
                _answer(kernel)


def _answer(kernel: socket.socket) -> None:
    """Answer until the kernel hangs up; file descriptors that come along are closed by the host."""
    while header := kernel.recv(HEADER.size, socket.MSG_WAITALL):
        request, _flags, size = HEADER.unpack(header)
        if size:
            kernel.recv(size, socket.MSG_WAITALL)
        if request in ANSWERS:
            kernel.sendall(HEADER.pack(request, VERSION | REPLY, 8) + struct.pack("=Q", ANSWERS[request]))
