# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Send the steps of a plan: all of them, or none that stays; and wait where the kernel needs a moment."""

from __future__ import annotations

import time
from typing import Callable, List, Optional, Sequence

from .._mconsole.console import Console
from .._mconsole.errors import Error, RefusedError
from . import disks
from .plan import Step
from .row import Name

_POLL = 0.01
_CLOSING = 1.5  # seconds; 6.12 and later keep a disk open for 2-40 ms after it was set, longer under load


class Changes:
    """Steps on one instance: ``done`` and ``undone`` are the commands that were sent, in their order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.done: List[str] = []
        self.undone: List[str] = []
        self.lost: List[str] = []

    def carry_out(self, steps: Sequence[Step]) -> None:
        """Send every step; when one is refused, take back those before it.

        :raises Error: what ended it; ``done``, ``undone`` and ``lost`` (what could not be taken back) say the rest
        """
        finished: List[Step] = []
        for step in steps:
            try:
                self._send(step.name, step.command)
            except RefusedError as err:
                self._take_back(finished, step, err)
                raise self._explained(err, step.name) from err
            finished.append(step)
            self.done.append(step.command)

    def repeat(self, step: Step) -> None:
        """Remove a device just set and set it once more; only removing it resets what a refused setting left behind."""
        for command in (step.name.remove(), step.command):
            self._send(step.name, command)

    def _take_back(self, finished: Sequence[Step], refused: Step, err: RefusedError) -> None:
        for command in refused.after_refusal if _left_traces(err) else ():
            self._try(refused.name, command)
        for step in reversed(finished):
            for command in step.undo:
                self._try(step.name, command)

    def _try(self, name: Name, command: str) -> None:
        try:
            self._send(name, command)
        except Error:
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

    def _explained(self, err: RefusedError, name: Name) -> RefusedError:
        """Return a refusal with what it means and what was put back."""
        meaning = explain(err, name)
        text = f"{err}: {meaning}" if meaning else str(err)
        if self.undone:
            text += "; what was there before is restored"
        if self.lost:
            text += f"; NOT restored, since the kernel refused: {', '.join(self.lost)}"
        return RefusedError(text, **err.facts)


def explain(err: RefusedError, name: Name) -> Optional[str]:
    """Return what a refusal means, by the table of the device's class."""
    code, said = err.facts.get("err"), str(err.facts.get("said", ""))
    for row in name.kind.meanings:
        if row.err in (None, code) and (row.said in said if row.said else not said.strip()):
            return row.meaning
    return None


def _left_traces(err: RefusedError) -> bool:
    """Tell whether a refusal changed something: one that only says that the device is busy did not."""
    return not str(err.facts.get("said", "")).endswith(("already open", "already configured", "currently open"))


def _remedy(err: RefusedError, name: Name, command: str) -> Optional[Callable[[Console], None]]:
    """Return what to do before a refused command is sent again, or None when sending it again is no use."""
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
