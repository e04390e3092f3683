# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Send the steps of a plan: all of them, or none that stays; and wait where the kernel needs a moment."""

from __future__ import annotations

import time
from typing import Callable, List, Optional, Sequence

from .._mconsole.console import Console
from .._mconsole.errors import DangerError, Error, RefusedError
from . import disks
from .device_class import Name
from .plan import Step

_NO_DEVICE = -19  # "Device doesn't exist"
_POLL = 0.01
_CLOSING = 5.0  # seconds; 6.12 and later keep a disk open for 2-40 ms after it was set, much longer on a busy host


class Executor:
    """Steps on one instance: ``done`` and ``undone`` are the commands that were sent, in their order.

    ``lost`` names what could not be taken back.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._finished: List[Step] = []
        self.undone: List[str] = []
        self.lost: List[str] = []

    @property
    def done(self) -> List[str]:
        """Return the commands of the plan that were carried out."""
        return [step.command for step in self._finished]

    def execute(self, steps: Sequence[Step]) -> None:
        """Send every step; when one is refused, undo those before it.

        A step without an answer ends the transaction: it may have happened, and so may any command sent after it.

        :raises Error: the error of the step that ended it
        """
        for step in steps:
            try:
                self._send(step.name, step.command)
            except (RefusedError, DangerError) as err:
                for command in step.after_refusal if _left_traces(err) else ():
                    self._try(step.name, command)
                self.roll_back()
                raise self._explained(err, step.name) from err
            self._finished.append(step)

    def repeat(self, step: Step) -> None:
        """Remove a device just set and set it once more; only removing it resets what a refused setting left behind."""
        for command in (step.name.remove(), step.command):
            self._send(step.name, command)

    def roll_back(self) -> None:
        """Undo every step that was carried out, the last one first; an instance that was restarted has none of them."""
        if self._console.has_restarted():
            return
        for step in reversed(self._finished):
            if not step.undo:
                self.lost.append(step.command)
            for command in step.undo:
                self._try(step.name, command)

    def failed(self, err: Error) -> Error:
        """Return an error with what became of the steps."""
        text = str(err)
        if self._console.has_restarted() and "has restarted" not in text:
            text += "; the instance has restarted meanwhile"
        if self.undone:
            text += "; what was there before is restored"
        if self.lost:
            text += f"; NOT taken back: {', '.join(self.lost)}"
        return type(err)(text, **err.facts)

    def _try(self, name: Name, command: str) -> None:
        try:
            self._send(name, command)
        except Error as err:
            if err.facts.get("err") != _NO_DEVICE:  # what the kernel only said it had made needs no removal
                self.lost.append(command)
        else:
            self.undone.append(command)

    def _send(self, name: Name, command: str) -> None:
        """Send one command; where the kernel only needs a moment, or a slot is stale, see to that and send it again."""
        deadline = time.monotonic() + _CLOSING
        while True:
            try:
                self._console.command(command)
                return
            except RefusedError as err:
                remedy = _remedy(err, name, command)
                if remedy is None or time.monotonic() > deadline:
                    raise
                remedy(self._console)

    def _explained(self, err: Error, name: Name) -> Error:
        """Return a refusal with what it means and what was put back."""
        meaning = explain(err, name)
        return self.failed(type(err)(f"{err}: {meaning}" if meaning else str(err), **err.facts))


def explain(err: Error, name: Name) -> Optional[str]:
    """Return what a refusal means, by the table of the device's class."""
    code, said = err.facts.get("err"), str(err.facts.get("said", ""))
    for row in name.kind.meanings:
        if row.err in (None, code) and (row.said in said if row.said else not said.strip()):
            return row.meaning
    return None


def _left_traces(err: Error) -> bool:
    """Return whether a refusal changed something: one that only says that the device is busy did not."""
    return not str(err.facts.get("said", "")).endswith(("already open", "already configured", "currently open"))


def _remedy(err: RefusedError, name: Name, command: str) -> Optional[Callable[[Console], None]]:
    """Return what to do before a refused command is sent again, or None when sending it again is useless."""
    said = str(err.facts.get("said", ""))
    if "currently open" in said and command.startswith("remove "):
        return lambda console: time.sleep(_POLL)
    if "Can't specify both 'd' and a cow file" in said and not disks.asks_for_raw(command):
        return lambda console: _clear(console, name)
    return None


def _clear(console: Console, name: Name) -> None:
    for command in disks.clear(name):
        _patiently(console, command)


def _patiently(console: Console, command: str) -> None:
    """Send a command that is refused only as long as a disk just set is still open."""
    deadline = time.monotonic() + _CLOSING
    while True:
        try:
            console.command(command)
            return
        except RefusedError as err:
            if "currently open" not in str(err.facts.get("said", "")) or time.monotonic() > deadline:
                raise
        time.sleep(_POLL)
