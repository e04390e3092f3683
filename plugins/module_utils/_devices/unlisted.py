# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The devices of an instance that the task does not name, and those of them that stay even so."""

from __future__ import annotations

import re
from typing import Collection, Dict, Iterator, List, Optional, Sequence

from .._guest.snapshot import Snapshot
from . import classes
from .device_class import ADD, DeviceClass, Name, Options
from .interfaces import SCANNED
from .plan import lacks, read_device
from .spec import DeviceSpec

REMOVABLE = tuple(name for name, kind in classes.CLASSES.items() if kind.change != ADD)


class UnlistedDevices:
    """Finds the devices of some classes that are there and were not named; ``kept`` says which stay, and why."""

    def __init__(self, specs: Sequence[DeviceSpec], names: Collection[str]) -> None:
        self._named = {spec.name.text for spec in specs}
        self._kinds = [classes.CLASSES[name] for name in names]
        self.kept: Dict[str, str] = {}

    def __call__(self, snapshot: Snapshot) -> List[DeviceSpec]:
        """Return the specs that make them absent."""
        self.kept = {}
        return [DeviceSpec(name, False, {}) for name in self._candidates(snapshot) if not self._stays(snapshot, name)]

    def _candidates(self, snapshot: Snapshot) -> Iterator[Name]:
        for kind in self._kinds:
            for unit in _units(snapshot, kind):
                name = Name(kind, unit)
                if name.text not in self._named and not lacks(snapshot, kind):
                    yield name

    def _stays(self, snapshot: Snapshot, name: Name) -> bool:
        """Return whether a device stays, or is not there at all."""
        have = read_device(snapshot, name)
        if have["state"] == "absent":
            return True
        why = _why_kept(snapshot, name, have)
        if why is not None:
            self.kept[name.text] = why
        return why is not None


def _units(snapshot: Snapshot, kind: DeviceClass) -> Iterator[int]:
    """Return the units of a class that may be there."""
    return iter(range(min(kind.limit, SCANNED) if not kind.config_readable else kind.limit))


def _why_kept(snapshot: Snapshot, name: Name, have: Options) -> Optional[str]:
    """Return why a device that the task does not name is kept, or None."""
    if name.kind.name == "ubd":
        return _why_disk(snapshot, name.unit, have)
    if name.text in logged_to(snapshot):
        return "the kernel logs to it"
    if have.get("config") == "null":
        return "it is a line that leads nowhere"
    return None


def _why_disk(snapshot: Snapshot, unit: int, have: Options) -> Optional[str]:
    if have.get("ghost"):
        return "it is a ghost: its set-up failed at boot, and removing it would panic the kernel"
    if root_unit(snapshot) == unit or "/" in (have.get("mounts") or ()):
        return "it is the root device"
    return None


def root_unit(snapshot: Snapshot) -> Optional[int]:
    """Return the disk of the root file system by the kernel's command line, or None."""
    words = [word for word in (snapshot.proc("cmdline") or "").split() if word.startswith("root=")]
    for word in words:
        letter = re.match(r"root=/dev/ubd([a-p])\d*$", word)
        number = re.match(r"root=98:(\d+)$", word)
        if letter:
            return ord(letter[1]) - ord("a")
        if number:
            return int(number[1]) // 16
    return None


def logged_to(snapshot: Snapshot) -> List[str]:
    """Return the lines that the kernel logs to; con0 is always open as /dev/console."""
    rows = re.findall(r"^tty(S?)(\d+)\s", snapshot.proc("consoles") or "", re.MULTILINE)
    return ["con0", *(f"{'ssl' if serial else 'con'}{number}" for serial, number in rows)]
