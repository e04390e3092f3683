# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Commands that have no state to compare: sent each time, and in check mode not when they change something."""

from __future__ import annotations

import time
from typing import List, Optional

from .._mconsole import commands, dangers
from .._mconsole.commands import Command
from .._mconsole.wire import Reply
from .task import Task

_POLL = 0.01


def parse_all(texts: List[str]) -> List[Command]:
    """Return the commands of several texts, so that a bad one is found before the first is sent.

    :raises InputError: when one is not a command
    """
    return [commands.parse(text) for text in texts]


def send(task: Task, command: Command, force: bool = False) -> Optional[Reply]:
    """Send one command and return the answer, or None when it changes something and the console is read-only.

    After a command that ends this boot its end is waited for: the kernel says OK first, and the next task would still
    find it running.

    :raises DangerError: when it would kill or freeze the instance, whether it would have been sent or not
    :raises RefusedError: when the kernel said no
    """
    if command.changes and task.console.read_only:
        if not force:
            dangers.refuse_if_dangerous(command, task.console)
        return None
    reply = task.console.command(command.text, force)
    if command.word.ends:
        _wait_for_the_end(task, command)
    return reply


def _wait_for_the_end(task: Task, command: Command) -> None:
    deadline = time.monotonic() + task.timeout
    while not task.console.is_over():
        if time.monotonic() > deadline:
            task.warn(f"{task.umid} said OK to {command.text!r}, and runs on after {task.timeout:g} s")
            return
        time.sleep(_POLL)
