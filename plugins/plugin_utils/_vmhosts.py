# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the VM hosts of an inventory, and the variables that say how to reach each."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader
from ansible.release import __version__
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

CONNECTION = "uml.mconsole.mconsole"
OMIT = "(omitted by uml.mconsole.instances)"  # what a template makes of the magic variable omit
Variables = dict[str, Any]

_VM_HOST_NAME = re.compile(r"[^\s'\"\\{}]+")  # an address of IPv6 too
_SECRET = re.compile(r"pass|private_key$")
_PLAIN = (str, bool, int, float, list, tuple, dict, type(None))


class VmHost(NamedTuple):
    """A VM host: the rendered variables that say how to reach it, and those that its instances get for that."""

    name: str
    reach: Variables
    handed_on: Variables
    become: Any = None

    def ask(self, operation: str, params: Variables) -> Variables:
        """Return the result of an operation on the VM host; tasks use the same channel afterwards.

        :raises AnsibleError: when the operation failed
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


def variables_in_source(host: Any) -> Variables:
    """Return the variables that a host of the inventory has from its source, those of its groups included."""
    found: Variables = combine_vars(get_group_vars(host.get_groups()), host.vars)
    return found


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
    raise AnsibleParserError(f"vm_hosts: expected a list of names, or names with their variables, found {value!r}")


def _name(name: Any) -> str:
    if isinstance(name, str) and _VM_HOST_NAME.fullmatch(name):
        return name
    hint = "with variables it is a dictionary, name: {variables}"
    if isinstance(name, (int, float)):
        hint = "write it in quotes, because YAML does not read it as text"
    raise AnsibleParserError(f"vm_hosts: expected the name of a host, found {name!r}; {hint}")


def _variables(name: str, value: Any) -> Variables:
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    raise AnsibleParserError(f"vm_hosts: expected the variables of {name} as a dictionary, found {value!r}")


def grouped(groups: Iterable[str], inventory: Any) -> list[str]:
    """Return the hosts of groups of the inventory so far, without the instances among them.

    :raises AnsibleParserError: when a group does not exist
    """
    found: dict[str, None] = {}
    for name in groups:
        if name not in inventory.groups:
            raise AnsibleParserError(
                f"vm_host_groups: no earlier source of the inventory has a group {name!r};"
                " a source that names it must come before this one"
            )
        hosts = inventory.hosts.values() if name == "all" else inventory.groups[name].get_hosts()
        found.update((host.name, None) for host in hosts if not is_instance(host))
    return list(found)


def is_instance(host: Any) -> bool:
    """Return whether a host of the inventory is an instance, by its own variables or those of its groups."""
    return bool(variables_in_source(host).get("ansible_connection") == CONNECTION)


def check_not_groups(names: Iterable[str], inventory: Any) -> None:
    """Refuse VM hosts with the name of a group: a pattern with that name would mean the group.

    :raises AnsibleParserError: when there is one
    """
    for name in names:
        if name in inventory.groups:
            raise AnsibleParserError(
                f"vm_hosts: {name!r} is a group of the inventory, not a host; expected vm_host_groups: [{name}]"
            )


def assumed(name: str, variables: Variables) -> Variables:
    """Return what makes localhost the controller itself, unless its variables say how to reach it.

    Only that name: an address such as ::1 or 127.0.0.1 is reached over ssh, as any host that is listed.
    """
    if name != "localhost" or {"ansible_connection", "ansible_host", "ansible_port"} & set(variables):
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


class _HostVars(Mapping[str, Variables]):
    """The magic variable hostvars: each host's variables are read when a template asks for them."""

    __UNSAFE__ = True  # before ansible-core 2.19: not to be rendered as a whole, with all that is in it

    def __init__(self, inventory: Any, loader: Any, sources: Iterable[str]) -> None:
        self._inventory, self._known = inventory, (inventory, loader, list(sources))

    def __getitem__(self, name: str) -> Variables:
        if name not in self._inventory.hosts:
            raise KeyError(name)
        return {**variables_of(name, *self._known), "inventory_hostname": name}

    def __iter__(self) -> Iterator[str]:
        return iter(self._inventory.hosts)

    def __len__(self) -> int:
        return len(self._inventory.hosts)


_COMMAND_LINE = {  # magic variables, and the options of the command line that they hold
    "ansible_check_mode": "check",
    "ansible_diff_mode": "diff",
    "ansible_forks": "forks",
    "ansible_inventory_sources": "inventory",
    "ansible_limit": "subset",
    "ansible_verbosity": "verbosity",
}


def _ansible_version() -> Variables:
    major, minor, revision = (int(number) for number in re.findall(r"\d+", __version__)[:3])
    return {"string": __version__, "full": __version__, "major": major, "minor": minor, "revision": revision}


def magic(name: str, inventory: Any, loader: Any, sources: Iterable[str]) -> Variables:
    """Return the variables that Ansible itself sets, which a template of a VM host's variables may use."""
    host = inventory.hosts[name]
    given = context.CLIARGS
    return {
        **{variable: given[option] for variable, option in _COMMAND_LINE.items() if option in given},
        "ansible_version": _ansible_version(),
        "ansible_playbook_python": sys.executable,
        "ansible_config_file": C.CONFIG_FILE,
        "playbook_dir": os.path.abspath(loader.get_basedir()),
        "inventory_hostname": name,
        "inventory_hostname_short": name.split(".")[0],
        "group_names": sorted(group.name for group in host.get_groups() if group.name != "all"),
        "groups": inventory.get_groups_dict(),
        "hostvars": _HostVars(inventory, loader, sources),
        "omit": OMIT,
    }


def make(name: str, variables: Variables, resolve: Callable[[str, Any], Any], refer: Callable[[str], Any]) -> VmHost:
    """Return a VM host by its variables.

    ``resolve(variable, value)`` renders the templates of a value, ``refer(text)`` makes text a template.

    :raises AnsibleError: when instances cannot be reached in the way that the variables name
    """

    def value(variable: str, default: Any = None) -> Any:
        return resolve(variable, variables.get(variable, default))

    become = _become_plugin(value("ansible_become_method") or C.DEFAULT_BECOME_METHOD)
    names = _names(become) & set(variables)
    reach = {variable: value(variable) for variable in sorted(names)}
    reach = {variable: found for variable, found in reach.items() if found != OMIT}
    reach.setdefault("ansible_host", name)
    if _is_local(value("ansible_connection")):
        reach["ansible_uml_transport"] = "local"
    handed_on = {variable: found for variable, found in reach.items() if variable not in _OWN}
    for variable in names.intersection(handed_on):
        if _SECRET.search(variable) or not isinstance(variables[variable], _PLAIN):
            handed_on[variable] = refer(f"{{{{ hostvars['{name}']['{variable}'] }}}}")
        elif handed_on[variable] == variables[variable]:
            handed_on[variable] = variables[variable]  # with the tags of its origin
    becomes = boolean(value("ansible_become", C.DEFAULT_BECOME), strict=False)
    handed_on.setdefault("ansible_python_interpreter", "auto_silent")  # which the connection takes for python3
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
        raise AnsibleError(f"unknown become method {method!r}")
    return plugin


def _is_local(connection: Any) -> bool:
    """Return whether a VM host is the controller itself.

    :raises AnsibleError: when it is reached in another way than its instances can be
    """
    if connection == CONNECTION:
        raise AnsibleError("an earlier source has an instance of that name; give the VM host another name")
    kind = str(connection or "ssh").rpartition(".")[2]
    if kind not in ("local", "smart") and not kind.endswith("ssh"):
        raise AnsibleError(f"its ansible_connection is {kind}; expected ssh or local")
    return kind == "local"
