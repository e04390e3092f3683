# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Report what came of a matrix of jobs. For the playbooks beside this file alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils import _jobs, _output_file

_SPEC = {
    "junit": {"type": "str"},
    "json": {"type": "str"},
    "spread": {"type": "bool", "default": True},
    "fail": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """Show what the jobs of all hosts came to, and write it; fail when one has failed."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the `jobs`, each with its result."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        variables = task_vars or {}
        rows = [
            row
            for host, share in variables["jobs__plan"]["shares"].items()
            for row in _jobs.rows(host, share, dict(variables["hostvars"][host].get("jobs__ran") or {}))
        ]
        rows.sort(key=lambda row: (row["number"], row["host"]))
        Display().display(_jobs.table(rows))
        texts = {"junit": _jobs.junit(rows, params["spread"]), "json": json.dumps(rows, indent=2)}
        written = [_write(params[form], text) for form, text in texts.items() if self._writes(params[form])]
        failed = {"failed": True, "msg": _message(rows)} if params["fail"] and _failed(rows) else {}
        return {**result, "changed": bool(written), "jobs": rows, "files": written, **failed}

    def _writes(self, dest: str | None) -> bool:
        return bool(dest) and not self._task.check_mode


def _write(dest: str, text: str) -> str:
    place = _output_file.place_of(dest)
    _output_file.replace(place, f"{text}\n")
    return str(place)


def _failed(rows: Sequence[_jobs.Row]) -> list[_jobs.Row]:
    return [row for row in rows if row["failed"]]


def _message(rows: Sequence[_jobs.Row]) -> str:
    return f"{len(_failed(rows))} of {len(rows)} jobs failed"
