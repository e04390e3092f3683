# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of every module of this collection: hands the task to the instance's connection, or to the module."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from ansible_collections.uml.mconsole.plugins.module_utils._task.task import COMMON_ARGUMENTS
from ansible_collections.uml.mconsole.plugins.plugin_utils import _guard, _unsafe


class ActionModule(ActionBase):
    """Run one operation where its instance is."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the operation's result, the same over either way."""
        result = super().run(tmp, task_vars)
        if not hasattr(self._connection, "umid"):
            return {**result, **self._execute_module(task_vars=task_vars)}
        name = self._task.action.rpartition(".")[2]
        params = self._params(name)
        answer = self._connection.call(name, params, bool(self._task.check_mode))
        result.update(_guard.as_of_a_module(answer))
        return _unsafe.mark(result)

    def _params(self, name: str) -> dict[str, Any]:
        """Return the task's arguments, checked against the operation's own spec."""
        operation = registry.load(name)
        timeout = {"type": "float", "default": self._connection.get_option("uml_timeout")}
        shared = {key: COMMON_ARGUMENTS[key] for key in getattr(operation, "COMMON", COMMON_ARGUMENTS)}
        spec = {**shared, "timeout": timeout, **operation.ARGUMENTS}
        _result, params = self.validate_argument_spec(argument_spec=spec, **operation.CONSTRAINTS)
        return params
