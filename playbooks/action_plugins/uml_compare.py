# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the declared instances of a VM host with those that run. For the playbooks beside this file alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _declaration, _drift, _fleet_plan

_SPEC = {
    "fleet": {"type": "list", "elements": "dict", "required": True},
    "defaults": {"type": "dict", "default": {}},
    "uml_dir": {"type": "str", "required": True},
    "supervisor": {"type": "str", "choices": ["auto", "systemd", "none"], "default": "auto"},
}
_ROLE_ONLY = ("devices_state", "depends_on")
Options = Mapping[str, Any]


class ActionModule(ActionBase):
    """Return `findings` and the umids of the `declared` instances, as check mode of the modules sees them."""

    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for each instance; nothing can be changed, whatever the run is."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        plan = _fleet_plan.plan(params["fleet"], params["defaults"])
        if plan["errors"]:
            raise AnsibleActionFail("; ".join(plan["errors"]))
        seen = self._ask("instance_info", {"declaration": True}, task_vars)
        if seen.get("failed") or seen.get("unreachable"):
            return {**result, **seen}
        found, known = [], []
        for instance in plan["instances"]:
            umid, options = instance["umid"], instance["options"]
            answers = self._answers(umid, options, params, seen["instances"], task_vars)
            found += _drift.findings(umid, options, answers)
            known.append((str(answers.instance.get("uml_dir") or answers.row.get("uml_dir") or ""), umid))
        found += _drift.extra(seen["instances"], known)
        declared = [umid for _folder, umid in known]
        return {**result, "changed": False, "findings": [row._asdict() for row in found], "declared": declared}

    def _answers(self, umid: str, options: Options, params: Options, rows: Any, task_vars: Any) -> _drift.Answers:
        uml_dir = options.get("uml_dir") or params["uml_dir"]
        by = {} if params["supervisor"] == "auto" else {"supervisor": params["supervisor"]}
        where = {"umid": umid, "uml_dir": uml_dir}
        own = {name: value for name, value in options.items() if name not in _ROLE_ONLY}
        instance = self._ask("instance", {**by, **own, **where, "restart": "never"}, task_vars)
        folder = instance.get("uml_dir")
        row = next((row for row in rows if row["umid"] == umid and row["uml_dir"] == (folder or row["uml_dir"])), {})
        is_up = row.get("state") == "running" and bool(options.get("devices"))
        config = _declaration.replaced(options.get("devices") or {}, lambda text: text.replace("{umid}", umid))
        state = options.get("devices_state", "merged")
        devices = self._ask("devices", {**where, "config": config, "state": state}, task_vars) if is_up else {}
        return _drift.Answers(instance, devices, row)

    def _ask(self, module: str, args: Options, task_vars: Any) -> dict[str, Any]:
        """Return what a module of the collection answers in check mode."""
        task = self._task.copy()
        task.action, task.args, task.check_mode = f"uml.mconsole.{module}", dict(args), True
        action = self._shared_loader_obj.action_loader.get(
            task.action,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        found: dict[str, Any] = action.run(task_vars=task_vars)
        return found
