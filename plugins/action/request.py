# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of every module of this collection: hands the task to the instance's connection, or to the module."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _console_guard, _parameters, _unsafe


class ActionModule(ActionBase):
    """Run one operation where its instance is."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the operation's result, which is the same over every connection."""
        result = super().run(tmp, task_vars)
        name = _console_guard.short(self._task.action)
        try:
            _parameters.check(name, self._task.args)
            params = self._params(name)
        except AnsibleError as err:
            return {**result, "failed": True, "changed": False, "msg": str(err)}
        if params is None:
            return {**result, **self._execute_module(task_vars=task_vars)}
        answer = self._connection.call(name, params, bool(self._task.check_mode))
        result.update(_console_guard.as_of_a_module(answer))
        return _unsafe.mark(result)

    def _params(self, name: str) -> dict[str, Any] | None:
        """Return the parameters for an instance's connection; None where the host is the VM host."""
        if not hasattr(self._connection, "umid"):
            return None
        return _parameters.validate(name, self._task.args, self._connection.get_option("uml_timeout"))
