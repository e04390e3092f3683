# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Facts of what an instance was given: its disks, its lines, and the classes of devices that its kernel knows."""

from __future__ import annotations

from typing import Any, Dict

from .._devices import classes, disks
from .._guest import parsers
from .bounded_snapshot import BoundedSnapshot

Facts = Dict[str, Any]

LINES = ("con", "ssl")


def disk_files(guest: BoundedSnapshot) -> Facts:
    """Return the disks, also those that the guest does not list."""
    found = {f"ubd{unit}": _disk(guest, unit) for unit in range(disks.UNITS)}
    return {"disks": {name: disk for name, disk in found.items() if disk["state"] != "absent"}}


def _disk(guest: BoundedSnapshot, unit: int) -> Facts:
    """Return a disk; one that the guest does not list (a ghost, an empty file) is not looked for in its files."""
    listed = parsers.partitions(guest.text("partitions"))
    if f"ubd{chr(ord('a') + unit)}" in listed and guest.has_sysfs:
        return {**disks.read(guest, unit), "listed": True}
    config = guest.ask(f"config ubd{unit}")
    if not config:
        return {"state": "absent"}
    file, _comma, backing = config.partition(",")
    return {"state": "present", "config": config, "file": file, "backing_file": backing, "listed": False}


def lines(guest: BoundedSnapshot) -> Facts:
    """Return what consoles and serial lines are set to, and which the kernel prints to."""
    found = {
        f"{kind}{unit}": classes.CLASSES[kind].read(guest, unit)
        for kind in LINES
        for unit in range(classes.CLASSES[kind].limit)
    }
    present = {name: line["config"] for name, line in found.items() if line["state"] == "present"}
    kernel = [line.split()[0] for line in guest.text("consoles").splitlines() if line.split()]
    return {"lines": present, "kernel_consoles": kernel}


def capabilities(guest: BoundedSnapshot) -> Facts:
    """Return {class: whether the kernel knows it}."""
    kinds = classes.CLASSES.values()
    return {"capabilities": {kind.name: guest.knows(kind.probe, kind.name in LINES) for kind in kinds}}
