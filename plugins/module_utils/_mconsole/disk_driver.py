# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a guest's kernel has its disk driver yet: the console answers before it is there."""

from __future__ import annotations

import re
import time
from typing import Callable, Optional

from . import socket_id
from .socket_id import SocketId

_YOUNG = 10.0  # seconds from its console on for which a kernel may lack drivers; measured: 0.7 on an idle VM host
_SETTLED = 0.05  # seconds after which a new driver has its disks
_LISTED = re.compile(r"^ *[0-9]+ ubd$", re.MULTILINE)


def is_young(console: str) -> bool:
    """Return whether the kernel behind a console's path booted so recently that it may lack drivers."""
    return 0 <= socket_id.age(console) < _YOUNG


class DiskDriver:
    """The disk driver of the guest behind a console; ``read_devices`` returns the guest's /proc/devices."""

    def __init__(self, console: str, read_devices: Callable[[], Optional[str]]) -> None:
        self._console = console
        self._read_devices = read_devices
        self._seen_in: Optional[SocketId] = None  # the boot in which the driver was listed
        self._has_settled = False

    def is_ready(self) -> bool:
        """Return whether the driver is there and has looked for its disks.

        The console takes disks before (ubd_kern.c: ubd_init is a late initcall). The driver then adds each of them
        again, fails, and panics where it prints why. It is listed a moment before it does so.
        """
        if not self.is_listed():
            return False
        if not self._has_settled:
            time.sleep(_SETTLED if is_young(self._console) else 0.0)
            self._has_settled = True
        return True

    def is_listed(self) -> bool:
        """Return whether the guest lists the driver, asked until it does, once a boot after that."""
        now = socket_id.socket_id(self._console)
        if now is None or self._seen_in != now:
            self._has_settled = False
            self._seen_in = now if _LISTED.search(self._read_devices() or "") else None
        return self._seen_in is not None
