# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Lines for the guest's kernel log."""

from __future__ import annotations

from typing import Any, Dict, List

from .._mconsole.errors import Error, InputError
from .._task import send
from .._task.task import Task

SCOPE = "console"
ARGUMENTS: Dict[str, Any] = {"text": {"type": "str", "required": True}}
CONSTRAINTS: Dict[str, Any] = {}


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Send each line by itself; the kernel takes one at a time, and logs every text at level "warning".

    :raises InputError: when a line is too long, or no line is given; nothing was sent
    """
    lines = task.params["text"].replace("\r\n", "\n").split("\n")
    commands = send.parse_all([f"log {line}" for line in lines if line.strip()])
    if not commands:
        raise InputError("text contains no line to log")
    sent: List[str] = []
    for command in commands:
        try:
            send.send(task, command)
        except Error as err:
            err.facts.update(commands=sent, changed=bool(sent))
            raise
        sent.append(command.text.rstrip("\n"))
    return {"changed": True, "commands": sent}
