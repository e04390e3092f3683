# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose a backup that was fetched to the controller. For the playbooks beside this file alone."""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fetched, _playbooks


class ActionModule(ActionBase):
    """Return `path`, `time`, `manifest` and `files` of the backup of a `time` in the directory `src`."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("src", "time"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the backup.

        :raises AnsibleActionFail: when the directory has no such backup
        """
        result = super().run(tmp, task_vars)
        folder, time = _playbooks.place(self._task.args["src"]), self._task.args["time"]
        found = {path.name: path for path in _fetched.backups(folder)}
        path = found.get(max(found, default="") if time == "newest" else time)
        if path is None:
            raise AnsibleActionFail(
                f"no backup as of {time} in {folder}; found {', '.join(found) or 'none'}. Nothing was changed"
            )
        manifest = json.loads((path / _fetched.MANIFEST).read_text(encoding="utf-8"))
        files = [str(path / name) for name in _fetched.names(manifest)]
        return {
            **result,
            "changed": False,
            "path": str(path),
            "time": path.name,
            "manifest": manifest,
            "files": files,
        }
