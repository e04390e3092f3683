# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Facts of an instance, as far as its console reaches."""

from __future__ import annotations

from typing import Any, Dict

from .._task.task import Task

SCOPE = "console"
ARGUMENTS: Dict[str, Any] = {
    "gather_subset": {"type": "list", "elements": "str", "default": ["default"]},
    "interfaces": {"type": "list", "elements": "str", "default": []},
}
CONSTRAINTS: Dict[str, Any] = {}


def run(task: Task) -> Dict[str, Any]:
    """Gather, and return facts under setup's names and all else under ``uml``."""
    from .._facts import facts  # here, because a controller loads this file for each task, for its arguments alone

    subsets = facts.select(task.params["gather_subset"])
    standard, uml = facts.gather(task.console, subsets, task.params["interfaces"])
    here = {
        "umid": task.umid,
        "uml_dir": task.place.uml_dir,
        "console": task.place.console,
        "pid": task.console.pid(),
    }
    named = {f"ansible_{name}": value for name, value in standard.items()}
    return {"changed": False, "ansible_facts": {**named, "uml": {**here, **uml}}, "commands": list(task.console.sent)}
