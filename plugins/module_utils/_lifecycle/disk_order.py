# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files that a guest writes its disks to, and whether it left them in order.

A guest can write and end between two looks at its counters, so these alone do not show that nothing was lost.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import List

from .._files import file_system
from .._mconsole import procfs


def written_files(pid: int) -> List[str]:
    """Return the regular files and block devices that a kernel has open for writing, apart from its standard files."""
    with contextlib.suppress(OSError):
        numbers = [int(name) for name in os.listdir(f"/proc/{pid}/fd") if int(name) > 2]
        return sorted({procfs.link(f"/proc/{pid}/fd/{number}") or "" for number in numbers if _is_disk(pid, number)})
    return []


def all_in_order(files: List[str]) -> bool:
    """Return whether no file holds a file system that was left mounted for writing."""
    for path in files:
        with contextlib.suppress(OSError):
            if file_system.is_in_order(path) is False:
                return False
    return True


def _is_disk(pid: int, number: int) -> bool:
    flags = procfs.descriptor_flags(pid, number) or 0
    try:
        mode = os.stat(f"/proc/{pid}/fd/{number}").st_mode
    except OSError:
        return False
    return flags & os.O_ACCMODE != os.O_RDONLY and (stat.S_ISREG(mode) or stat.S_ISBLK(mode))
