# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One device of an instance: present with its options, or absent."""

from __future__ import annotations

from typing import Any, Dict

from .._task.task import Task

SCOPE = "console"

OPTIONS: Dict[str, Dict[str, Any]] = {
    "config": {"type": "str"},
    "file": {"type": "str"},
    "backing_file": {"type": "str"},
    "read_only": {"type": "bool"},
    "synchronous": {"type": "bool"},
    "shared": {"type": "bool"},
    "discard": {"type": "bool"},
    "raw": {"type": "bool"},
    "serial": {"type": "str"},
    "channel": {"type": "str"},
    "fd": {"type": "int"},
    "tty": {"type": "str"},
    "port": {"type": "int"},
    "output": {"type": "str"},
    "transport": {"type": "str"},
    "ifname": {"type": "str"},
    "mac": {"type": "str"},
    "settings": {"type": "dict"},
    "socket": {"type": "str"},
    "virtio_id": {"type": "int"},
}
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **OPTIONS,
    "force": {"type": "bool", "default": False},
    "resume": {"type": "bool", "default": False},
}
# What ``config`` says all of; only the flags of a disk may stand beside it.
WHOLE = [
    option for option in OPTIONS if option not in ("config", "read_only", "synchronous", "shared", "discard", "raw")
]
CONSTRAINTS: Dict[str, Any] = {"mutually_exclusive": [("config", option) for option in WHOLE]}


def run(task: Task) -> Dict[str, Any]:
    """Bring one device to its state; see the module's documentation."""
    from .._devices import (
        transaction,  # here, since a controller loads this file for each task, for its arguments alone
    )
    from .._devices.spec import parse_spec, report

    params = task.params
    each = parse_spec(params["name"], params)
    result = transaction.run(task, [each], force=params["force"], resume=params["resume"])
    before, after = (result["diff"][side].get(each.name.text, {}) for side in ("before", "after"))
    outcome = result.pop("devices")[each.name.text]
    return {**result, **outcome, "diff": {"before": before, "after": after}, "device": report(each.name, after)}
