# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose the hosts that a playbook is about; none is a failure. For the playbooks beside this file alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.uml.mconsole.plugins.plugin_utils import _playbooks

_SPEC = {
    "playbook": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["instances", "vm_hosts", "all"], "default": "instances"},
    "variables": {"type": "list", "elements": "str", "default": []},
    "required": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """Return `hosts`, in the order of the inventory, and `not_asked`: the VM hosts that could not be asked."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the hosts."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        variables: Mapping[str, Any] = task_vars or {}
        playbook, kind, names = params["playbook"], params["kind"], params["variables"]
        warnings = _check_names(playbook, self._loader, variables)
        name = f"{playbook}_target"
        if name not in variables and _playbooks.options_of(playbook)[name].get("required"):
            raise AnsibleActionFail(f"playbook {playbook} needs the option {name}; nothing was done")
        target = str(self._templar.template(variables[name])) if name in variables else "all"
        matching = self._matching(target, variables)
        chosen = _playbooks.choose(matching, variables["hostvars"], kind, names)
        if not chosen and params["required"]:
            limit = str(variables.get("ansible_limit") or "")
            raise AnsibleActionFail(_playbooks.why_none(target, matching, kind, names, limit))
        not_asked = [host for host in _of_the_run(variables) if host in _group(variables, "uml_unreachable")]
        return {
            **result,
            "changed": False,
            "hosts": chosen,
            "matching": matching,
            "not_asked": not_asked,
            **({"warnings": warnings} if warnings else {}),
        }

    def _matching(self, target: str, variables: Mapping[str, Any]) -> list[str]:
        """Return the hosts of the run that match a pattern."""
        inventory = InventoryManager(self._loader, parse=False)
        for group, hosts in variables["groups"].items():
            inventory.add_group(group)
            for host in hosts:
                inventory.add_host(host, group=group)
        within = set(_of_the_run(variables))
        return [host.name for host in inventory.get_hosts(target) if host.name in within]


def _of_the_run(variables: Mapping[str, Any]) -> list[str]:
    """Return the hosts of the run, which --limit may have made fewer."""
    found: list[str] = variables["ansible_play_hosts_all"]
    return found


def _group(variables: Mapping[str, Any], name: str) -> list[str]:
    found: list[str] = variables["groups"].get(name, [])
    return found


def _check_names(playbook: str, loader: Any, variables: Mapping[str, Any]) -> list[str]:
    """Return warnings about the names of extra variables.

    :raises AnsibleActionFail: when one is a misspelt option
    """
    errors, warnings = _playbooks.misspelt(playbook, load_extra_vars(loader), variables)
    if errors:
        raise AnsibleActionFail(f"playbook {playbook} has no option {'; no option '.join(errors)}")
    return warnings
