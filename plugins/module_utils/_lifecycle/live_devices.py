# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The devices that an instance has now, beside those that it was started with: what its next restart loses."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from .._devices import classes, transaction, unlisted
from .._devices.device_class import Name
from .._devices.device_class import Options as Device
from .._devices.lines import spell
from .._devices.plan import read_device
from .._devices.raw_options import convert
from .._devices.spec import DeviceSpec, parse_spec
from .._guest.snapshot import Snapshot
from .._mconsole.errors import Error, InputError
from .._task.task import Task
from . import declaration, kernel_arg_groups
from .declaration import Options


class LiveDevices(NamedTuple):
    """The devices as they are: ``runtime_only`` are the names of those that differ from the command line, ``replaced``
    the disk files that have another file at their path now, ``notes`` sentences about what no kernel shows."""

    devices: Options
    runtime_only: List[str]
    replaced: List[str]
    notes: List[str]


def read(task: Task, devices: Options, words: Sequence[str], cwd: str) -> LiveDevices:
    """Return the devices of an instance that runs; ``devices`` are those that its command line declares.

    ``task`` is in check mode, so that nothing can be sent. Relative paths are relative to ``cwd``.
    """
    specs = [_spec(name, setting) for name, setting in devices.items()]
    before = transaction.run(task, specs)["diff"]
    changed = {name: have for name, have in before["before"].items() if have != before["after"][name]}
    snapshot = Snapshot.take(task.console)
    changed.update({name.text: read_device(snapshot, name) for name in _added(snapshot, words)})
    settings = {name: _setting(classes.find(name), have, cwd) for name, have in changed.items()}
    found = {**devices, **settings}
    return LiveDevices(
        {name: setting for name, setting in found.items() if setting is not None},
        sorted(changed),
        [have["file"] for have in before["before"].values() if have.get("replaced")],
        [_unknown(name) for name, have in changed.items() if have["state"] == "present" and settings[name] is None],
    )


def refused(task: Task, devices: Options) -> Dict[str, str]:
    """Return the devices on a command line that the kernel does not have or cannot have as they are, and why."""
    found = {}
    for name, setting in devices.items():
        try:
            transaction.run(task, [_spec(name, setting)])
        except Error as err:
            found[name] = str(err)
    return found


def _spec(name: str, setting: Any) -> DeviceSpec:
    return parse_spec(name, convert(name, setting))


def _unknown(name: str) -> str:
    return f"{name} was added while it runs, and its kernel does not show with which options; declare it by hand"


def _added(snapshot: Snapshot, words: Sequence[str]) -> Iterator[Name]:
    """Yield the devices that the command line does not name, without the lines that are as all lines are."""
    named = list(_named(words))
    for spec in unlisted.UnlistedDevices([DeviceSpec(name, True, {}) for name in named], unlisted.REMOVABLE)(snapshot):
        kind = spec.name.kind
        usual = _usual(snapshot, spec.name, words) if "channel" in kind.options else None
        if usual is None or read_device(snapshot, spec.name).get("channel") != usual:
            yield spec.name


def _named(words: Sequence[str]) -> Iterator[Name]:
    for word in words:
        try:
            yield classes.find(kernel_arg_groups.name_of(word))
        except InputError:
            continue


def _usual(snapshot: Snapshot, name: Name, words: Sequence[str]) -> Optional[str]:
    """Return the channel that all lines of a class have: the one on the command line, or that of the last line."""
    given = next((word.partition("=")[2] for word in words if word.startswith(f"{name.kind.name}=")), None)
    if given is not None:
        return given.partition(",")[0]
    return read_device(snapshot, Name(name.kind, name.kind.limit - 1)).get("channel")


def _setting(name: Name, have: Device, cwd: str) -> Any:
    """Return a device as it is declared; None of one that is absent, or that no kernel shows."""
    if have["state"] == "absent" or not name.kind.config_readable:
        return None
    if "channel" in name.kind.options:
        sides = [spell(side) for side in str(have["config"]).split(",")]
        return ",".join(dict.fromkeys(sides))
    flags: Dict[str, Any] = {"read_only": True} if have.get("read_only") else {}
    config = kernel_arg_groups.absolute(f"ubd0={have['config']}", cwd)[len("ubd0=") :]
    return declaration.disk_setting(flags, config)
