# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which socket lies at a path: a kernel makes a new console at each boot, so another socket is another boot."""

from __future__ import annotations

import math
import os
import time
from typing import Optional, Tuple

SocketId = Tuple[int, int, int]  # st_dev, st_ino, st_mtime_ns


def socket_id(path: str) -> Optional[SocketId]:
    """Return the identity of the socket at a path, or None when there is nothing.

    An inode's number may be used again, so the time counts as well: a socket is never written to, and its st_mtime is
    when it was made.
    """
    status = _status(path)
    return None if status is None else id_of(status)


def id_of(status: os.stat_result) -> SocketId:
    """Return the identity of a socket whose status is known."""
    return status.st_dev, status.st_ino, status.st_mtime_ns


def age(path: str) -> float:
    """Return the seconds since a socket was made or changed its owner or mode; infinite when there is nothing.

    The age is below zero when the VM host's clock was set back after that.
    """
    status = _status(path)
    return math.inf if status is None else time.time() - status.st_ctime


def _status(path: str) -> Optional[os.stat_result]:
    try:
        return os.lstat(path)
    except OSError:
        return None
