# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say what starts an instance from a backup, or whether it was whole. For the playbooks beside this file alone."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _restored

_SPEC = {
    "manifest": {"type": "dict"},
    "source": {"type": "str"},
    "folder": {"type": "str"},
    "name": {"type": "str"},
    "options": {"type": "dict", "default": {}},
    "test": {"type": "bool", "default": False},
    "checks": {"type": "dict"},
    "started": {"type": "dict", "default": {}},
    "stopped": {"type": "dict", "default": {}},
    "log": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """Return a plan from a `manifest`, or a verdict from the results of a test."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan or the verdict."""
        result = {**super().run(tmp, task_vars), "changed": False}
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        if params["checks"] is not None:
            names = ("checks", "started", "log", "stopped")
            return {**result, **_restored.verdict(**{name: params[name] for name in names})}
        places = {name: params[name] for name in ("manifest", "source", "folder", "name", "test")}
        return {**result, **_restored.plan(more=params["options"], **places)}
