# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user at the other end of a Unix socket, on every system that a controller can be."""

from __future__ import annotations

import os
import socket
import struct

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


def user_of(sock: socket.socket, path: str) -> int:
    """Return the user who listens at the other end of a connection to path.

    A system that does not say it has only the socket's file, whose owner made it listen.

    :raises OSError: when the file is gone
    """
    user = _by_credentials(sock)
    return os.stat(path).st_uid if user is None else user


def _by_credentials(sock: socket.socket) -> int | None:
    """Return the user whom the system names: Linux by SO_PEERCRED, macOS and the BSDs by getpeereid."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is not None:
        return int(_CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))[1])
    import ctypes

    ask = getattr(ctypes.CDLL(None), "getpeereid", None)
    user, group = ctypes.c_uint32(), ctypes.c_uint32()
    if ask is None or ask(sock.fileno(), ctypes.byref(user), ctypes.byref(group)) != 0:
        return None
    return user.value
