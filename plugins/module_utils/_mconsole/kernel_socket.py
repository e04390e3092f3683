# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The instance's end of its console: the socket as its main process holds it, seen in the VM host's /proc."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from . import instances, procfs, syscalls
from .exchange import wait_until_listening
from .instances import Place
from .long_queue import ROOMY_QUEUE
from .socket_id import SocketId, id_of

_PACKET_COST = 1536  # bytes at most that the host counts for one datagram of a reply (1280 on x86)
_SEND_ROOM = 212992  # net.core.wmem_default of Linux


class _End(NamedTuple):
    """Where the kernel's socket is: which console it serves, the process, and its descriptor."""

    console: SocketId
    pid: int
    descriptor: int


class KernelSocket:
    """The socket of the kernel behind a console's path; each boot makes a new one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: Optional[_End] = None

    def pid(self) -> Optional[int]:
        """Return the instance's main process, or None: from its pid file or, where that was removed, from /proc."""
        folder = os.path.dirname(self._path)
        found = procfs.read_pid(os.path.join(folder, "pid"))
        if found is None and os.path.lexists(self._path):
            return self._known_pid() or instances.pid_of(Place(os.path.basename(folder), os.path.dirname(folder)))
        return found

    def _known_pid(self) -> Optional[int]:
        """Return the process that was found to have this socket open, while it runs."""
        return self._known.pid if self._known is not None and procfs.alive(self._known.pid) else None

    def paused(self) -> Optional[bool]:
        """Return whether the instance is stopped or frozen; None when its process cannot be inspected.

        A stopped kernel makes its console socket blocking (mconsole_stop). No command reports it.
        """
        end = self._end()
        flags = procfs.descriptor_flags(end.pid, end.descriptor) if end is not None else None
        return None if flags is None else not flags & os.O_NONBLOCK

    def send_room(self) -> int:
        """Return how many datagrams the kernel can have under way to a client, after raising that as far as allowed."""
        end = self._end()
        size = syscalls.widen(end.pid, end.descriptor, ROOMY_QUEUE * _PACKET_COST) if end is not None else None
        return (size or _SEND_ROOM) // _PACKET_COST

    def _end(self) -> Optional[_End]:
        """Return the kernel's end, looked for again after each boot."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        wait_until_listening(status)
        if self._known is None or self._known.console != id_of(status):
            self._known = self._find(id_of(status))
        return self._known

    def _find(self, console: SocketId) -> Optional[_End]:
        pid = self.pid()
        if pid is None:
            return None
        name = os.path.basename(os.path.dirname(self._path))  # the kernel may know its console by a relative path
        descriptor = procfs.socket_descriptor(pid, procfs.socket_inodes(pid, f"{name}/mconsole"))
        return None if descriptor is None else _End(console, pid, descriptor)
