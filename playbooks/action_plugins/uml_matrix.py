# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan a matrix of jobs. For the playbooks beside this file alone."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _jobs

_SPEC = {
    "kernels": {"type": "list", "elements": "str", "required": True},
    "commands": {"type": "dict", "required": True},
    "options": {"type": "dict", "default": {}},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "spread": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """Return `shares`: the jobs of each host."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        jobs = _jobs.matrix(params["kernels"], params["commands"], params["options"])
        shares = _jobs.shares(jobs, params["hosts"], params["spread"])
        found = {host: [job._asdict() for job in share] for host, share in shares.items()}
        return {**result, "changed": False, "shares": found}
