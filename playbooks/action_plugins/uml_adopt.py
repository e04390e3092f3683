# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what runs as a declaration of the role instances. For the playbooks beside this file alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _declaration, _output_file, _playbooks

_SPEC = {
    "dest": {"type": "str", "required": True},
    "format": {"type": "str", "choices": ["host_vars", "inventory"], "default": "host_vars"},
    "force": {"type": "bool", "default": False},
}
Fleets = Mapping[str, Sequence[_declaration.Row]]


class ActionModule(ActionBase):
    """Return `files`, the umids that they declare by host, and why others are not declared."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the files; one that is there with other text is replaced only by force."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        fleets = _fleets(task_vars or {})
        files = {path: (_output_file.read(path), text) for path, text in _files(params, fleets).items()}
        changed = {path: sides for path, sides in files.items() if sides[0] != sides[1]}
        if changed and not self._task.check_mode:
            _write(changed, params["force"])
        return {
            **result,
            "changed": bool(changed),
            "files": sorted(map(str, files)),
            "declared": {
                host: [row["umid"] for row in rows if _declaration.is_declarable(row)] for host, rows in fleets.items()
            },
            "not_declared": [
                f"{host}: {text}" for host, rows in fleets.items() for text in _declaration.left_out(rows)
            ],
            "diff": [
                {"before_header": str(path), "after_header": str(path), "before": old, "after": new}
                for path, (old, new) in changed.items()
            ],
        }


def _fleets(variables: Mapping[str, Any]) -> Fleets:
    """Return the instances of each host that answered, and has any."""
    answers = {host: variables["hostvars"][host].get("adopt__seen") for host in variables["ansible_play_hosts_all"]}
    found = {host: answer.get("instances") for host, answer in answers.items() if answer}
    return {host: rows for host, rows in found.items() if rows}


def _files(params: Mapping[str, Any], fleets: Fleets) -> dict[Path, str]:
    """Return the text of each file."""
    folder = _playbooks.place(params["dest"])
    if params["format"] == "inventory":
        hosts = "".join(f"    {_key(host)}:\n{_declaration.text(rows, 6)}" for host, rows in fleets.items())
        return (
            {_output_file.place_of(params["dest"]): f"---\n{_declaration.MARK}\nall:\n  hosts:\n{hosts}"}
            if hosts
            else {}
        )
    return {
        folder / re.sub(r"[^\w.-]", "_", host) / "instances.yml": f"---\n{_declaration.MARK}\n{_declaration.text(rows)}"
        for host, rows in fleets.items()
        if any(map(_declaration.is_declarable, rows))
    }


def _key(host: str) -> str:
    return host if re.fullmatch(r"[A-Za-z_][\w.-]*", host) else f'"{host}"'


def _write(changed: Mapping[Path, tuple[str, str]], force: bool) -> None:
    """Write the files.

    :raises AnsibleActionFail: when one has another text, and ``force`` is not given; then none is written
    """
    others = [str(path) for path, (old, _new) in changed.items() if old and not force]
    if others:
        raise AnsibleActionFail(
            f"{', '.join(others)} differs from what runs; nothing was written. Look at it with --check --diff, and set"
            " adopt_force=true to replace it"
        )
    for path, (_old, text) in changed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _output_file.replace(path, text)
