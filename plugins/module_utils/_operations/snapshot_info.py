# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The snapshots of an instance's disks."""

from __future__ import annotations

from typing import Any, Dict

from .._backup import snapshots
from .._lifecycle import observation
from .._task.task import Task

SCOPE = "name"
ARGUMENTS: Dict[str, Dict[str, Any]] = {"files": {"type": "dict"}, "directory": {"type": "str"}}
CONSTRAINTS: Dict[str, Any] = {}


def run(task: Task) -> Dict[str, Any]:
    """Return what there is; see the module's documentation."""
    task.place = observation.resolve_place(task)
    rows = snapshots.locate(task).rows()
    return {"changed": False, "snapshots": rows, "commands": []}
