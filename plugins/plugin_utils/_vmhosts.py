# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VM hosts of an inventory: which there are, and the variables that say how to reach each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

CONNECTION = "uml.mconsole.mconsole"
Variables = dict[str, Any]

_VM_HOST_NAME = re.compile(r"[^\s'\"\\{}]+")  # an address of IPv6 too
_SECRET = re.compile(r"pass|private_key$")
_PLAIN = (str, bool, int, float, list, tuple, dict, type(None))


class VmHost(NamedTuple):
    """A VM host: the variables that say how to reach it, rendered, and those that its instances are given for that."""

    name: str
    reach: Variables
    handed_on: Variables
    become: Any = None

    def ask(self, operation: str, params: Variables) -> Variables:
        """Return the result of an operation on the VM host; the channel that it takes is there for the tasks then.

        :raises AnsibleError: when there was none
        """
        connection = connection_loader.get(CONNECTION, PlayContext())
        connection.set_options(var_options=self.reach)
        if self.become is not None:
            self.become.set_options(var_options=self.reach)
            connection.set_become_plugin(self.become)
        result: Variables = connection.ask_vm_host(
            operation, {"timeout": connection.get_option("uml_timeout"), **params}
        )
        if result.get("failed"):
            raise AnsibleError(result["msg"])
        return result


def listed(value: Any, expand: Callable[[str], tuple[list[str], int | None]]) -> dict[str, Variables]:
    """Return {name: variables} of the option vm_hosts: a list of names, or names with their variables.

    :raises AnsibleParserError: when it is neither
    """
    found: dict[str, Variables] = {}
    for pattern, variables in _items(value):
        names, port = expand(pattern)
        for name in names:
            found[name] = {**({"ansible_port": port} if port else {}), **variables}
    return found


def _items(value: Any) -> list[tuple[str, Variables]]:
    if isinstance(value, Mapping):
        return [(_name(name), _variables(name, variables)) for name, variables in value.items()]
    if isinstance(value, (list, tuple, str, type(None))):
        return [(_name(name), {}) for name in ([value] if isinstance(value, str) else value or ())]
    raise AnsibleParserError(f"vm_hosts: expected a list of names, or names with their variables, not {value!r}")


def _name(name: Any) -> str:
    if isinstance(name, str) and _VM_HOST_NAME.fullmatch(name):
        return name
    raise AnsibleParserError(
        f"vm_hosts: expected the name of a host, not {name!r}; with variables it is a dictionary, name: {{variables}}"
    )


def _variables(name: str, value: Any) -> Variables:
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    raise AnsibleParserError(f"vm_hosts: expected the variables of {name} as a dictionary, not {value!r}")


def grouped(groups: Iterable[str], inventory: Any) -> list[str]:
    """Return the hosts of groups of the inventory so far; instances among them are none.

    :raises AnsibleParserError: when there is no such group
    """
    found: dict[str, None] = {}
    for name in groups:
        if name not in inventory.groups:
            raise AnsibleParserError(
                f"vm_host_groups: no earlier source of the inventory has a group {name!r};"
                " a source that names it must come before this one"
            )
        hosts = inventory.hosts.values() if name == "all" else inventory.groups[name].get_hosts()
        found.update((host.name, None) for host in hosts if host.vars.get("ansible_connection") != CONNECTION)
    return list(found)


def assumed(name: str, variables: Variables) -> Variables:
    """Return what makes localhost the controller itself, as it is everywhere else in Ansible, unless it is told how."""
    if name not in C.LOCALHOST or {"ansible_connection", "ansible_host", "ansible_port"} & set(variables):
        return {}
    python = variables.get("ansible_python_interpreter", sys.executable)
    return {"ansible_connection": "local", "ansible_python_interpreter": python}


def variables_of(name: str, inventory: Any, loader: Any, sources: Iterable[str]) -> Variables:
    """Return the variables of a host of the inventory so far, those in group_vars and host_vars beside it included."""
    host = inventory.hosts[name]
    groups = [inventory.groups["all"], *(group for group in host.get_groups() if group.name != "all")]
    found: Variables = {}
    for more in (
        get_group_vars(groups),
        get_vars_from_inventory_sources(loader, sources, groups, "all"),
        host.get_vars(),
        get_vars_from_inventory_sources(loader, sources, [host], "all"),
    ):
        found = combine_vars(found, more)
    return found


def make(name: str, variables: Variables, resolve: Callable[[str, Any], Any], refer: Callable[[str], Any]) -> VmHost:
    """Return a VM host by its variables.

    ``resolve(variable, value)`` renders the templates of a value, ``refer(text)`` makes text a template.

    :raises AnsibleError: when the variables name no way that instances can go
    """

    def value(variable: str, default: Any = None) -> Any:
        return resolve(variable, variables.get(variable, default))

    become = _become_plugin(value("ansible_become_method") or C.DEFAULT_BECOME_METHOD)
    names = _names(become) & set(variables)
    reach = {each: value(each) for each in sorted(names)}
    reach.setdefault("ansible_host", name)
    if _is_local(value("ansible_connection")):
        reach["ansible_uml_transport"] = "local"
    handed_on = {each: found for each, found in reach.items() if each not in _OWN}
    for each in names.difference(_OWN):
        if _SECRET.search(each) or not isinstance(variables[each], _PLAIN):
            handed_on[each] = refer(f"{{{{ hostvars['{name}']['{each}'] }}}}")
        elif handed_on[each] == variables[each]:
            handed_on[each] = variables[each]  # with the tags of its origin
    becomes = boolean(value("ansible_become", C.DEFAULT_BECOME), strict=False)
    handed_on.setdefault("ansible_python_interpreter", "auto_silent")  # the connection knows it
    return VmHost(name, {**reach, "inventory_hostname": name}, handed_on, become if becomes else None)


_OWN = ("ansible_uml_umid", "ansible_uml_dir")  # each instance has its own
_SWITCHES = ("ansible_become", "ansible_become_method")


def _names(become: Any) -> set[str]:
    """Return the names of all variables that say how to get to a VM host and who to become there."""
    connection = connection_loader.get(CONNECTION, class_only=True)  # its options are known once it is loaded
    of_connection = C.config.get_plugin_vars("connection", connection._load_name)
    of_become = C.config.get_plugin_vars("become", become._load_name)
    return {name for name in (*of_connection, *of_become, *_SWITCHES) if name.startswith("ansible_")}


def _become_plugin(method: str) -> Any:
    plugin = become_loader.get(method)
    if plugin is None:
        raise AnsibleError(f"there is no become method {method!r}")
    return plugin


def _is_local(connection: Any) -> bool:
    """Tell whether a VM host is the controller itself.

    :raises AnsibleError: when it is reached in a way of which instances know nothing
    """
    kind = str(connection or "ssh").rpartition(".")[2]
    if kind not in ("local", "smart") and not kind.endswith("ssh"):
        raise AnsibleError(f"instances can be reached over ssh and local alone, and its ansible_connection is {kind}")
    return kind == "local"
