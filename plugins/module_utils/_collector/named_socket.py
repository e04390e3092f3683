# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A socket of a collector that other processes find by its file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from typing import Optional


def name_of(prefix: str, directory: str) -> str:
    """Return the name of a collector's socket, which follows from the directory of its journal."""
    return prefix + hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:16]


class NamedSocket:
    """The file and the descriptor of a socket; ``path`` is empty until it is bound."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sock: Optional[socket.socket] = None
        self.path = ""

    def bind(self, sock: socket.socket, folder: str) -> str:
        """Bind a socket in a directory, in place of one whose process has ended, and return its path."""
        path = os.path.join(folder, self._name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # we hold the lock, so no other collector uses it
        sock.bind(path)
        return path

    def is_there(self) -> bool:
        """Return whether others still find it; a cleaner of /tmp may have been here."""
        return os.path.exists(self.path)

    def fileno(self) -> int:
        """Return the descriptor, to wait for something to come."""
        return self._sock.fileno() if self._sock is not None else -1
