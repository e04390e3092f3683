# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Desired against actual: read, plan, (send), read again, report. Check mode is decided here and nowhere else."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

from .task import Task

State = Dict[str, Any]


class Plan(NamedTuple):
    """Console commands in their order, what the state will be after them, and why there are none or these."""

    commands: List[str]
    predicted: State
    reason: str = ""


def send(task: Task, plan: Plan) -> None:
    """Send the commands of a plan, in order."""
    for command in plan.commands:
        task.console.command(command)


def sync(
    task: Task,
    read: Callable[[Task], State],
    plan: Callable[[State], Plan],
    apply: Callable[[Task, Plan], None] = send,
) -> Dict[str, Any]:
    """Bring an instance to what is desired and report truthfully: ``changed``, ``commands``, ``diff``, ``reason``."""
    before = read(task)
    steps = plan(before)
    after = steps.predicted
    if steps.commands and not task.check:
        apply(task, steps)
        after = read(task)
    return {
        "changed": bool(steps.commands),
        "commands": steps.commands,
        "reason": steps.reason,
        "diff": {"before": before, "after": after},
    }
