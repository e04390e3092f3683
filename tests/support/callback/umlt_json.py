# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write one JSON line per task result, because ansible-core brings no machine-readable callback."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: umlt_json
type: aggregate
short_description: One JSON line per task result
description: For the collection's own tests.
options:
  path:
    description: The file to append to.
    required: true
    env:
      - name: UMLT_RESULTS
"""

INTERNAL = "_ansible_"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Append what each host answered to each task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "umlt_json"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None, options: Any = None) -> None:
        super().__init__(display=display, options=options)
        self.started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Remember when a host began a task."""
        self.started[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Record a success."""
        self._record(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Record a failure."""
        self._record(result, failed=True, ignored=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Record that the host could not be reached."""
        self._record(result, unreachable=True)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Record that the task did not apply."""
        self._record(result, skipped=True)

    def _record(self, result: Any, **flags: bool) -> None:
        """Append one line."""
        host, task, told = (_part(result, name) for name in ("host", "task", "result"))
        line = {
            "host": host.get_name(),
            "task": task.get_name().strip(),
            "action": task.action,
            "result": _public(told),
            "duration": time.monotonic() - self.started.get((host.get_name(), task._uuid), time.monotonic()),
            **flags,
        }
        with open(self.get_option("path"), "a", encoding="utf-8") as results:
            results.write(json.dumps(line, default=str) + "\n")


def _part(result: Any, name: str) -> Any:
    """Return a part of a result, whose name has an underscore before ansible-core 2.19."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, f"_{name}")


def _public(value: Any) -> Any:
    """Drop what is between Ansible and itself."""
    if isinstance(value, dict):
        return {str(key): _public(item) for key, item in value.items() if not str(key).startswith(INTERNAL)}
    if isinstance(value, list):
        return [_public(item) for item in value]
    return value
