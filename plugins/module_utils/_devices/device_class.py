# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What one class of devices is: the shape of a row of the table in ``classes``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Optional, Pattern, Tuple

from .._guest.snapshot import Snapshot
from .._mconsole.errors import InputError

Options = Dict[str, Any]  # option or fact -> value; None when it was not given, or cannot be seen

REPLACE = "replace"  # a device that is set refuses another setting: it is removed first
OVERWRITE = "overwrite"  # a new setting takes the place of the old one
ADD = "add"  # it can be added, and neither changed nor removed


class Meaning(NamedTuple):
    """What a refusal means: the kernel's error number (None: any), a part of its text, and what a user should know."""

    err: Optional[int]
    said: str
    meaning: str


@dataclass(frozen=True)
class DeviceClass:
    """One class of devices: all that differs between classes, and nothing else.

    ``spelling`` matches a name, with the groups ``unit`` and perhaps ``flags``; ``units`` describes the valid units.
    ``change`` is one of REPLACE, OVERWRITE, ADD; ``probe`` is a query that a kernel without the class calls unknown.

    The functions take flat dicts. ``parse`` reads the text behind ``=`` on the console. ``validate`` checks the options
    that were given, and refuses those that the kernel would misread. ``render`` writes options for the console.
    ``read`` returns the device as it is, ``fill_in`` adds what a spec implies, and ``canonical`` returns values that
    are equal when they mean the same. ``check`` checks what the VM host must have. ``in_use`` says why the device must
    not be removed, ``unverifiable`` what could not be verified. ``predict`` returns what will be read back.

    ``label`` and ``text`` are for classes whose name or command is not just the class with a number.
    ``config_readable`` is whether the console reports the settings of a device. ``preserved`` are the options that
    outlive a change of others. ``exclusive_resource`` names what only one device can have. ``cleanup_commands`` clear
    up after a refused setting. ``has_stale_flags`` returns whether an earlier setting spoilt a device just set.
    """

    name: str
    title: str
    spelling: Pattern[str]
    units: str
    limit: int
    change: str
    kernels: str
    probe: str
    options: Tuple[str, ...]
    parse: Callable[[str], Options]
    validate: Callable[[Options], Options]
    render: Callable[[Options], str]
    read: Callable[[Snapshot, int], Options]
    canonical: Callable[[Snapshot, Options], Options]
    fill_in: Callable[[Snapshot, Options], Options] = lambda snapshot, want: want
    check: Callable[[Snapshot, int, Options, Collection[str]], None] = lambda snapshot, unit, want, leaving: None
    in_use: Callable[[Snapshot, int, Options], Optional[str]] = lambda snapshot, unit, have: None
    unverifiable: Callable[[Snapshot, int, Options, Options], List[str]] = lambda snapshot, unit, want, have: []
    predict: Callable[[Snapshot, Options], Options] = lambda snapshot, sent: {}
    warnings: Callable[[Options], List[str]] = lambda want: []
    number: Callable[[str], int] = int
    label: Optional[Callable[[int], str]] = None
    text: Optional[Callable[[int, Options], str]] = None
    config_readable: bool = True
    needs_options: bool = True
    preserved: Tuple[str, ...] = ()
    exclusive_resource: Callable[[Snapshot, Options], Optional[str]] = lambda snapshot, want: None
    cleanup_commands: Callable[[Name, Options], List[str]] = lambda name, sent: []
    has_stale_flags: Callable[[Options, Options], bool] = lambda sent, have: False
    meanings: Tuple[Meaning, ...] = ()


class Name(NamedTuple):
    """A device: its class, its number in it, and the flag letters that a disk's name may carry."""

    kind: DeviceClass
    unit: int
    flags: str = ""

    @property
    def text(self) -> str:
        """Return the canonical name, such as ``ubd1``."""
        return self.kind.label(self.unit) if self.kind.label else f"{self.kind.name}{self.unit}"

    def config(self, flat: Options) -> str:
        """Return the command that sets the device."""
        if self.kind.text is not None:
            return f"config {self.kind.text(self.unit, flat)}"
        return f"config {self.text}{self.kind.render(flat)}"

    def remove(self) -> str:
        """Return the command that removes the device."""
        return f"remove {self.text}"


def refuse(text: str, **facts: Any) -> InputError:
    """Return the error of a value that cannot be used."""
    return InputError(text, **facts)


def plain(value: str, what: str, forbidden: str, why: str) -> str:
    """Return a value that reaches the kernel as it is.

    :raises InputError: when it is empty, has one of the forbidden characters, a control character, or ends in a space
    """
    if not value:
        raise InputError(f"{what} is empty")
    found = next((char for char in value if char in forbidden), None)
    if found is not None:
        raise InputError(f"{what} {value!r} holds a {found!r}; {why}")
    if value != value.strip(" ") or any(ord(char) < 32 for char in value):
        raise InputError(f"{what} {value!r} starts or ends with a space or holds a control character")
    return value
