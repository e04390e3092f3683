# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Report how a fleet differs from its declaration. For the playbooks beside this file alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils import _drift, _output_file

_SPEC = {
    "format": {"type": "str", "choices": ["table", "json", "junit"], "default": "table"},
    "dest": {"type": "str"},
    "fail": {"type": "bool", "default": True},
}
Rows = list[dict[str, str]]


class ActionModule(ActionBase):
    """Print or write what the hosts of the play compared; fail when there is drift."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Report, and return the `findings` of all hosts. A report is written in check mode as well."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        variables = task_vars or {}
        hosts = variables["ansible_play_hosts_all"]
        answers = {host: dict(variables["hostvars"][host].get("drift__compared") or {}) for host in hosts}
        rows = [row for host, answer in answers.items() for row in _rows(host, answer)]
        names = [(host, umid) for host, answer in answers.items() for umid in answer.get("declared", ())]
        text = _text(params["format"], names, rows)
        if params["dest"]:
            _output_file.replace(_output_file.place_of(params["dest"]), f"{text.strip()}\n")
        else:
            Display().display(text)
        failed = {"failed": True, "msg": _message(rows)} if rows and params["fail"] else {}
        return {**result, "changed": False, "findings": rows, **failed}


def _rows(host: str, answer: Mapping[str, Any]) -> Rows:
    if answer.get("unreachable") or answer.get("failed"):
        kind = "unreachable" if answer.get("unreachable") else "failed"
        return [{"host": host, **_drift.Finding("", kind, found=str(answer.get("msg", "")))._asdict()}]
    return [{"host": host, **finding} for finding in answer.get("findings", ())]


def _text(form: str, names: Sequence[tuple[str, str]], rows: Rows) -> str:
    if form == "junit":
        return _drift.junit(names, rows)
    return json.dumps(rows, indent=2) if form == "json" else _drift.table(rows)


def _message(rows: Rows) -> str:
    instances = {(row["host"], row["umid"]) for row in rows}
    return f"the fleet differs from its declaration: {len(rows)} differences of {len(instances)} instances"
