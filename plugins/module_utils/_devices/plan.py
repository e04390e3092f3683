# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Turn device specs into console commands, each with the commands that undo it; nothing is sent here."""

from __future__ import annotations

from typing import Collection, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .._guest.snapshot import UNKNOWN_CLASS, Snapshot
from .._mconsole import commands
from .._mconsole.errors import DangerError, InputError, RefusedError
from .device_class import ADD, OVERWRITE, REPLACE, DeviceClass, Name, Options
from .spec import DeviceSpec, compare

State = Dict[str, Options]


class Step(NamedTuple):
    """One console command: what takes it back, and what clears up after its refusal."""

    name: Name
    command: str
    undo: Tuple[str, ...]
    after_refusal: Tuple[str, ...]
    full: Options


class DevicePlan(NamedTuple):
    """The steps in their order, the state that they lead to, and the reason for each device."""

    steps: List[Step]
    predicted: State
    reasons: Dict[str, str]

    @property
    def commands(self) -> List[str]:
        """Return the commands alone."""
        return [step.command for step in self.steps]


def read(snapshot: Snapshot, specs: Sequence[DeviceSpec]) -> State:
    """Return each device as it is.

    :raises RefusedError: when the instance's kernel has no such class, and a device of it is requested
    :raises DangerError: when only a running guest shows it, and the instance is paused
    """
    for spec in specs:
        if spec.present:
            require(snapshot, spec.name.kind)
    return {spec.name.text: read_device(snapshot, spec.name) for spec in specs}


def read_device(snapshot: Snapshot, name: Name) -> Options:
    """Return one device as it is.

    :raises DangerError: when only a running guest shows it, and the instance is paused
    """
    if lacks(snapshot, name.kind):
        return {"state": "absent"}
    if snapshot.guest_unreadable and not name.kind.config_readable:
        raise DangerError(
            f"{snapshot.umid} is paused, and whether it has {name.text} shows only while it runs",
            umid=snapshot.umid,
            danger="guest-while-paused",
        )
    return name.kind.read(snapshot, name.unit)


def lacks(snapshot: Snapshot, kind: DeviceClass) -> bool:
    """Return whether the instance's kernel lacks a class of devices, by a query that changes nothing."""
    return snapshot.reply(kind.probe).text == UNKNOWN_CLASS


def require(snapshot: Snapshot, kind: DeviceClass) -> None:
    """Refuse a class of devices that this kernel lacks.

    :raises RefusedError: when it does
    """
    if lacks(snapshot, kind):
        raise RefusedError(
            f"the kernel of {snapshot.umid} ({snapshot.release()}) has no {kind.name} devices ({kind.title}):"
            f" they are there on {kind.kernels}",
            umid=snapshot.umid,
            command=kind.probe,
        )


def make_plan(snapshot: Snapshot, specs: Sequence[DeviceSpec], have: State, force: bool = False) -> DevicePlan:
    """Return the steps that fulfil all specs: removals before additions, because a removal may free files.

    :raises InputError: when a spec cannot be fulfilled on this VM host
    :raises RefusedError: when it would take a device away that is in use
    """
    planned = [_Planned(snapshot, change, have[change.name.text]) for change in specs]
    leaving = {change.spec.name.text for change in planned if change.removes}
    _check_claims(snapshot, planned)
    for change in planned:
        change.check(leaving, force)
    steps = [step for change in _restorable_first(planned) for step in change.removal()]
    steps += [step for change in planned for step in change.setting()]
    for step in steps:
        commands.parse(step.command)
    predicted = {change.spec.name.text: change.predicted() for change in planned}
    return DevicePlan(steps, predicted, {change.spec.name.text: change.reason() for change in planned})


def _check_claims(snapshot: Snapshot, planned: Sequence[_Planned]) -> None:
    """Refuse two devices that would share what only one can have, such as a file.

    :raises InputError: when there are two
    """
    holders: Dict[str, str] = {}
    for change in planned:
        exclusive_resource = change.spec.name.kind.exclusive_resource(snapshot, change.want) if change.want else None
        name = change.spec.name.text
        if exclusive_resource is not None and holders.setdefault(exclusive_resource, name) != name:
            raise InputError(
                f"{holders[exclusive_resource]} and {name} of {snapshot.umid} cannot both have {exclusive_resource}"
            )


def _restorable_first(planned: Sequence[_Planned]) -> List[_Planned]:
    """Return specs in the order of their removals: devices that cannot be put back go last."""
    return sorted(planned, key=lambda change: not change.spec.name.kind.config_readable)


class _Planned:
    """One spec, the device as it is, and the steps between them."""

    def __init__(self, snapshot: Snapshot, spec: DeviceSpec, have: Options) -> None:
        self.spec, self.have, self._sight = spec, have, snapshot
        self._kind = spec.name.kind
        self._there = have["state"] == "present"
        self.want = self._kind.fill_in(snapshot, spec.flat) if spec.present and spec.flat else {}
        self.differences = compare(snapshot, self._kind, self.want, have) if self._there else {}
        self.sets = spec.present and (not self._there or bool(self.differences))
        self.removes = self._there and (not spec.present or (self.sets and self._kind.change == REPLACE))

    def check(self, leaving: Collection[str], force: bool) -> None:
        """Refuse what cannot or must not be done."""
        name = self.spec.name
        if self.sets and not self.want and self._kind.needs_options:
            raise InputError(
                f"{self._sight.umid} has no {name.text}, and the task gives no options to add it with", name=name.text
            )
        if self._kind.change == ADD and self._there and (self.removes or self.differences):
            raise RefusedError(
                f"{name.text} of {self._sight.umid} can be neither changed nor removed: {self._kind.title}"
            )
        if self.removes:
            self._check_free(force)
        if self.sets:
            self._kind.check(self._sight, name.unit, self._full(), leaving)

    def _check_free(self, force: bool) -> None:
        why = self._kind.in_use(self._sight, self.spec.name.unit, self.have)
        if why is not None and (not force or self.have.get("ghost")):
            raise RefusedError(
                f"{self.spec.name.text} of {self._sight.umid} was not removed: {why}",
                umid=self._sight.umid,
                name=self.spec.name.text,
            )

    def _full(self) -> Options:
        """Return the options to send: those of the spec, and the preserved ones that it does not name."""
        kept = {key: self.have.get(key) for key in self._kind.preserved if self._there}
        return {**kept, **{key: value for key, value in self.want.items() if value is not None}}

    def removal(self) -> List[Step]:
        """Return the step that removes the device, if it goes or must go first."""
        name = self.spec.name
        return [Step(name, name.remove(), tuple(restoring(name, self.have)), (), {})] if self.removes else []

    def setting(self) -> List[Step]:
        """Return the step that sets the device, if it needs one."""
        if not self.sets:
            return []
        name, full = self.spec.name, self._full()
        overwritten = self._there and self._kind.change == OVERWRITE
        back = restoring(name, self.have) if overwritten else [name.remove()] if self._kind.change != ADD else []
        clearing = back if overwritten else self._kind.cleanup_commands(name, full)
        return [Step(name, name.config(full), tuple(back), tuple(clearing), full)]

    def predicted(self) -> Options:
        """Return the device as it will be."""
        if not self.spec.present:
            return {"state": "absent"}
        if not self.sets:
            return self.have
        full = self._full()
        shown = {key: full.get(key) for key in self._kind.canonical(self._sight, full)}
        shown.update(self._kind.predict(self._sight, full))
        return {**self.have, "state": "present", **{key: value for key, value in shown.items() if value is not None}}

    def reason(self) -> str:
        """Return why there are steps, or none."""
        if not self.spec.present:
            return "it was there" if self._there else "it is not there"
        if not self._there:
            return "it was not there"
        if self.differences:
            return "; ".join(
                f"{key} was {have!r}, and {want!r} is requested" for key, (have, want) in self.differences.items()
            )
        return "it is configured as requested"


def restoring(name: Name, have: Options) -> List[str]:
    """Return the commands that put a device back as it was; an empty list where no kernel reports its settings."""
    if have["state"] != "present":
        return [name.remove()]
    return [name.config(have)] if name.kind.config_readable else []


def wanted(snapshot: Snapshot, spec: DeviceSpec) -> Options:
    """Return a spec with what it implies."""
    return spec.name.kind.fill_in(snapshot, spec.flat) if spec.present and spec.flat else {}


def verdict(snapshot: Snapshot, spec: DeviceSpec, have: Options) -> Tuple[Optional[str], List[str]]:
    """Return what is not as requested, or None, and what cannot be verified."""
    name = spec.name
    if (have["state"] == "present") != spec.present:
        return f"{name.text} of {snapshot.umid} is {have['state']}", []
    if not spec.present:
        return None, []
    want = wanted(snapshot, spec)
    wrong = compare(snapshot, name.kind, want, have)
    if wrong:
        said = "; ".join(f"{key} is {is_!r}, not {requested!r}" for key, (is_, requested) in wrong.items())
        return f"{name.text} of {snapshot.umid} is not as requested: {said}", []
    if snapshot.guest_unreadable:
        return None, ["the instance is paused, so its guest's files are out of sight"]
    return None, name.kind.unverifiable(snapshot, name.unit, want, have)
