# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what is known of a fleet into one HTML file. For the playbook beside this file alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _page, _page_model
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_model import Answer

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
CONNECTION = "uml.mconsole.mconsole"


class ActionModule(ActionBase):
    """Write the page of the instances and events that the hosts of the play told of."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the page when it says anything new; return where it is and whether it does."""
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
        model = _page_model.build([answer_of(host, variables["hostvars"][host]) for host in hosts], params["events"])
        page = _page.render(TEMPLATES, model, params["title"], time.time())
        return {**result, **self._write(place_of(params["dest"]), page)}

    def _write(self, dest: Path, page: str) -> dict[str, Any]:
        old = read(dest)
        changed = _page.differs(old, page)
        if changed and not self._task.check_mode:
            replace(dest, page)
        diff = {"before_header": str(dest), "after_header": str(dest), "before": old, "after": page if changed else old}
        return {"changed": changed, "dest": str(dest), **({"diff": diff} if self._task.diff else {})}


def answer_of(host: str, variables: Mapping[str, Any]) -> Answer:
    """Return what a host of the play told, and where it is: an instance is where its VM host is."""
    is_instance = variables.get("ansible_connection") == CONNECTION
    address = str(variables.get("ansible_host") or host)
    if is_instance and variables.get("ansible_uml_transport") == "local":
        address = "localhost"
    umid = str(variables.get("ansible_uml_umid") or host) if is_instance else ""
    vm_host = str(variables.get("uml_vm_host") or address) if is_instance else host
    seen, events = (dict(variables.get(f"fleet_page__{name}") or {}) for name in ("seen", "events"))
    return Answer(host, vm_host, (address, str(variables.get("ansible_port") or 22)), umid, seen, events)


def place_of(dest: str) -> Path:
    """Return where the page goes: a relative path starts where the user is, and not where the playbook is.

    :raises AnsibleActionFail: when it cannot go there
    """
    found = Path(os.environ.get("PWD") or os.getcwd()) / os.path.expanduser(dest)
    if found.is_dir():
        raise AnsibleActionFail(f"{found} is a directory; expected the name of a file")
    if not found.parent.is_dir():
        raise AnsibleActionFail(f"the directory of {found} is not there")
    return found


def read(dest: Path) -> str:
    """Return the page that is there already, or nothing.

    :raises AnsibleActionFail: when what is there is none
    """
    try:
        old = dest.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as err:
        raise AnsibleActionFail(f"{dest} cannot be read: {err.strerror}") from None
    if old and not _page.is_page(old):
        raise AnsibleActionFail(f"{dest} is there and is no page of this playbook; remove it, or choose another dest")
    return old


def replace(dest: Path, page: str) -> None:
    """Put a page in its place at once, so that nobody reads half of one; a new one has the rights of any new file.

    :raises AnsibleActionFail: when it cannot be written
    """
    target = Path(os.path.realpath(dest))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as err:
        raise AnsibleActionFail(f"{dest} cannot be written: {err.strerror}") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(page)
            os.fchmod(stream.fileno(), rights(target))
        os.replace(name, target)
    except OSError as err:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise AnsibleActionFail(f"{dest} cannot be written: {err.strerror}") from None


def rights(target: Path) -> int:
    """Return the rights that the page has, or those that any new file gets."""
    with contextlib.suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
