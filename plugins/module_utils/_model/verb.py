# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Commands that have no state to compare: sent each time, and in check mode not when they change something."""

from __future__ import annotations

from typing import List, Optional

from .._mconsole import commands, dangers
from .._mconsole.commands import Command
from .._mconsole.wire import Reply
from .task import Task


def parse_all(texts: List[str]) -> List[Command]:
    """Return the commands of several texts, so that a bad one is found before the first is sent.

    :raises InputError: when one is no command
    """
    return [commands.parse(text) for text in texts]


def send(task: Task, command: Command, force: bool = False) -> Optional[Reply]:
    """Send one command and return the answer, or None when it changes something and the console is read-only.

    :raises DangerError: when it would kill or freeze the instance, whether it would have been sent or not
    :raises RefusedError: when the kernel said no
    """
    if command.changes and task.console.read_only:
        if not force:
            dangers.consult(command, task.console)
        return None
    return task.console.command(command.text, force)
