# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the instances that were found become hosts of the inventory, and under which names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ansible.errors import AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.utils.vars import combine_vars

from ._vmhosts import CONNECTION

# What a host pattern can name, and no template can hide in: the name was chosen by somebody on a VM host.
_NAME = re.compile(r"\w[\w.+=@-]*")
_CLASS = re.compile(r"\[(?:!.|[^!])[^]]*\]")  # a ] that comes first is one of its characters


class Entry(NamedTuple):
    """An instance on its way into the inventory: the name it gets, its VM host, and what was found of it."""

    name: str
    vm_host: str
    found: Mapping[str, Any]

    def __str__(self) -> str:
        return printable(f"{self.found['umid']} in {self.found['uml_dir']} of {self.vm_host}")

    def is_host_name(self) -> bool:
        """Tell whether its name can be that of a host."""
        return bool(_NAME.fullmatch(self.name))

    def is_of(self, variables: Mapping[str, Any]) -> bool:
        """Tell whether a host with these variables is this very instance, found before."""
        known = (self.vm_host, self.found["umid"], self.found["uml_dir"])
        return known == tuple(variables.get(key) for key in ("uml_vm_host", "uml_umid", "uml_dir"))


class Choice(NamedTuple):
    """Which instances are wanted: by globs of their umids, and by their states."""

    umids: Collection[str]
    exclude: Collection[str]
    states: Collection[str]

    def takes(self, found: Mapping[str, Any]) -> bool:
        """Tell whether an instance is wanted."""
        umid = found["umid"]
        return found["state"] in self.states and _matches(umid, self.umids) and not _matches(umid, self.exclude)


def _matches(umid: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(umid, glob) for glob in globs)


def check_globs(option: str, globs: Iterable[str]) -> None:
    """Refuse globs that can match nothing.

    :raises AnsibleParserError: when one is such
    """
    for glob in globs:
        if not glob or "/" in glob:
            raise AnsibleParserError(f"{option}: {glob!r} matches no umid; expected a name or a glob such as 'web*'")
        if "[" in _CLASS.sub("", glob):
            raise AnsibleParserError(f"{option}: the glob {glob!r} has a [ without its ]")


def entries(replies: Mapping[str, Mapping[str, Any]], choice: Choice, qualified: bool) -> list[Entry]:
    """Return the wanted instances of {VM host: reply}, named, in the order of their VM hosts."""
    return [
        Entry(f"{found['umid']}.{vm_host}" if qualified else found["umid"], vm_host, found)
        for vm_host, reply in replies.items()
        for found in reply["instances"]
        if choice.takes(found)
    ]


def check_names(found: Iterable[Entry], hosts: Mapping[str, Any], vm_hosts: Collection[str], qualified: bool) -> None:
    """Refuse names that two have: merged into one host, tasks for one would reach the other.

    ``hosts`` are those of the inventory so far.

    :raises AnsibleParserError: when two have one name
    """
    seen: dict[str, Entry] = {}
    for entry in found:
        other = _other(entry, seen, hosts, vm_hosts)
        if other:
            way_out = _way_out(entry, seen, qualified)
            raise AnsibleParserError(f"two hosts would be called {entry.name!r}: {entry}, and {other}; {way_out}")
        seen[entry.name] = entry


def _other(entry: Entry, seen: Mapping[str, Entry], hosts: Mapping[str, Any], vm_hosts: Collection[str]) -> str:
    """Return who else has the name of an entry, or nothing."""
    if entry.name in seen:
        return str(seen[entry.name])
    if entry.name in vm_hosts:
        return "a VM host"
    return _earlier(entry, hosts[entry.name]) if entry.name in hosts else ""


def _earlier(entry: Entry, host: Any) -> str:
    """Return what a host of an earlier source is, or nothing when it is there to give this instance variables."""
    known = combine_vars(get_group_vars(host.get_groups()), host.vars)
    if entry.is_of(known):
        return ""
    if "uml_vm_host" in known:
        return printable(f"{known.get('uml_umid')} in {known.get('uml_dir')} of {known['uml_vm_host']}")
    if known.get("ansible_connection") == CONNECTION:
        return ""
    return f"a host of an earlier source of the inventory, which does not have ansible_connection: {CONNECTION}"


def _way_out(entry: Entry, seen: Mapping[str, Entry], qualified: bool) -> str:
    twin = seen.get(entry.name)
    if twin is not None and twin.vm_host == entry.vm_host:
        return "set uml_dir, or ansible_uml_dir of that VM host, to the directory that is meant"
    return "leave one of them out by umids or exclude_umids" if qualified else "set hostnames: qualified"


def printable(text: str) -> str:
    """Return text that others wrote in one line, and without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
