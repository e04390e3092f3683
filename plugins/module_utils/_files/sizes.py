# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How many bytes a file or a block device holds."""

from __future__ import annotations

import os
import stat
from typing import Optional

SECTOR = 512


def length(found: os.stat_result) -> Optional[int]:
    """Return how many bytes a regular file or a block device holds, from its stat; None when that is out of sight."""
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    text = ""
    if stat.S_ISBLK(found.st_mode):
        text = _sysfs(f"/sys/dev/block/{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}/size")
    return int(text) * SECTOR if text.isdigit() else None


def _sysfs(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""
