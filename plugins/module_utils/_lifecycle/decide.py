# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Decide the steps from what is there to what a task asks for. Nothing is looked at or done here."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._mconsole.errors import InputError, NotAllowedError, UnansweredError
from .._task.reconcile import State
from .kernel_arg_groups import Words
from .observation import Observation

UP = ("running", "paused")
ENDED = ("stopped", "absent")
Steps = Tuple[str, ...]
_THEN: Dict[str, Steps] = {"paused": ("pause",)}
# (desired state, what is there) -> steps; ``up`` is all that is there and not in the table.
_STEPS: Dict[Tuple[str, str], Steps] = {
    ("running", "running"): (),
    ("running", "paused"): ("resume",),
    ("paused", "running"): ("pause",),
    ("paused", "paused"): (),
    ("stopped", "absent"): (),
    ("stopped", "stale"): (),
    ("stopped", "orphaned"): ("clear",),
    ("absent", "absent"): (),
    ("absent", "stale"): ("clear",),
    ("absent", "orphaned"): ("clear",),
    ("stopped", "up"): ("stop",),
    ("absent", "up"): ("stop", "clear"),
    ("running", "absent"): ("start",),
    ("running", "stale"): ("clear", "start"),
    ("running", "orphaned"): ("clear", "start"),
    ("paused", "absent"): ("start", "pause"),
    ("paused", "stale"): ("clear", "start", "pause"),
    ("paused", "orphaned"): ("clear", "start", "pause"),
    ("restarted", "absent"): ("start",),
    ("restarted", "stale"): ("clear", "start"),
    ("restarted", "orphaned"): ("clear", "start"),
    ("restarted", "up"): ("stop", "clear", "start"),
}


class Unit(NamedTuple):
    """The instance's unit of systemd: whether there is one for it, whether it keeps the instance (now or when that
    was last there), and whether the task runs in it, so that systemd itself stops the instance."""

    is_declared: bool = False
    keeps: bool = False
    is_own: bool = False


class Request(NamedTuple):
    """What a task asks for: ``words`` are the groups of the boot line, ``limits`` those of the unit."""

    umid: str
    params: Mapping[str, Any]
    words: Words
    limits: Dict[str, Any]

    @property
    def desired(self) -> str:
        """Return the requested state."""
        return str(self.params["state"])

    @property
    def supervisor(self) -> Optional[str]:
        """Return what the task wants to keep the instance, or None when it does not say."""
        return self.params.get("supervisor")

    def is_by_unit(self, unit: Unit) -> bool:
        """Return whether systemd is to keep the instance; a task that does not say leaves that as it is."""
        return (self.supervisor or ("systemd" if unit.keeps else "none")) == "systemd"

    def restarts(self, differences: Mapping[str, Any]) -> bool:
        """Return whether the instance needs a restart because of its boot line."""
        return bool(differences) and self.desired in UP and self.params["restart"] == "when_required"


def steps(request: Request, seen: Observation, unit: Unit, before: State, differences: Mapping[str, Any]) -> Steps:
    """Return all steps, in their order.

    :raises Error: when the state cannot be reached from what is there
    """
    main = _main_steps(request, seen, differences)
    found = (*_limit_steps(request, unit, before), *main, *_unit_steps(request, seen, unit, before, main))
    if "stop" in found and not request.params["stop_methods"]:
        raise InputError(f"{request.umid} must be stopped, and stop_methods is empty; expected at least one method")
    return found


def needs_systemd(request: Request, seen: Observation, unit: Unit, found: Steps) -> bool:
    """Return whether the steps need systemd to keep the instance, or to have its unit changed."""
    if unit.is_own:
        return False
    if request.limits and request.desired not in ENDED:
        return True
    if request.desired in ENDED and not unit.is_declared and not unit.keeps:
        return False
    return request.is_by_unit(unit) or (unit.keeps and not _is_left(seen, unit, found))


def _main_steps(request: Request, seen: Observation, differences: Mapping[str, Any]) -> Steps:
    desired, there = request.desired, seen.state
    if there == "unknown" and not seen.is_up:
        raise NotAllowedError(
            f"{request.umid} cannot be {desired}: {seen.probe.reason}; run the task where the instance runs, as its"
            " user",
            umid=request.umid,
        )
    if request.restarts(differences):
        return ("stop", "clear", "start", *_THEN.get(desired, ()))
    found = _STEPS.get((desired, there), _STEPS.get((desired, "up")))
    if found is not None:
        return found
    if there == "unknown":
        raise NotAllowedError(f"{request.umid} cannot be {desired}: {seen.probe.reason}", umid=request.umid)
    raise UnansweredError(
        f"{request.umid} is {there}: {seen.probe.reason}; set state=restarted to end it and start it again",
        umid=request.umid,
    )


def _limit_steps(request: Request, unit: Unit, before: State) -> Steps:
    """Return the step that sets the limits of the unit, for which the instance need not be restarted.

    :raises InputError: when systemd does not keep the instance
    """
    if not request.limits or request.desired in ENDED:
        return ()
    if not request.is_by_unit(unit):
        raise InputError(
            f"{', '.join(request.limits)} of {request.umid} cannot be set; expected supervisor=systemd",
            umid=request.umid,
        )
    return ("limit",) if before["limits"] != request.limits else ()


def _unit_steps(request: Request, seen: Observation, unit: Unit, before: State, main: Steps) -> Steps:
    """Return the step after which the VM host starts the instance when it boots, or no longer does so."""
    if unit.is_own:
        return ()  # systemd itself stops it, and will start it when the VM host boots
    is_ended, is_left = request.desired in ENDED, _is_left(seen, unit, main)
    if is_ended and not unit.is_declared and not unit.keeps:
        return ()
    if is_ended or (request.supervisor == "none" and not is_left):
        return ("disable",) if unit.is_declared else ()
    will_be_kept = request.is_by_unit(unit) and (is_left or "start" in main)
    return ("enable",) if will_be_kept and not before["starts_at_boot"] else ()


def _is_left(seen: Observation, unit: Unit, found: Steps) -> bool:
    """Return whether the instance goes on in its unit."""
    return unit.keeps and seen.is_up and "stop" not in found


def predicted(request: Request, seen: Observation, unit: Unit, before: State, found: Steps) -> State:
    """Return the state after the steps."""
    after: State = {**before, "state": _predicted_state(request.desired, seen.state, found)}
    if "start" in found and request.words:
        after["boot_line"] = request.words
    elif after["state"] == "absent":
        after.pop("boot_line", None)
    if "supervisor" in before:
        after.update(_predicted_unit(request, unit, before, found))
    return after


def _predicted_state(desired: str, there: str, found: Sequence[str]) -> str:
    if not {"resume", "pause", "stop", "clear", "start"} & set(found):
        return there
    return desired if desired in UP else ("running" if desired == "restarted" else "absent")


def _predicted_unit(request: Request, unit: Unit, before: State, found: Steps) -> State:
    kept = request.is_by_unit(unit) if "start" in found else unit.keeps and "disable" not in found
    starts = "enable" in found or (before["starts_at_boot"] and "disable" not in found)
    limits = {"limits": request.limits} if "limit" in found else {}
    return {"supervisor": "systemd" if kept else "none", "starts_at_boot": starts, **limits}
