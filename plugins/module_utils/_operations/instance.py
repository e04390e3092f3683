# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One instance: started, paused, resumed, stopped, restarted, and what it left removed."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping, Sequence

from .._lifecycle import (
    disk_check,
    kernel_args,
    lifecycle,
    observation,
    readiness,
    shutdown,
    systemd_unit,
    unit_limits,
    xstate,
)
from .._mconsole import locks, placeholders
from .._mconsole.names import host_path
from .._mconsole.parsing import check_seconds
from .._mconsole.private_dir import private_directory
from .._task.reconcile import sync
from .._task.task import Task

SCOPE = "name"

ROOT: Dict[str, Dict[str, Any]] = {
    "image": {"type": "str"},
    "cow": {"type": "str"},
    "partition": {"type": "int"},
    "hostfs": {"type": "str"},
    "initrd": {"type": "str"},
    "init": {"type": "str"},
    "fstype": {"type": "str"},
    "read_only": {"type": "bool", "default": False},
}
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {
        "type": "str",
        "choices": ["running", "paused", "stopped", "restarted", "absent"],
        "default": "running",
    },
    "kernel": {"type": "str"},
    "memory": {"type": "str"},
    "ncpus": {"type": "int"},
    "seccomp": {"type": "str", "choices": ["off", "on", "auto"]},
    "memory_budget": {"type": "str", "choices": ["ignore", "warn", "enforce"], "default": "warn"},
    "root": {
        "type": "dict",
        "options": ROOT,
        "mutually_exclusive": [("image", "hostfs")],
        "required_one_of": [("image", "hostfs", "initrd")],
        "required_by": {"cow": "image", "partition": "image"},
    },
    "devices": {"type": "dict"},
    "kernel_args": {"type": "raw"},
    "notify": {"type": "str"},
    "memory_dir": {"type": "str"},
    "console_log": {"type": "str"},
    "supervisor": {"type": "str", "choices": ["none", "systemd"]},
    "cpu_quota": {"type": "str"},
    "memory_max": {"type": "str"},
    "tasks_max": {"type": "str"},
    "restart": {"type": "str", "choices": ["never", "when_required"], "default": "never"},
    "rollback": {"type": "bool", "default": False},
    "wait_for": {"type": "str", "choices": list(readiness.KINDS), "default": "init"},
    "wait_pattern": {"type": "str"},
    "wait_command": {"type": "str"},
    "wait_timeout": {"type": "float", "default": 60.0},
    "stop_methods": {
        "type": "list",
        "elements": "str",
        "choices": list(shutdown.METHODS),
        "default": list(shutdown.METHODS),
    },
    "stop_timeout": {"type": "float", "default": 30.0},
    "force": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {
    "required_if": [("wait_for", "log", ("wait_pattern",)), ("wait_for", "command", ("wait_command",))]
}


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Bring one instance into its state, alone: of two tasks at once the second finds it there."""
    params = task.params
    _check(params, task.umid)
    task.place = observation.resolve_place(task)
    wanted = kernel_args.desired(params, task.umid)
    _check_shared(params, task.umid, wanted)
    ready = readiness.Readiness(params["wait_for"], params["wait_pattern"], params["wait_command"] or "")
    life = lifecycle.Lifecycle(task, wanted, ready)
    # systemd does one thing after another, and a task that holds the lock waits for it.
    if task.check or systemd_unit.is_inside(task.umid):
        return _report(task, life, sync(task, life.read, life.plan, life.apply))
    busy = f"another task is starting or stopping {task.umid}"
    patience = time.monotonic() + float(params["wait_timeout"]) + float(params["stop_timeout"])
    with locks.named(private_directory, task.place.directory, patience, busy):
        return _report(task, life, sync(task, life.read, life.plan, life.apply))


def _check_shared(params: Dict[str, Any], umid: str, wanted: Mapping[str, Sequence[str]]) -> None:
    """Refuse a disk file that two instances of this task would write to."""
    others = [name for name in params.get("umids") or () if name != umid]
    if others and params["state"] not in ("stopped", "absent"):
        disk_check.check_shared(wanted, kernel_args.desired(params, others[0]), f"{umid} and {others[0]}")


def _check(params: Dict[str, Any], umid: str) -> None:
    """Refuse what is not looked at where nothing has to be started.

    :raises InputError: when a path is relative, or a time cannot be waited
    """
    for name in ("console_log", "memory_dir"):
        if params[name]:
            host_path(placeholders.filled(params[name], umid), name)
    for name in ("wait_timeout", "stop_timeout"):
        check_seconds(name, params[name], zero=True)


def _report(task: Task, life: lifecycle.Lifecycle, result: Dict[str, Any]) -> Dict[str, Any]:
    """Return the result with what was done and what is there now, read back."""
    if not task.check:
        result["commands"] = life.sent()
    found = life.sighting.instance
    result.update(
        uml_dir=task.place.uml_dir,
        steps=list(life.steps if task.check else life.done),
        state=result["diff"]["after"]["state"],
        state_reason="" if task.check else life.sighting.probe.reason,
        pid=found.pid if found is not None and found.alive else None,
        console_log=observation.console_log_of(life.sighting),
        differences=life.differences,
        xstate_shim=xstate.is_used(found.pid) if found is not None and found.alive and found.pid else None,
    )
    if "limits" in result["diff"]["after"]:
        result["limits"] = result["diff"]["after"]["limits"]
        for option in unit_limits.unenforced(result["pid"] or 0, result["limits"]):
            task.warn(f"{option} of {task.umid} has no effect: the VM host's control groups lack its controller")
    if "rollback" in life.done:
        result.update(changed=True, rolled_back=True)
    if life.stop is not None:
        result.update(stopped_by=life.stop.by, synced=life.stop.synced)
    return result
