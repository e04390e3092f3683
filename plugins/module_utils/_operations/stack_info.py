# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Kernel stacks of a guest's processes."""

from __future__ import annotations

from typing import Any, Dict

from .._mconsole.errors import InputError
from .._task.task import Task

SCOPE = "console"
ARGUMENTS: Dict[str, Any] = {"pids": {"type": "list", "elements": "int", "default": [1]}}
CONSTRAINTS: Dict[str, Any] = {}


def run(task: Task) -> Dict[str, Any]:
    """Ask for each process's stack; a missing process is not a failure.

    :raises InputError: when a number cannot be a process's
    """
    pids = task.params["pids"]
    bad = [pid for pid in pids if pid < 1]
    if bad:
        raise InputError(f"{bad[0]} is not a process id; expected 1 or more")
    stacks = [_stack(task, pid) for pid in dict.fromkeys(pids)]
    return {"changed": False, "stacks": stacks, "commands": list(task.console.sent)}


def _stack(task: Task, pid: int) -> Dict[str, Any]:
    reply = task.console.request(f"stack {pid}")
    if not reply.ok:
        return {"pid": pid, "found": False, "text": "", "lines": [], "truncated": False, "error": reply.text.strip()}
    lines = reply.text.splitlines()
    return {"pid": pid, "found": True, "text": reply.text, "lines": lines, "truncated": reply.truncated}
