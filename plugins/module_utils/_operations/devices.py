# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The devices of an instance in one transaction: all of them, or none."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from .._devices import transaction, unlisted
from .._devices.classes import find
from .._devices.raw_options import convert
from .._devices.spec import DeviceSpec, parse_spec, report
from .._mconsole.errors import InputError
from .._task.task import Task

SCOPE = "console"

ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "config": {"type": "dict", "required": True},
    "state": {"type": "str", "choices": ["merged", "overridden"], "default": "merged"},
    "classes": {"type": "list", "elements": "str", "choices": list(unlisted.REMOVABLE)},
    "force": {"type": "bool", "default": False},
    "resume": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {}


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Bring all devices to their states; see the module's documentation."""
    params = task.params
    specs = parse(params["config"])
    more = None
    if params["state"] == "overridden":
        more = unlisted.UnlistedDevices(specs, params["classes"] or unlisted.REMOVABLE)
    result = transaction.run(task, specs, force=params["force"], resume=params["resume"], more=more)
    after, outcomes = result["diff"]["after"], result.pop("devices")
    doubts = [f"{name}: {outcome['reason']}" for name, outcome in outcomes.items() if not outcome["verified"]]
    return {
        **result,
        "plan": result["commands"],
        "verified": not doubts,
        "reason": "; ".join(doubts),
        "devices": {name: {**report(find(name), after[name]), **outcome} for name, outcome in outcomes.items()},
        "kept": more.kept if more is not None else {},
    }


def parse(config: Mapping[str, Any]) -> List[DeviceSpec]:
    """Return the specs in ``{name: setting or options}``.

    :raises InputError: when a device is named twice, or an option is unknown or of a wrong type
    """
    specs: Dict[str, DeviceSpec] = {}
    for name, spec in config.items():
        parsed = parse_spec(str(name), convert(f"config.{name}", spec))
        if parsed.name.text in specs:
            raise InputError(f"{parsed.name.text} is named twice in config, the second time as {name!r}")
        specs[parsed.name.text] = parsed
    return list(specs.values())
