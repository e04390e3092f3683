# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of a guest, as its kernel reads them."""

from __future__ import annotations

from typing import Any, Dict

from .._mconsole import commands, dangers
from .._mconsole.errors import InputError
from .._task.task import Task

SCOPE = "console"
ARGUMENTS: Dict[str, Any] = {"paths": {"type": "list", "elements": "str", "required": True, "aliases": ["path"]}}
CONSTRAINTS: Dict[str, Any] = {}


def run(task: Task) -> Dict[str, Any]:
    """Read each file; nothing is read when one of the paths would harm the instance.

    :raises DangerError: when one is endless or blocks, or the instance is paused
    """
    queries = {path: commands.parse(f"proc {_seen_from_proc(path)}") for path in task.params["paths"]}
    for query in queries.values():
        dangers.refuse_if_dangerous(query, task.console)
    contents = {path: _read(task, query.text) for path, query in queries.items()}
    return {"changed": False, "contents": contents, "commands": list(task.console.sent)}


def _seen_from_proc(path: str) -> str:
    """Return a path as the console takes it: from /proc on, where pid 1's root is a directory like any other."""
    if not path.strip(" /"):
        raise InputError(f"{path!r} is not a path of a file")
    if path.startswith("/proc/"):
        return path[len("/proc/") :]
    return f"1/root{path}" if path.startswith("/") else path


def _read(task: Task, query: str) -> Dict[str, Any]:
    reply = task.console.request(query)
    if not reply.ok:
        return {"readable": False, "text": None, "truncated": False, "error": reply.text.strip()}
    text = reply.text[1:] if reply.text.startswith("\n") else reply.text
    return {"readable": True, "text": text, "truncated": reply.truncated}
