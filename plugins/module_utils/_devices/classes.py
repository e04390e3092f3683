# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of device classes, and names of devices."""

from __future__ import annotations

import re
from typing import Dict

from .._mconsole.errors import InputError
from .device_class import DeviceClass, Name
from .disks import DISK
from .interfaces import ETHERNET, VECTOR
from .lines import CONSOLE, SERIAL
from .passthrough import VFIO, VIRTIO

CLASSES: Dict[str, DeviceClass] = {row.name: row for row in (DISK, CONSOLE, SERIAL, VECTOR, ETHERNET, VIRTIO, VFIO)}


def find(name: str) -> Name:
    """Return the device of a name; a disk by number and by letter is the same.

    :raises InputError: when no kernel has such a device
    """
    if name in ("mem", "memory"):
        raise InputError("memory is not a device that can be set; use the module uml.mconsole.memory", name=name)
    for kind in CLASSES.values():
        match = kind.spelling.fullmatch(name)
        if match is not None:
            return _name(kind, name, match)
    listed = "; ".join(f"{kind.units} ({kind.title})" for kind in CLASSES.values())
    raise InputError(f"{name!r} is not a device; expected one of {listed}", name=name)


def _name(kind: DeviceClass, name: str, match: re.Match[str]) -> Name:
    unit = match["unit"]
    if unit.isdigit() and unit != str(int(unit)):
        raise InputError(f"{name!r}: write the number without leading zeros", name=name)
    number = kind.number(unit)
    if number >= kind.limit:
        raise InputError(f"{name!r} is out of range; {kind.title} is one of {kind.units}", name=name)
    return Name(kind, number, match["flags"])
