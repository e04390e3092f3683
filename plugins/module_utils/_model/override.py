# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which devices an instance has that nobody named, and which of them stay even so."""

from __future__ import annotations

import re
from typing import Collection, Dict, Iterator, List, Optional, Sequence

from . import classes
from .device import Wish
from .interfaces import SCANNED
from .plan import lacks, look
from .row import ADD, DeviceClass, Flat, Name
from .sight import Sight

REMOVABLE = tuple(name for name, kind in classes.CLASSES.items() if kind.change != ADD)


class Unnamed:
    """Finds the devices of some classes that are there and were not named; ``kept`` says which stay, and why."""

    def __init__(self, wishes: Sequence[Wish], names: Collection[str]) -> None:
        self._named = {each.name.text for each in wishes}
        self._kinds = [classes.CLASSES[name] for name in names]
        self.kept: Dict[str, str] = {}

    def __call__(self, sight: Sight) -> List[Wish]:
        """Return the wishes that they be absent."""
        self.kept = {}
        return [Wish(name, False, {}) for name in self._candidates(sight) if not self._stays(sight, name)]

    def _candidates(self, sight: Sight) -> Iterator[Name]:
        for kind in self._kinds:
            for unit in _units(sight, kind):
                name = Name(kind, unit)
                if name.text not in self._named and not lacks(sight, kind):
                    yield name

    def _stays(self, sight: Sight, name: Name) -> bool:
        """Tell whether a device stays, or is not there at all."""
        have = look(sight, name)
        if have["state"] == "absent":
            return True
        why = _why_kept(sight, name, have)
        if why is not None:
            self.kept[name.text] = why
        return why is not None


def _units(sight: Sight, kind: DeviceClass) -> Iterator[int]:
    """Return the units of a class that may be there."""
    return iter(range(min(kind.limit, SCANNED) if not kind.queried else kind.limit))


def _why_kept(sight: Sight, name: Name, have: Flat) -> Optional[str]:
    """Return why a device that nobody named is not removed, or None."""
    if name.kind.name == "ubd":
        return _why_disk(sight, name.unit, have)
    if name.text in logged_to(sight):
        return "the kernel logs to it"
    if have.get("config") == "null":
        return "it is a line that leads nowhere"
    return None


def _why_disk(sight: Sight, unit: int, have: Flat) -> Optional[str]:
    if have.get("ghost"):
        return "it is a ghost: its set-up failed at boot, and removing it would panic the kernel"
    if root_unit(sight) == unit or "/" in (have.get("mounts") or ()):
        return "it is the root device"
    return None


def root_unit(sight: Sight) -> Optional[int]:
    """Return the disk of the root file system by the kernel's command line, or None."""
    words = [word for word in (sight.proc("cmdline") or "").split() if word.startswith("root=")]
    for word in words:
        letter = re.match(r"root=/dev/ubd([a-p])\d*$", word)
        number = re.match(r"root=98:(\d+)$", word)
        if letter:
            return ord(letter[1]) - ord("a")
        if number:
            return int(number[1]) // 16
    return None


def logged_to(sight: Sight) -> List[str]:
    """Return the lines that the kernel logs to; con0 is always open as /dev/console."""
    rows = re.findall(r"^tty(S?)(\d+)\s", sight.proc("consoles") or "", re.MULTILINE)
    return ["con0", *(f"{'ssl' if serial else 'con'}{number}" for serial, number in rows)]
