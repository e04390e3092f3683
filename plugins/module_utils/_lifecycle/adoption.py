# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The declaration of an instance that was started by any means, with notes on all that no process or kernel shows."""

from __future__ import annotations

import os
from typing import Any, Dict, List

from .._mconsole import procfs
from .._mconsole.errors import Error
from .._mconsole.instances import Instance
from .._mconsole.states import Probe
from .._task.task import Task
from . import declaration, instance_report, keeper, live_devices, observation, systemd_unit
from .kernel_arg_groups import Words

_DELETED = " (deleted)"
Row = Dict[str, Any]


def describe(task: Task, found: Instance, probe: Probe) -> Row:
    """Return ``options`` (None where nothing can be known), ``notes``, ``runtime_only`` and ``replaced``.

    ``task`` is in check mode, and of this instance.
    """
    row: Row = {"options": None, "notes": [], "runtime_only": [], "replaced": []}
    if not found.alive or not found.pid:
        return {**row, "notes": ["it has ended, and its command line with it"]}
    cwd = procfs.link(f"/proc/{found.pid}/cwd")
    if cwd is None:
        return {**row, "notes": ["it belongs to another user; only that user and root see how it was started"]}
    words = observation.boot_line(found)
    made = _declared(task, found, probe, words)
    row.update(options={**_kernel(words, row), **made.options}, notes=[*row["notes"], *made.notes])
    if probe.state == "running":
        _add_live_devices(task, row, words, cwd)
    _add_surroundings(found, probe, row)
    return row


def _kernel(words: Words, row: Row) -> declaration.Options:
    """Return the kernel; one that was removed cannot be started again."""
    path = words["kernel"][0]
    file = path[: -len(_DELETED)] if path.endswith(_DELETED) else path
    if file != path:
        row["replaced"].append(file)
    if os.access(file, os.X_OK):
        return {"kernel": file}
    row["notes"].append(f"its kernel {file} cannot be started; it does not exist, or is not executable")
    return {}


def _add_live_devices(task: Task, row: Row, words: Words, cwd: str) -> None:
    boot = [*words["devices"], *words["disk0"]]
    try:
        live = live_devices.read(task, row["options"].get("devices", {}), boot, cwd)
    except Error as err:
        row["notes"].append(f"its devices are those of its start; what it has now cannot be read: {err}")
        return
    row["options"]["devices"] = live.devices
    if not live.devices:
        del row["options"]["devices"]
    row.update(runtime_only=live.runtime_only, replaced=[*row["replaced"], *live.replaced])
    row["notes"] += live.notes


def _declared(task: Task, found: Instance, probe: Probe, words: Words) -> declaration.Declaration:
    """Return what stands for a command line, with what the kernel refused as words of it."""
    made = declaration.from_words(found.place, words)
    if probe.state != "running":
        return made
    refused = live_devices.refused(task, made.options.get("devices", {}))
    if not refused:
        return made
    notes = [
        f"{name} is on the command line, and cannot be declared as a device: {why}" for name, why in refused.items()
    ]
    again = declaration.from_words(found.place, words, refused)
    return declaration.Declaration(again.options, [*again.notes, *notes])


def _add_surroundings(found: Instance, probe: Probe, row: Row) -> None:
    """Add what the command line does not say: the log, the memory's directory, the state, and who keeps it."""
    pid, options, notes = found.pid or 0, row["options"], row["notes"]
    log, folder = instance_report.log_of(pid), procfs.environ(pid).get("TMPDIR", "")
    if log is None:
        notes.append(f"its console is not a file; a start by the role writes it to {found.place.directory}.log")
    elif log != f"{found.place.directory}.log":
        options["console_log"] = log
    if folder.startswith("/") and folder not in ("/tmp", "/dev/shm"):
        options["memory_dir"] = folder
    if probe.state == "paused":
        options["state"] = "paused"
    options["supervisor"] = "systemd" if systemd_unit.owns(pid, found.place.umid) else "none"
    notes += _keeper_notes(found)
    notes += [f"{name} was set while it runs; a restart by other means loses it" for name in row["runtime_only"]]
    notes += [f"{path} was replaced after its start; it runs with the old file" for path in row["replaced"]]


def _keeper_notes(found: Instance) -> List[str]:
    other = keeper.find(found)
    is_other = other is not None and other.is_unit
    return [f"{other.text} started it and may start it again" for other in ([other] if is_other and other else [])]
