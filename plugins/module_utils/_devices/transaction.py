# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bring devices to their requested state, all or none: look, plan, send, look again, report."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from .._guest.snapshot import Snapshot
from .._mconsole.errors import UnverifiedError
from .._task import pause
from .._task.reconcile import Change, sync
from .._task.task import Task
from .executor import Executor
from .plan import DevicePlan, State, Step, make_plan, read, verdict
from .spec import DeviceSpec

_SETTLING = 1.0  # seconds in which a device just set may become visible in the guest
_POLL = 0.02
Result = Dict[str, Any]
More = Callable[[Snapshot], List[DeviceSpec]]


class Transaction:
    """One run over some devices of one instance."""

    def __init__(self, task: Task, specs: Sequence[DeviceSpec], force: bool) -> None:
        self._specs, self._force = specs, force
        self.changes = Executor(task.console)
        self.sight = Snapshot.take(task.console)
        self.outline = DevicePlan([], {}, {})

    def read(self, task: Task) -> State:
        """Look at the devices again."""
        self.sight = Snapshot.take(task.console)
        return read(self.sight, self._specs)

    def plan(self, before: State) -> Change:
        """Return the commands, and keep the steps."""
        self.outline = make_plan(self.sight, self._specs, before, self._force)
        return Change(self.outline.commands, {**before, **self.outline.predicted})

    def apply(self, task: Task, plan: Change) -> None:
        """Send the steps, see to disks that a stale slot spoilt, and look until the guest shows what came of them.

        :raises Error: when a step was refused, or did not do what the kernel said; then all are taken back
        """
        self.changes.execute(self.outline.steps)
        state = self.read(task)
        for step in self._stuck(state):
            self.changes.repeat(step)
            state = self.read(task)
        wrong = self._wait_until_visible(task, state)
        if wrong:
            self.changes.roll_back()
            err = UnverifiedError(f"the kernel said OK, and yet {'; '.join(wrong)}", umid=task.umid)
            raise self.changes.failed(err)

    def _stuck(self, state: State) -> List[Step]:
        """Return the steps whose devices an earlier refusal spoilt."""
        set_now = [step for step in self.outline.steps if step.full and state[step.name.text]["state"] == "present"]
        return [step for step in set_now if step.name.kind.has_stale_flags(step.full, state[step.name.text])]

    def _wait_until_visible(self, task: Task, state: State) -> List[str]:
        """Return what is still not as requested after the guest has had the time to show it."""
        deadline = time.monotonic() + _SETTLING
        wrong = self.wrong(state)
        while wrong and time.monotonic() < deadline:
            time.sleep(_POLL)
            wrong = self.wrong(self.read(task))
        return wrong

    def wrong(self, state: State) -> List[str]:
        """Return what is not as requested, a sentence a device."""
        found = (verdict(self.sight, spec, state[spec.name.text])[0] for spec in self._specs)
        return [text for text in found if text is not None]

    def outcomes(self, state: State, predicted: bool) -> Dict[str, Result]:
        """Return for each device ``verified`` and ``reason``; what is only predicted is not verified."""
        return {spec.name.text: self._outcome(spec, state[spec.name.text], predicted) for spec in self._specs}

    def _outcome(self, spec: DeviceSpec, have: Dict[str, Any], predicted: bool) -> Result:
        name = spec.name.text
        reason = self.outline.reasons.get(name, "")
        if predicted and any(step.name.text == name for step in self.outline.steps):
            return {"verified": False, "reason": f"{reason}; nothing was sent in check mode"}
        wrong, doubts = verdict(self.sight, spec, have)
        told = [wrong] if wrong else doubts
        return {"verified": not told, "reason": "; ".join(told) or reason}


def run(
    task: Task, specs: Sequence[DeviceSpec], force: bool = False, resume: bool = False, more: Optional[More] = None
) -> Result:
    """Return the result of a transaction: that of ``sync``, with ``done``, ``undone``, ``devices: {name: outcome}``.

    ``more`` finds further specs by looking at the instance.

    :raises Error: when nothing could be planned; then nothing was sent
    """
    task.console.command("version")  # reports an instance that is gone, before anything is locked
    for spec in specs:
        for text in spec.name.kind.warnings(spec.flat) if spec.present else ():
            task.warn(f"{spec.name.text}: {text}")
    with task.exclusive() if not task.check else contextlib.nullcontext():
        this = _Run(task, specs, force, more)
        return this.around_the_pause(resume) if task.console.paused() else this.whole()


class _Run:
    """What a run is about."""

    def __init__(self, task: Task, specs: Sequence[DeviceSpec], force: bool, more: Optional[More]) -> None:
        self._task, self._specs, self._force, self._more = task, specs, force, more

    def whole(self) -> Result:
        """Return the result of one transaction."""
        this = self._transaction()
        result = sync(self._task, this.read, this.plan, this.apply)
        predicted = self._task.check and result["changed"]
        return {
            **result,
            "devices": this.outcomes(result["diff"]["after"], predicted),
            "done": this.changes.done,
            "undone": this.changes.undone,
            "restored": bool(this.changes.undone) and not this.changes.lost,
        }

    def _transaction(self) -> Transaction:
        more = self._more(Snapshot.take(self._task.console)) if self._more else []
        return Transaction(self._task, [*self._specs, *more], self._force)

    def around_the_pause(self, resume: bool) -> Result:
        """Run the change around a pause, if requested.

        A change of the devices of a paused instance can freeze it for good.

        :raises DangerError: when something needs to be done and ``resume`` is not given
        """
        if self._nothing_to_do():
            return self.whole()
        if not resume or (self._task.check and not self._seen()):
            raise pause.refusal(self._task)
        with pause.resumed(self._task):
            result = self.whole()
        return {**result, "commands": ["go", *result["commands"], "stop"]}

    def _seen(self) -> bool:
        """Return whether the console alone shows all that is asked for."""
        return self._more is None and all(spec.name.kind.config_readable for spec in self._specs)

    def _nothing_to_do(self) -> bool:
        """Return whether the console shows a paused instance already as requested."""
        blind = Transaction(self._task, self._specs, self._force)
        return self._seen() and not blind.plan(blind.read(self._task)).commands
