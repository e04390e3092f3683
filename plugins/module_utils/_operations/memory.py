# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The memory that an instance has, by taking some away from its guest or giving it back."""

from __future__ import annotations

import contextlib
from typing import Any, Dict

from .._guest import memory
from .._guest.snapshot import Snapshot
from .._mconsole.parsing import parse_size
from .._task import pause
from .._task.reconcile import Change, State, sync
from .._task.task import Task

SCOPE = "console"
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "size": {"type": "str", "required": True},
    "tolerance": {"type": "str", "default": "4M"},
    "reserve": {"type": "str", "default": "8M"},
    "resume": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {}


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Bring the guest to the size; see the module's documentation."""
    params = task.params
    wanted = memory.parse(params["size"])
    tolerance, reserve = parse_size(params["tolerance"], "tolerance"), memory.reserve_of(params["reserve"])
    task.console.command("version")
    with task.exclusive() if not task.check else contextlib.nullcontext():
        if not task.console.paused():
            return _Resizing(task, wanted, tolerance, reserve).run()
        if task.check or not params["resume"]:
            raise pause.refusal(task)
        with pause.resumed(task):
            result = _Resizing(task, wanted, tolerance, reserve).run()
        return {**result, "commands": ["go", *result["commands"], "stop"]}


class _Resizing:
    """One run; ``now`` is the last reading."""

    def __init__(self, task: Task, wanted: Any, tolerance: int, reserve: int) -> None:
        self._task, self._tolerance, self._reserve = task, tolerance, reserve
        self.now = memory.read(Snapshot.take(task.console))
        self._is_checked = False
        self._wanted = self.now.boot if wanted is None else wanted

    def run(self) -> Dict[str, Any]:
        """Return the result, with what was achieved."""
        result = sync(self._task, self._read, self._plan, self._apply)
        if not self._task.check:
            result["commands"] = [text for text in self._task.console.sent if text.startswith("config mem=")]
        reached = abs(self.now.size - self._wanted) <= self._tolerance
        return {**result, "size": self.now.size, "memory": self.now.report(), "verified": reached}

    def _read(self, task: Task) -> State:
        if not self._is_checked:
            self.now = memory.read(Snapshot.take(task.console))
        return {"size": self.now.size}

    def _plan(self, before: State) -> Change:
        planned = memory.plan(self._task.umid, self.now, self._wanted, self._tolerance, self._reserve)
        if planned is None:
            return Change([], before, "the size is already within the tolerance")
        return Change([planned], {"size": self._wanted}, f"the size was {memory.mib(self.now.size)}")

    def _apply(self, task: Task, plan: Change) -> None:
        memory.bring(task, self._wanted, self._tolerance, self._reserve)
        self.now = memory.read(Snapshot.take(task.console))
        memory.check_reached(task, self.now, self._wanted, self._tolerance)
        self._is_checked = True  # what was found right is reported: a moment later it is some pages more or less
