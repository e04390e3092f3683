# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of every module of this collection: hands the task to the instance's connection, or to the module.

Each module has a file of its name in plugins/action, because ansible-core loads that file once before it forks.
"""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from . import _console_guard, _origin, _parameters, _unsafe, _vm_host_task


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
            params = _parameters.validate(name, self._task.args, self._timeout())
        except AnsibleError as err:
            return {**result, "failed": True, "changed": False, "msg": str(err)}
        answer = self._answer(name, params, task_vars or {})
        if answer is None:
            return {**result, **self._execute_module(task_vars=task_vars)}
        result.update(_console_guard.as_of_a_module(answer))
        result.setdefault("invocation", {"module_args": params})
        return _unsafe.mark(result)

    def _answer(self, name: str, params: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of the local client, or None when the task has to run as a module."""
        check = bool(self._task.check_mode)
        if self._is_instance:
            return self._connection.call(name, params, check)
        order = _origin.order(name, params, check, bool(self._task.no_log))
        return _vm_host_task.run(self._connection, self._surroundings(task_vars), order, self._log)

    @property
    def _is_instance(self) -> bool:
        return hasattr(self._connection, "umid")

    def _timeout(self) -> float:
        """Return the default of the option timeout."""
        return self._connection.get_option("uml_timeout") if self._is_instance else _parameters.TIMEOUT

    def _surroundings(self, task_vars: dict[str, Any]) -> _vm_host_task.Surroundings:
        """Return the Python and the environment that the module would have."""
        host = self._task.delegate_to
        own = task_vars.get("ansible_delegated_vars", {}).get(host, {}) if host else task_vars
        python = own.get("ansible_python_interpreter") or C.config.get_config_value("INTERPRETER_PYTHON", variables={})
        python = str(self._templar.template(python))
        if python.startswith("auto"):
            python = own.get("ansible_facts", {}).get("discovered_interpreter_python") or "python3"
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        return _vm_host_task.Surroundings(python, environment)

    def _log(self, text: str) -> None:
        self._display.vvv(text)
