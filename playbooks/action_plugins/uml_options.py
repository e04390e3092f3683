# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the options that a host has for a playbook, and return them. For the playbooks beside this file alone."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _playbooks


class ActionModule(ActionBase):
    """Return `options`: every option of the playbook by its name without the prefix."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("playbook",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the options."""
        result = super().run(tmp, task_vars)
        playbook, variables = self._task.args["playbook"], task_vars or {}
        names = [name for name in _playbooks.options_of(playbook) if name in variables]
        given = {name: self._templar.template(variables[name]) for name in names}
        return {**result, "changed": False, "options": _playbooks.values(playbook, given)}
