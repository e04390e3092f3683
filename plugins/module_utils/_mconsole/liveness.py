# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Signs that an instance runs although its process cannot be seen here.

The process may be hidden by hidepid, be in another pid namespace, or be on another VM host that shares the directory.
"""

from __future__ import annotations

import os
import socket
from typing import Optional

from . import procfs

# File systems that several machines can write to at once, as /proc/self/mountinfo names them.
_SHARED = ("nfs", "cifs", "smb", "ceph", "gfs2", "ocfs2", "lustre", "9p", "virtiofs", "fuse.sshfs", "fuse.gluster")


def has_listener(path: str) -> bool:
    """Return whether a process has the socket at a path open; connecting sends nothing and the process sees nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def shared_filesystem(path: str) -> Optional[str]:
    """Return the type of a file system that other machines may write to as well, or None for a local one."""
    try:
        device = os.stat(path).st_dev
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in procfs.read_text("/proc/self/mountinfo").splitlines():
        head, found, tail = line.partition(" - ")
        if found and head.split()[2] == number and tail.startswith(_SHARED):
            return tail.split()[0]
    return None
