# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What else may keep an instance running: a unit of systemd that is not ours, or the process that started it."""

from __future__ import annotations

import os
import re
import time
from typing import NamedTuple, Optional

from .._mconsole import instances, procfs
from .._mconsole.errors import UnverifiedError
from .._mconsole.instances import Instance
from . import systemd_unit

_LOOK = 1.0  # seconds; systemd restarts after 0.1 s by default (RestartSec), a shell's loop at once
_POLL = 0.02
_UNIT = re.compile(r":(?:/.*)?/([^/]+\.service)$", re.MULTILINE)


class Keeper(NamedTuple):
    """The program that may start an instance again when it ends."""

    text: str
    is_unit: bool


def find(found: Instance) -> Optional[Keeper]:
    """Return what may start a running instance again, or None."""
    pid = found.pid if found.alive else None
    if pid is None or systemd_unit.owns(pid, found.place.umid):
        return None
    unit = _UNIT.search(procfs.read_text(f"/proc/{pid}/cgroup"))
    own = _UNIT.search(procfs.read_text("/proc/self/cgroup"))
    if unit is not None and (own is None or unit[1] != own[1]):
        return Keeper(f"the unit {unit[1]}", True)
    return _parent(pid)


def _parent(pid: int) -> Optional[Keeper]:
    main = procfs.stat(pid)
    parent = procfs.stat(main.parent) if main is not None and main.parent > 1 else None
    if parent is None or parent.pid == os.getpid() or parent.parent == 0:
        return None
    words = " ".join(procfs.argv(parent.pid))[:80]
    return Keeper(f"its parent process {parent.pid} ({words})", False)


def look_again(found: Instance, keeper: Keeper) -> Optional[str]:
    """Return a warning about what may start a stopped instance again.

    :raises UnverifiedError: when it did so
    """
    umid = found.place.umid
    deadline = time.monotonic() + _LOOK
    while time.monotonic() < deadline:
        now = instances.find_instance(found.place)
        if now is not None and now.alive and (now.pid, now.start) != (found.pid, found.start):
            raise UnverifiedError(
                f"{umid} was stopped, and {keeper.text} started it again as process {now.pid}; stop that first",
                umid=umid,
                pid=now.pid,
            )
        time.sleep(_POLL)
    return f"{keeper.text} started {umid} and may start it again; stop it there" if keeper.is_unit else None
