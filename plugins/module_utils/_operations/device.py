# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One device of an instance: present with its options, or absent."""

from __future__ import annotations

from typing import Any, Dict

from .._devices.raw_options import OPTIONS, STATE, WHOLE
from .._task.task import Task

SCOPE = "console"

ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": STATE,
    **OPTIONS,
    "force": {"type": "bool", "default": False},
    "resume": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {"mutually_exclusive": [("config", option) for option in WHOLE]}


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Bring one device to its state; see the module's documentation."""
    from .._devices import transaction  # here, because a controller loads this file for its arguments alone
    from .._devices.spec import parse_spec, report

    params = task.params
    spec = parse_spec(params["name"], params)
    result = transaction.run(task, [spec], force=params["force"], resume=params["resume"])
    before, after = (result["diff"][side].get(spec.name.text, {}) for side in ("before", "after"))
    outcome = result.pop("devices")[spec.name.text]
    return {**result, **outcome, "diff": {"before": before, "after": after}, "device": report(spec.name, after)}
