# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Raw console commands, in order."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .._mconsole.commands import Command
from .._mconsole.errors import Error, InputError, RefusedError, UnansweredError
from .._mconsole.wire import Reply
from .._task import send
from .._task.task import Task
from .perform import failure

SCOPE = "console"
ARGUMENTS: Dict[str, Any] = {
    "command": {"type": "str"},
    "commands": {"type": "list", "elements": "str"},
    "force": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {
    "mutually_exclusive": [("command", "commands")],
    "required_one_of": [("command", "commands")],
}

Result = Dict[str, Any]


def changes(params: Dict[str, Any]) -> bool:
    """Return whether one of the commands changes something."""
    return any(command.changes for command in _commands(params))


def run(task: Task) -> Result:
    """Send the commands until one is refused; nothing is sent when one of them is not a command."""
    commands = _commands(task.params)
    entries: List[Result] = []
    changed = False
    for command in commands:
        try:
            reply = send.send(task, command, bool(task.params.get("force")))
        except Error as err:
            if isinstance(err, RefusedError):
                entries.append(_refused(command, err))
            return {**_report(entries, changed or _may_have_changed(command, err)), **_ended(err)}
        entries.append(_entry(command, reply))
        changed = changed or command.changes
    return _report(entries, changed)


def _commands(params: Dict[str, Any]) -> List[Command]:
    """Return the commands of a task.

    :raises InputError: when one of them is not a command, or none is given
    """
    single = params.get("command")
    texts = params.get("commands") if single is None else [single]
    if texts is None:
        raise InputError("no command is given; set command, or commands to a list of them")
    return send.parse_all(texts)


def _ended(err: Error) -> Result:
    """Return what an error adds to the report, which keeps what was answered before it."""
    return {key: value for key, value in failure(err).items() if key != "changed"}


def _may_have_changed(command: Command, err: Error) -> bool:
    """Return whether a command that failed may have changed something: it was sent, and no answer came."""
    return command.changes and isinstance(err, UnansweredError) and err.facts.get("sent", True) is True


def _report(entries: List[Result], changed: bool) -> Result:
    texts = [entry["text"].strip("\n") for entry in entries if entry["sent"]]
    unsent = [entry["command"] for entry in entries if not entry["sent"]]
    result: Result = {
        "changed": changed,
        "commands": [entry["command"] for entry in entries],
        "replies": entries,
        "stdout": "\n".join(texts),
        "stdout_lines": "\n".join(texts).splitlines(),
    }
    if unsent:
        result["msg"] = f"not sent in check mode, because it changes something: {'; '.join(unsent)}"
    return result


def _entry(command: Command, reply: Optional[Reply]) -> Result:
    """Return the entry of a command that was answered, or not sent."""
    if reply is None:
        return _row(command, sent=False, ok=None, err=None)
    return _row(command, ok=True, err=0, text=reply.text, packets=reply.packets, truncated=reply.truncated)


def _refused(command: Command, err: RefusedError) -> Result:
    return _row(command, ok=False, err=err.facts["err"], text=err.facts["said"], packets=1)


def _row(command: Command, **values: Any) -> Result:
    start: Result = {"command": command.text.rstrip("\n"), "sent": True, "text": "", "packets": 0, "truncated": False}
    return {**start, **values}
