# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the answers of instance_info from a fleet: who answered, and one row for each instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ._vmhosts import CONNECTION

Row = Mapping[str, Any]


class Answer(NamedTuple):
    """The answer of one host of the inventory, and the host's place.

    Hosts behind one address have the same ``place``, and ``vm_host`` is its name. ``umid`` is empty unless the host is
    an instance.
    """

    host: str
    vm_host: str
    place: tuple[str, str]
    umid: str
    seen: Row
    events: Row


def answer_of(host: str, variables: Mapping[str, Any], playbook: str) -> Answer:
    """Return what a host of a play answered, and where it is: an instance is where its VM host is.

    ``playbook`` is the prefix of the variables that hold the answers.
    """
    is_instance = variables.get("ansible_connection") == CONNECTION
    address = str(variables.get("ansible_host") or host)
    if is_instance and variables.get("ansible_uml_transport") == "local":
        address = "localhost"
    umid = str(variables.get("ansible_uml_umid") or host) if is_instance else ""
    vm_host = str(variables.get("uml_vm_host") or address) if is_instance else host
    seen, events = (dict(variables.get(f"{playbook}__{name}") or {}) for name in ("seen", "events"))
    return Answer(host, vm_host, (address, str(variables.get("ansible_port") or 22)), umid, seen, events)


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """Return a row for each instance that a host reported, or one row that says why it reported no instance.

    ``host`` of a row is the VM host, ``inventory_hostname`` the host that answered.
    """
    seen, named = answer.seen, {"host": answer.vm_host, "inventory_hostname": answer.host}
    if seen.get("unreachable") or seen.get("failed"):
        state = "unreachable" if seen.get("unreachable") else "failed"
        return [{**named, "umid": answer.umid or "-", "state": state, "state_reason": str(seen.get("msg", ""))}]
    found = [{**named, **instance} for instance in seen.get("instances", ())]
    is_missing = bool(answer.umid) and not found and not seen.get("skipped")
    return [{**named, "umid": answer.umid, "state": "absent"}] if is_missing else found


def fact(row: Row, *names: str) -> Any:
    """Return a fact by its path, or None; standard facts may have the prefix ansible_."""
    found: Any = row.get("facts") or {}
    for name in names:
        found = found.get(name, found.get(f"ansible_{name}")) if isinstance(found, Mapping) else None
    return found


def is_disk(disk: Row) -> bool:
    """Return whether a device is a disk with its own file."""
    return disk.get("file") not in (None, "", "/dev/null")
