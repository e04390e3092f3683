# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetch a backup to the controller, and remove the oldest there. For the playbooks beside this file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fetched, _playbooks

_SPEC = {
    "src": {"type": "list", "elements": "str", "required": True},
    "dest": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "keep": {"type": "int"},
}


class ActionModule(ActionBase):
    """Fetch the files `src` as the directory `dest`/`name`, all or none, with holes as holes."""

    _supports_check_mode = True
    _VALID_ARGS = frozenset(_SPEC)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the directory, and the backups that were removed."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        folder = _playbooks.place(params["dest"])
        final = folder / params["name"]
        if final.exists():
            raise AnsibleActionFail(f"{final} exists already; nothing was fetched")
        if not self._task.check_mode:
            with _fetched.whole_directory(final) as part:
                for src in params["src"]:
                    self._fetch(src, part / Path(src).name, task_vars)
        removed = _fetched.oldest(folder, params["keep"])
        if not self._task.check_mode:
            _fetched.remove(removed)
        return {**result, "changed": True, "path": str(final), "removed": [str(path) for path in removed]}

    def _fetch(self, src: str, dest: Path, task_vars: dict[str, Any] | None) -> None:
        """Fetch one file as ansible.builtin.fetch does it, checksum and become included.

        :raises AnsibleActionFail: when that fails
        """
        task = self._task.copy()
        task.args = {"src": src, "dest": str(dest), "flat": True}
        names = {"connection": self._connection, "play_context": self._play_context, "loader": self._loader}
        more = {"templar": self._templar, "shared_loader_obj": self._shared_loader_obj}
        action = self._shared_loader_obj.action_loader.get("ansible.builtin.fetch", task=task, **names, **more)
        answer = action.run(task_vars=task_vars)
        if answer.get("failed") or not dest.is_file():
            raise AnsibleActionFail(f"{src} could not be fetched: {answer.get('msg', 'there is no such file')}")
        _fetched.make_sparse(dest)
