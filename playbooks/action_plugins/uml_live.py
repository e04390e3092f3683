# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Serve the page of a fleet and ask the fleet again and again. Only for the playbook live_page."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils._page_server import PageServer

SCRIPT = Path(__file__).resolve().parent.parent / "templates" / "live_page.js"
_SPEC: dict[str, Any] = {
    "listen": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int", "default": 8384},
    "every": {"type": "float", "default": 10.0},
    "seconds": {"type": "float", "default": 0.0},
    "page": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Follow the fleet until Ctrl-C."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Serve until the time is up; return where, and how often the fleet was asked."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_SPEC)
        if self._task.check_mode:
            return {**result, "changed": False, "looks": 0}
        with tempfile.TemporaryDirectory(prefix="uml.live.") as folder:
            server = _server(params, Path(folder) / "fleet.html")
            server.start()
            Display().display(f"--- the page is at {server.url}, until Ctrl-C")
            command = command_of(params["page"], server.page, task_vars or {})
            try:
                looks = follow(server, command, params["every"], params["seconds"])
            finally:
                server.shutdown()
                server.server_close()
        return {**result, "changed": False, "looks": looks, "url": server.url}


def _server(params: Mapping[str, Any], page: Path) -> PageServer:
    address = (params["listen"], params["port"])
    try:
        return PageServer(address, page, SCRIPT.read_text(encoding="utf-8"))
    except OSError as err:
        raise AnsibleActionFail(f"port {address[1]} of {address[0]} cannot be used: {err.strerror}") from None


def command_of(options: Mapping[str, Any], page: Path, variables: Mapping[str, Any]) -> list[str]:
    """Return the command that writes the page: fleet_page on the inventory and the limit of this run."""
    sources = [word for source in variables.get("ansible_inventory_sources") or () for word in ("-i", str(source))]
    limit = ["--limit", str(variables["ansible_limit"])] if variables.get("ansible_limit") else []
    given = {name: value for name, value in options.items() if value is not None}
    extra = json.dumps({**given, "fleet_page_dest": str(page)})
    program = str(Path(sys.argv[0]).with_name("ansible-playbook"))
    forks = str(variables.get("ansible_forks", 5))
    return [program, *sources, *limit, "-f", forks, "uml.mconsole.fleet_page", "-e", extra]


def follow(server: PageServer, command: list[str], every: float, seconds: float) -> int:
    """Ask the fleet at once and then at least ``every`` seconds apart; return how often."""
    end = time.monotonic() + seconds if seconds > 0 else float("inf")
    looks = 0
    while time.monotonic() < end:
        started = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        failed = done.returncode != 0 or not server.page.exists()
        server.looked_now((done.stderr or done.stdout).strip()[-500:] or "it failed" if failed else "")
        if failed and not looks:
            raise AnsibleActionFail(f"the playbook fleet_page failed: {(done.stderr or done.stdout).strip()[-2000:]}")
        looks += 1
        time.sleep(max(0.0, min(every - (time.monotonic() - started), end - time.monotonic())))
    return looks
