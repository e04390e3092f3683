# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the files of a crash report on the controller. For the playbooks beside this file alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _playbooks, _report

_SPEC = {"dest": {"type": "str", "required": True}, "max_size": {"type": "int", "required": True}}
_ANSWERS = ("info", "facts", "sysrq", "stack", "proc", "console")


class ActionModule(ActionBase):
    """Write what the tasks of crash_report registered, as files of the directory `dest`."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the directory. The answers are taken as they are: a template would take some for JSON."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        answers = {name: (task_vars or {}).get(f"crash_report__{name}") for name in _ANSWERS}
        folder = _playbooks.place(params["dest"])
        files = _report.files(answers, params["max_size"])
        if not self._task.check_mode:
            _write(folder, files)
        return {**result, "changed": True, "path": str(folder), "files": sorted(files)}


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name, text in files.items():
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
