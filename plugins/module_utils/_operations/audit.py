# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The audit trail: what an operation that changes something says of itself in the journal, never a secret."""

from __future__ import annotations

import os
import socket
import time
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional

from .._collector import operation_event
from .._journal import event_filter, trail
from .._mconsole import procfs
from .._mconsole.errors import Error
from .._task.task import Task
from .registry import changes

Result = Dict[str, Any]
_NO_LOGIN = 2**32 - 1  # the value of /proc/self/loginuid before any login


def record(operation: ModuleType, task: Task, result: Result) -> None:
    """Write an operation to the journal of this VM host, if there is one; a failure to write becomes a warning."""
    if task.check or not _is_of_note(operation, task, result):
        return
    entry = _entry(operation, task, result)
    try:
        directory = event_filter.directory(task.params)
        if not trail.send(entry) and os.path.isdir(directory):
            trail.append(directory, _event(entry))
    except (OSError, Error) as err:
        reason = getattr(err, "strerror", None) or err
        task.warn(f"this operation is not in the journal of the VM host: {reason}")


def _is_of_note(operation: ModuleType, task: Task, result: Result) -> bool:
    """Return whether an operation has changed something, or has failed to; bad input does nothing."""
    if result.get("changed"):
        return True
    is_bad_input = result.get("error", {}).get("kind") == "input"
    return bool(result.get("failed")) and not is_bad_input and changes(operation, task.params)


def _entry(operation: ModuleType, task: Task, result: Result) -> Result:
    origin = task.origin
    is_private = bool(origin.get("no_log"))
    return {
        "umid": task.umid or result.get("umid"),
        "uml_dir": task.place.uml_dir or None,
        "operation": operation.__name__.rpartition(".")[2],
        "state": None if is_private else task.params.get("state"),
        "changed": bool(result.get("changed")),
        "failed": bool(result.get("failed")),
        "error": result.get("error", {}).get("kind"),
        "commands": [] if is_private else _shown(result.get("commands", ())),
        "no_log": is_private,
        "login_user": operation_event.user_name(_login_uid(origin)),
        "controller_user": origin.get("controller_user"),
        "controller_host": origin.get("controller_host"),
    }


def _shown(commands: Any) -> List[str]:
    """Return commands as the journal may hold them: what is logged in a guest is free text, which may be a secret."""
    texts = [str(command) for command in commands]
    return [f"log ({len(text) - 4} characters)" if text.startswith("log ") else text for text in texts]


def _login_uid(origin: Mapping[str, Any]) -> int:
    """Return the user who logged in: as the local client saw, else as sudo or the VM host's kernel says."""
    known: Optional[Any] = origin.get("login_uid")
    if isinstance(known, int):
        return known
    for text in (os.environ.get("SUDO_UID", ""), procfs.read_text("/proc/self/loginuid").strip()):
        if text.isdigit() and int(text) < _NO_LOGIN:
            return int(text)
    return os.geteuid()


def _event(entry: Result) -> Result:
    fields = operation_event.fields_of(entry, os.geteuid())
    start = {"time": time.time(), "host": socket.gethostname(), "pid": None, "boot": None}
    return {**start, "type": operation_event.KIND, "data": operation_event.sentence(fields), **fields}
