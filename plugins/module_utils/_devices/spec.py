# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The requested state of one device, and its difference from the device as it is; nothing is sent here."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from .._guest.snapshot import Snapshot
from .._mconsole.errors import InputError
from . import classes, disks
from .device_class import DeviceClass, Name, Options

NO_LINE = "none"  # the kernel's word for a line without a channel


class DeviceSpec(NamedTuple):
    """A device that is requested present with these options, or absent; options not given are not managed."""

    name: Name
    present: bool
    flat: Options


def option_names() -> List[str]:
    """Return every typed option of every class, each once."""
    return list(dict.fromkeys(option for kind in classes.CLASSES.values() for option in kind.options))


def parse_spec(name: str, params: Mapping[str, Any]) -> DeviceSpec:
    """Return the spec in ``config``, ``state`` and the typed options of a module.

    :raises InputError: when no kernel knows the device, an option is not of its class, or a value cannot be used
    """
    found = classes.find(name)
    given = {key: params[key] for key in option_names() if params.get(key) is not None}
    _check_options(found, given)
    raw = params.get("config")
    present = params.get("state", "present") == "present"
    if raw == NO_LINE and "channel" in found.kind.options:
        return DeviceSpec(found, False, {})
    flat: Options = {**disks.flag_options(found.flags), **given}
    if raw is not None:
        flat = {**found.kind.parse(raw), **flat}
    return DeviceSpec(found, present, found.kind.validate(flat) if flat else {})


def _check_options(name: Name, given: Options) -> None:
    foreign = sorted(set(given) - set(name.kind.options))
    if foreign:
        raise InputError(
            f"{name.text} is {name.kind.title}, which has no {', '.join(foreign)};"
            f" expected {', '.join(name.kind.options) or 'no options'}",
            name=name.text,
        )


def differences(want: Options, have: Options) -> Dict[str, Tuple[Any, Any]]:
    """Return {option: (found, requested)}; an option that was not given or cannot be seen does not differ."""
    return {
        key: (have.get(key), value)
        for key, value in want.items()
        if value is not None and have.get(key) is not None and have[key] != value
    }


def compare(snapshot: Snapshot, kind: DeviceClass, want: Options, have: Options) -> Dict[str, Tuple[Any, Any]]:
    """Return the differences between options in any spelling."""
    return differences(kind.canonical(snapshot, want), kind.canonical(snapshot, have))


def report(name: Name, have: Options) -> Options:
    """Return a device as a module returns it."""
    return {"name": name.text, "class": name.kind.name, **have}
