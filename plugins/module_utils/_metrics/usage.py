# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the processes of an instance take of its VM host: one look at all processes serves all instances."""

from __future__ import annotations

import os
from typing import Dict, NamedTuple, Optional, Tuple

from .._mconsole import procfs


class Usage(NamedTuple):
    """Processor time in seconds, of ended helpers as well, resident bytes of the main process, number of processes."""

    cpu: float
    resident: int
    processes: int


def usage(leaders: Tuple[int, ...]) -> Dict[int, Usage]:
    """Return {main process: what it and the processes of its session or group take}, of those that run."""
    wanted = set(leaders)
    found: Dict[int, Usage] = {}
    for pid in procfs.pids() if wanted else ():
        process = _process(pid)
        for leader in {process[0], process[1]} & wanted if process is not None else ():
            before = found.get(leader, Usage(0.0, 0, 0))
            resident = process[3] if process and pid == leader else before.resident
            found[leader] = Usage(before.cpu + (process[2] if process else 0.0), resident, before.processes + 1)
    return found


def own() -> int:
    """Return the resident bytes of this process."""
    found = _process(os.getpid())
    return found[3] if found is not None else 0


def _process(pid: int) -> Optional[Tuple[int, int, float, int]]:
    """Return (group, session, processor time in seconds, resident bytes), or None when the process is gone."""
    words = procfs.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(words) < 22:
        return None
    ticks = sum(int(word) for word in words[11:15])
    resident = int(words[21]) * os.sysconf("SC_PAGE_SIZE")
    return int(words[2]), int(words[3]), ticks / os.sysconf("SC_CLK_TCK"), resident
