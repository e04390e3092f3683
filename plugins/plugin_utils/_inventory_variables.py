# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables and groups that an instance has as a host of the inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.states import STATES

from ._inventory_hosts import Entry
from ._unsafe import mark
from ._vmhosts import CONNECTION, VmHost

__all__ = ("trust_as_template",)
try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19, where all text that is not marked is a template
    trust_as_template = str

FACTS_MODULE = "uml.mconsole.instance_facts"
GUEST = "uml.mconsole.guest"
INSIDE = "uml_inside"  # the group of all hosts that are the inside of an instance
# What the variables of a VM host are called where become and Python are those of the guest.
_OF_THE_VM_HOST = {
    "ansible_become_password": "ansible_uml_become_password",
    "ansible_become_pass": "ansible_uml_become_password",
    "ansible_python_interpreter": "ansible_uml_python",
    **{f"ansible_{name}": f"ansible_uml_{name}" for name in ("become", "become_user", "become_method")},
    **{f"ansible_{name}": f"ansible_uml_{name}" for name in ("become_exe", "become_flags")},
}


def trusted(text: str) -> str:
    """Return text that Ansible takes for a template."""
    found: str = trust_as_template(text)
    return found


def group_of(vm_host: str) -> str:
    """Return the group of a VM host's instances."""
    return f"uml_vmhost_{vm_host}"


def groups(vm_hosts: Iterable[str], option: Callable[[str], Any]) -> Iterator[str]:
    """Yield the groups that a source may make, as far as their names are known before it does."""
    yield from map(str, option("groups") or {})
    yield from (str(group.get("parent_group")) for group in option("keyed_groups") or ())
    yield from (f"uml_{state}" for state in STATES)
    yield from map(group_of, vm_hosts)


def of_instance(entry: Entry, vm_host: VmHost) -> dict[str, Any]:
    """Return the variables of an instance: what was found of it, and how to reach it.

    What was found comes first: a VM host must not say how an instance is reached, or which VM host it is on.
    """
    found = entry.found
    named = {key if key.startswith("uml_") else f"uml_{key}": value for key, value in found.items()}
    owner = {"ansible_become": True, "ansible_become_user": mark(found.get("owner"))}
    return {
        **mark(named),
        **vm_host.handed_on,
        **(owner if found["state"] == "unknown" and found.get("owner") else {}),
        "ansible_connection": trusted(CONNECTION),
        "ansible_facts_modules": trusted(FACTS_MODULE),
        "ansible_uml_umid": entry.umid,
        "ansible_uml_dir": mark(found["uml_dir"]),
        "uml_vm_host": entry.vm_host,
    }


def of_guest(entry: Entry, vm_host: VmHost) -> dict[str, Any]:
    """Return the variables of the inside of an instance, in which those about its VM host have other names."""
    console = of_instance(entry, vm_host)
    del console["ansible_facts_modules"]
    return {
        **{_OF_THE_VM_HOST.get(name, name): value for name, value in console.items()},
        "ansible_connection": trusted(GUEST),
    }


def name_inside(name: str) -> str:
    """Return what the inside of an instance is called beside the instance itself."""
    return f"{name}.inside"
