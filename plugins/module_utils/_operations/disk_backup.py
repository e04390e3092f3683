# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Copy the disks of an instance while it is paused for as short as can be."""

from __future__ import annotations

import contextlib
from typing import Any, Dict

from .._backup import selection
from .._backup.backup import Backup
from .._guest.snapshot import Snapshot
from .._mconsole.names import host_path
from .._mconsole.parsing import check_seconds
from .._task.task import Task

SCOPE = "console"
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "dest": {"type": "str", "required": True},
    "disks": {"type": "list", "elements": "str"},
    "backing": {"type": "str", "choices": ["keep", "copy"], "default": "keep"},
    "max_pause": {"type": "float", "default": 60.0},
    "sync_timeout": {"type": "float", "default": 10.0},
    "overwrite": {"type": "bool", "default": False},
    "diskless": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
}
CONSTRAINTS: Dict[str, Any] = {}


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Copy the disks; see the module's documentation."""
    params = task.params
    dest = host_path(params["dest"], "dest")
    for name in ("max_pause", "sync_timeout"):
        check_seconds(name, params[name])
    task.console.command("version")
    with task.exclusive() if not task.check else contextlib.nullcontext():
        snapshot = Snapshot.take(task.console)
        chosen = selection.choose(snapshot, params["disks"], dest, may_be_none=params["diskless"] == "skip")
        if not chosen:
            return {"changed": False, "copies": [], "pause": None, "synced": None, "commands": []}
        selection.check_target(chosen, dest, params["overwrite"])
        commands = [] if snapshot.guest_unreadable else ["sysrq s", "stop", "go"]
        if task.check:
            rows = [{"device": disk.name, "file": disk.file, "path": disk.target} for disk in chosen]
            return {"changed": True, "copies": rows, "pause": None, "synced": None, "commands": commands}
        this = Backup(task, chosen, dest)
        rows = this.run()
    return {"changed": True, "copies": rows, "pause": round(this.pause, 3), "synced": this.synced, "commands": commands}
