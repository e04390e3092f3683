# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give each instance its name in the inventory; this is the only place where a umid becomes the name of a host.

A umid is chosen on a VM host, so it must never stand for anything else in the inventory: not for a group (core would
make that group's hosts members of ours), not for the controller, not for a VM host, not for a machine of an earlier
source. Two instances never share a name, because a task for one would reach the other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ansible import constants as C

from ._inventory_hosts import Entry, printable
from ._vmhosts import CONNECTION, variables_in_source

_NAME = re.compile(r"\w[\w.+=@-]*")  # what a host pattern can name, and what cannot hide a template
_NOT_IN_NAMES = re.compile(r"[^\w.+=@-]")  # the colons of an IPv6 address
# What an earlier source may say about a listed instance, and what it must then agree with.
_IDENTITY = ("ansible_host", "ansible_port", "ansible_uml_umid", "ansible_uml_dir")


class Taken(NamedTuple):
    """What the inventory holds already: its hosts and groups, the VM hosts, and the variables that reach each."""

    hosts: Mapping[str, Any]
    groups: Collection[str]
    vm_hosts: Mapping[str, Mapping[str, Any]]

    def owner(self, name: str, entry: Entry) -> str:
        """Return what the name stands for already, or an empty string when the instance may have it."""
        if name in C.LOCALHOST:
            return "the controller"
        if name in self.groups:
            return "a group of the inventory"
        if name in self.vm_hosts:
            return "a VM host"
        if name in self.hosts:
            return self._earlier(self.hosts[name], entry)
        if any(name == str(reach.get("ansible_host")) for reach in self.vm_hosts.values()):
            return "the address of a VM host"
        return ""

    def _earlier(self, host: Any, entry: Entry) -> str:
        """Return what a host of an earlier source is, or an empty string when it lists this very instance."""
        known = variables_in_source(host)
        if entry.is_of(known):
            return ""
        if "uml_vm_host" in known:
            return printable(f"{known.get('uml_umid')} in {known.get('uml_dir')} of {known['uml_vm_host']}")
        if known.get("ansible_connection") != CONNECTION:
            return f"a host of an earlier source, which does not have ansible_connection: {CONNECTION}"
        own = {**self.vm_hosts.get(entry.vm_host, {}), **entry.identity}
        differing = [key for key in _IDENTITY if _differ(known.get(key), own.get(key))]
        if differing == ["ansible_host"] and known["ansible_host"] == entry.vm_host:
            return ""
        return f"a host of an earlier source with another {differing[0]}" if differing else ""


def _differ(listed: Any, found: Any) -> bool:
    """Return whether an earlier source says otherwise; a template or a path below a home cannot be compared."""
    if listed is None or found is None:
        return False
    text = str(listed)
    return not text.startswith("~") and "{{" not in text and text != str(found)


class _Claim:
    """An instance on the way to its name: the names that it may have, the preferred one first."""

    def __init__(self, entry: Entry, names: Sequence[str]) -> None:
        self.entry, self.names, self.turn = entry, names, 0
        self.refusals: list[str] = []

    @property
    def name(self) -> str:
        return self.names[self.turn]

    @property
    def is_open(self) -> bool:
        """Return whether there is a name left to try."""
        return self.turn < len(self.names)

    def give_up(self, owner: str) -> None:
        """Go on to the next name, because the current one stands for something else."""
        self.refusals.append(f"{self.name!r} is {owner}")
        self.turn += 1


def assign(entries: Sequence[Entry], taken: Taken, qualified: bool) -> tuple[list[Entry], list[str]]:
    """Return the instances that get a name, with it, and a sentence about each that did not get its first choice.

    A name that two instances want is used by neither, also if one of them had it first.
    """
    claims = [_Claim(entry, _candidates(entry, qualified)) for entry in entries if is_host_name(entry)]
    unnamed = [f"{entry} is left out: a host cannot have that name" for entry in entries if not is_host_name(entry)]
    claimants: dict[str, list[_Claim]] = defaultdict(list)
    moved = claims
    while moved:
        for claim in moved:
            claimants[claim.name].append(claim)
        refused = [(claim, _owner(claim, claimants, taken)) for claim in claims if claim.is_open]
        refused = [(claim, owner) for claim, owner in refused if owner]
        for claim, owner in refused:
            claim.give_up(owner)
        moved = [claim for claim, _owner in refused if claim.is_open]
    named = [claim.entry._replace(name=claim.name) for claim in claims if claim.is_open]
    return named, [*unnamed, *(_sentence(claim, claimants) for claim in claims if claim.refusals)]


def is_host_name(entry: Entry) -> bool:
    """Return whether a host can be called like an instance."""
    return bool(_NAME.fullmatch(entry.umid))


def _candidates(entry: Entry, qualified: bool) -> list[str]:
    full = f"{entry.umid}.{_NOT_IN_NAMES.sub('-', entry.vm_host)}"
    return [full] if qualified else [entry.umid, full]


def _owner(claim: _Claim, claimants: Mapping[str, Sequence[_Claim]], taken: Taken) -> str:
    other = next((other for other in claimants[claim.name] if other is not claim), None)
    return str(other.entry) if other is not None else taken.owner(claim.name, claim.entry)


def _sentence(claim: _Claim, claimants: Mapping[str, Sequence[_Claim]]) -> str:
    """Return why an instance is called otherwise, or not at all."""
    if claim.is_open:
        return f"{claim.entry} is called {claim.name!r}: {claim.refusals[0]}"
    twins = (other.entry.vm_host for other in claimants[claim.names[-1]] if other is not claim)
    way_out = (
        f"set uml_dir, or ansible_uml_dir of {claim.entry.vm_host}, to the directory that you mean"
        if claim.entry.vm_host in twins
        else "give it another umid, or leave it out with exclude_umids"
    )
    return f"{claim.entry} is left out: {claim.refusals[-1]}; {way_out}"
