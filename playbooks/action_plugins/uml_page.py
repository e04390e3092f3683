# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a fleet into one HTML file. Only for the playbook fleet_page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _output_file, _page, _page_model
from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import answer_of

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


class ActionModule(ActionBase):
    """Write the page of the instances and events that the hosts of the play reported."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the page when it differs from the one that is there; return its path and whether it does."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(
            argument_spec={
                "dest": {"type": "str", "required": True},
                "title": {"type": "str", "default": "Fleet"},
                "events": {"type": "int", "default": 50},
            }
        )
        variables = task_vars or {}
        hosts = variables["ansible_play_hosts_all"]
        answers = [answer_of(host, variables["hostvars"][host], "fleet_page") for host in hosts]
        model = _page_model.build(answers, params["events"])
        page = _page.render(TEMPLATES, model, params["title"], time.time())
        return {**result, **self._write(_output_file.place_of(params["dest"]), page)}

    def _write(self, dest: Path, page: str) -> dict[str, Any]:
        old = read(dest)
        changed = _page.differs(old, page)
        if changed and not self._task.check_mode:
            _output_file.replace(dest, page)
        diff = {"before_header": str(dest), "after_header": str(dest), "before": old, "after": page if changed else old}
        return {"changed": changed, "dest": str(dest), **({"diff": diff} if self._task.diff else {})}


def read(dest: Path) -> str:
    """Return the page that is there already, or an empty string.

    :raises AnsibleActionFail: when the file is not a page
    """
    old = _output_file.read(dest)
    if old and not _page.is_page(old):
        raise AnsibleActionFail(f"{dest} is not a page of this playbook; remove it, or set another fleet_page_dest")
    return old
