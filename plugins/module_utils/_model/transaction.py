# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bring devices to what is wished, all of them or none: look, plan, send, look again, and tell what cannot be told."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Dict, Iterator, List, Sequence

from .._mconsole.errors import DangerError, RefusedError, UnverifiedError
from .changes import Changes
from .device import Wish
from .plan import Outline, State, outline, read, verdict
from .sight import Sight
from .sync import Plan, sync
from .task import Task

_SETTLING = 1.0  # seconds in which a device just set may become visible in the guest
_POLL = 0.02
Result = Dict[str, Any]


class Transaction:
    """One run over some devices of one instance."""

    def __init__(self, task: Task, wishes: Sequence[Wish], force: bool) -> None:
        self._wishes, self._force = wishes, force
        self.changes = Changes(task.console)
        self.sight = Sight(task.console)
        self.outline = Outline([], {}, {})

    def read(self, task: Task) -> State:
        """Look at the devices anew."""
        self.sight = Sight(task.console)
        return read(self.sight, [each.name for each in self._wishes])

    def plan(self, before: State) -> Plan:
        """Return the commands, and keep the steps."""
        self.outline = outline(self.sight, self._wishes, before, self._force)
        return Plan(self.outline.commands, {**before, **self.outline.predicted})

    def apply(self, task: Task, plan: Plan) -> None:
        """Send the steps, see to disks that a stale slot spoilt, and look until the guest shows what came of them."""
        self.changes.carry_out(self.outline.steps)
        state = self.read(task)
        for step in self.outline.steps:
            have = state[step.name.text]
            if step.full and have["state"] == "present" and step.name.kind.is_stuck(step.full, have):
                self.changes.repeat(step)
        deadline = time.monotonic() + _SETTLING
        while self.wrong(self.read(task)) and time.monotonic() < deadline:
            time.sleep(_POLL)

    def wrong(self, state: State) -> List[str]:
        """Return what is not as wished, a sentence a device."""
        found = (verdict(self.sight, each, state[each.name.text])[0] for each in self._wishes)
        return [text for text in found if text is not None]

    def outcomes(self, state: State, predicted: bool) -> Dict[str, Result]:
        """Return for each device ``verified`` and ``reason``; what is only predicted is not verified."""
        return {each.name.text: self._outcome(each, state[each.name.text], predicted) for each in self._wishes}

    def _outcome(self, each: Wish, have: Dict[str, Any], predicted: bool) -> Result:
        name = each.name.text
        reason = self.outline.reasons.get(name, "")
        if predicted and any(step.name.text == name for step in self.outline.steps):
            return {"verified": False, "reason": f"{reason}; nothing was sent in check mode"}
        wrong, doubts = verdict(self.sight, each, have)
        told = [wrong] if wrong else doubts
        return {"verified": not told, "reason": "; ".join(told) or reason}


def run(task: Task, wishes: Sequence[Wish], force: bool = False, resume: bool = False) -> Result:
    """Return the result of a transaction: that of ``sync``, with ``done``, ``undone``, ``devices: {name: outcome}``.

    :raises Error: when nothing could be planned; then nothing was sent
    """
    task.console.command("version")  # an instance that is gone is told as such, before anything is locked
    for each in wishes:
        for text in each.name.kind.warnings(each.flat) if each.present else ():
            task.warn(f"{each.name.text}: {text}")
    with task.exclusive() if not task.check else contextlib.nullcontext():
        if task.console.paused():
            return _run_paused(task, wishes, force, resume)
        return _run(task, wishes, force)


def _run(task: Task, wishes: Sequence[Wish], force: bool) -> Result:
    this = Transaction(task, wishes, force)
    result = sync(task, this.read, this.plan, this.apply)
    after: State = result["diff"]["after"]
    predicted = task.check and result["changed"]
    if not predicted and not result.get("failed"):
        result.update(_failure(task, this.wrong(after), result["diff"]))
    changes = this.changes
    return {
        **result,
        "devices": this.outcomes(after, predicted),
        "done": changes.done,
        "undone": changes.undone,
        "restored": bool(changes.undone) and not changes.lost,
    }


def _failure(task: Task, wrong: List[str], diff: Result) -> Result:
    """Return what makes a result a failed one when the kernel said OK to what did not happen."""
    if not wrong:
        return {}
    err = UnverifiedError(f"the kernel said OK, and yet {'; '.join(wrong)}", umid=task.umid)
    changed = diff["before"] != diff["after"]
    return {"failed": True, "changed": changed, "msg": str(err), "error": err.describe()}


def _run_paused(task: Task, wishes: Sequence[Wish], force: bool, resume: bool) -> Result:
    """Do it around a pause, if that is wished: changing devices of a paused instance can freeze it for good.

    What the console tells of a paused instance is enough to see that nothing needs to be done.

    :raises DangerError: when something needs to be done and ``resume`` is not given
    """
    seen = all(each.name.kind.queried for each in wishes)
    blind = Transaction(task, wishes, force)
    if seen and not blind.plan(blind.read(task)).commands:
        return _run(task, wishes, force)
    if not resume or (task.check and not seen):
        raise DangerError(
            f"{task.umid} is paused, and changing its devices now can freeze it for good; say resume: true"
            " to resume it for the moment, or resume it first",
            umid=task.umid,
            danger="guest-while-paused",
        )
    if task.check:
        result = _run(task, wishes, force)
    else:
        with _resumed(task):
            result = _run(task, wishes, force)
    return {**result, "commands": ["go", *result["commands"], "stop"]}


@contextlib.contextmanager
def _resumed(task: Task) -> Iterator[None]:
    """Resume a paused instance, and pause it again whatever happens."""
    task.console.command("go")
    try:
        yield
    finally:
        with contextlib.suppress(RefusedError):  # "Already stopped": somebody else was faster
            task.console.command("stop")
