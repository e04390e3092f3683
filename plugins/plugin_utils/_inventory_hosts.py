# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose which of the instances that were found become hosts of the inventory, and say what each of them is."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ansible.errors import AnsibleError, AnsibleParserError

_CLASS = re.compile(r"\[(?:!.|[^!])[^]]*\]")  # a ] that comes first is one of its characters
_LINE_END = re.compile(r"\s*\n\s*")
_TEXTS = ("umid", "uml_dir", "state")  # what an instance must have to become a host


class Entry(NamedTuple):
    """An instance on its way into the inventory: its VM host, what was found of it, and the name that it gets."""

    vm_host: str
    found: Mapping[str, Any]
    name: str = ""

    def __str__(self) -> str:
        return printable(f"{self.umid} in {self.found['uml_dir']} of {self.vm_host}")

    @property
    def umid(self) -> str:
        """Return the umid, as the VM host reports it."""
        return str(self.found["umid"])

    @property
    def identity(self) -> dict[str, str]:
        """Return the variables that say which instance of its VM host this is."""
        return {"ansible_uml_umid": self.umid, "ansible_uml_dir": self.found["uml_dir"]}

    def is_of(self, variables: Mapping[str, Any]) -> bool:
        """Return whether a host with these variables is this very instance, found before."""
        known = (self.vm_host, self.umid, self.found["uml_dir"])
        return known == tuple(variables.get(key) for key in ("uml_vm_host", "uml_umid", "uml_dir"))


class Choice(NamedTuple):
    """Which instances become hosts: by globs of their umids, and by their states."""

    umids: Collection[str]
    exclude: Collection[str]
    states: Collection[str]

    def takes(self, found: Mapping[str, Any]) -> bool:
        """Return whether an instance becomes a host."""
        umid = found["umid"]
        return found["state"] in self.states and _matches(umid, self.umids) and not _matches(umid, self.exclude)


def _matches(umid: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(umid, glob) for glob in globs)


def check_globs(option: str, globs: Iterable[Any]) -> None:
    """Refuse globs that can match nothing.

    :raises AnsibleParserError: when there is such a glob, or one that is not text
    """
    for glob in globs:
        if not isinstance(glob, str):
            raise AnsibleParserError(f"{option}: {not_text(glob)}")
        if not glob or "/" in glob:
            raise AnsibleParserError(f"{option}: {glob!r} matches no umid; expected a name or a glob such as 'web*'")
        if "[" in _CLASS.sub("", glob):
            raise AnsibleParserError(f"{option}: the glob {glob!r} has a [ without its ]")


def not_text(value: Any) -> str:
    """Return why a value of YAML is not taken as a name: as text, it may be another one (007, no, 1.10, 12:30)."""
    return f"expected text, found {value!r}; write the name in quotes, because YAML does not read it as text"


def check_answer(result: Mapping[str, Any]) -> None:
    """Refuse the answer of a VM host that does not list instances.

    :raises AnsibleError: when it does not
    """
    found = result.get("instances")
    if not isinstance(found, list) or not all(map(_is_instance, found)):
        raise AnsibleError("its answer is not a list of instances")


def _is_instance(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(found.get(key), str) for key in _TEXTS)


def entries(replies: Mapping[str, Mapping[str, Any]], choice: Choice) -> list[Entry]:
    """Return the chosen instances of {VM host: reply}, in the order of their VM hosts."""
    return [
        Entry(vm_host, found)
        for vm_host, reply in replies.items()
        for found in reply["instances"]
        if choice.takes(found)
    ]


def printable(text: str) -> str:
    """Return text of another program in one line, with what a terminal would obey or hide shown as its escape."""
    line = _LINE_END.sub(" ", text.strip())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
