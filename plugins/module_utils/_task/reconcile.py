# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Desired against actual: read, plan, (send), read again, report. Check mode is decided here and nowhere else."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from .._mconsole import commands
from .._mconsole.errors import Error
from .task import Task

State = Dict[str, Any]
_MAY = "it may have happened"


class Change(NamedTuple):
    """Console commands in their order, the state after them, and the reason for them or for their absence.

    ``steps`` are actions beside or around commands, such as starting a kernel.
    """

    commands: List[str]
    predicted: State
    reason: str = ""
    steps: Tuple[str, ...] = ()


def send(task: Task, plan: Change) -> None:
    """Send the commands of a plan, in order."""
    for command in plan.commands:
        task.console.command(command)


def sync(
    task: Task,
    read: Callable[[Task], State],
    plan: Callable[[State], Change],
    apply: Callable[[Task, Change], None] = send,
) -> Dict[str, Any]:
    """Bring an instance to the requested state and report truthfully: ``changed``, ``commands``, ``diff``, ``reason``.

    When a command fails, or its result cannot be read, the report is ``failed`` and holds the commands that were sent
    and the present state as far as it can be read.
    """
    before = read(task)
    steps = plan(before)
    after, failure = steps.predicted, {}
    wanted = bool(steps.commands or steps.steps)
    if wanted and not task.check:
        try:
            apply(task, steps)
            after = read(task)
        except Error as err:
            failure = _failure(err, changing(task.sent))
            after = _read_again(task, read, before, failure)
    return {
        "changed": before != after if failure else wanted,
        "commands": steps.commands,
        "reason": steps.reason,
        "diff": {"before": before, "after": after},
        **failure,
    }


def _failure(err: Error, sent: List[str]) -> Dict[str, Any]:
    return {"failed": True, "msg": str(err), "error": err.describe(), "commands": sent}


def _read_again(task: Task, read: Callable[[Task], State], before: State, failure: Dict[str, Any]) -> State:
    """Return what is there after a failure; where that left nothing to be read, what was there is what is known."""
    try:
        return read(task)
    except Error:
        if failure["commands"] and _MAY not in failure["msg"]:
            failure["msg"] += f"; {_MAY}, because the devices cannot be read afterwards"
        return before


def changing(sent: List[str]) -> List[str]:
    """Return those of the commands sent that change something; one that was sent until it was taken stands once."""
    found = [text for text in sent if commands.parse(text.rstrip("\n")).changes]
    return [text for index, text in enumerate(found) if index == 0 or found[index - 1] != text]
