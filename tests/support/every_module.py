# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module with every state it has, as arguments; what has no row here fails a test."""

from __future__ import annotations

import hashlib
from typing import Any

from support.devices import SIZE

NO_SHUTDOWN = ["halt", "terminate", "kill"]
COLLECTOR = {"journal_dir": "{folder}/journal", "uml_dirs": ["{folder}"]}
EMPTY = f"sha256:{hashlib.sha256(bytes(SIZE)).hexdigest()}"  # of an empty disk
# module: what is done with it. `{folder}` is the uml_dir, which holds the disks a, b and c, and
# the snapshot `old` of b.
ROWS: dict[str, list[dict[str, Any]]] = {
    "collector": [{**COLLECTOR, "state": state} for state in ("started", "restarted", "stopped")],
    "console_log_info": [{"search": "Linux", "limit": 3}],
    "cow": [
        {"path": "{folder}/new.cow", "backing_file": "{folder}/a", "state": "present"},
        {"path": "{folder}/old.cow", "dest": "{folder}/merged", "state": "merged"},
    ],
    "device": [
        {"name": "ubd1", "file": "{folder}/a"},
        {"name": "con5", "channel": "pts", "state": "present"},
        {"name": "con1", "state": "absent"},
    ],
    "devices": [
        {"config": {"ubd1": "{folder}/a", "con5": "pts"}, "state": "merged"},
        {"config": {"ubd2": "{folder}/b"}, "state": "overridden", "classes": ["ubd"]},
    ],
    "disk_backup": [{"dest": "{folder}", "disks": ["ubd7"], "sync_timeout": 1}],
    "event_info": [{"journal_dir": "{folder}/journal"}],
    "event_wait": [{"journal_dir": "{folder}/journal", "wait_timeout": 0}],
    "image": [
        {"path": "{folder}/new.img", "src": "{folder}/a", "checksum": EMPTY},
        {"path": "{folder}/new.img", "state": "absent"},
    ],
    "instance": [
        {"state": "running"},
        {"state": "paused"},
        {"state": "stopped", "stop_methods": NO_SHUTDOWN},
        {"state": "restarted", "stop_methods": NO_SHUTDOWN},
        {"state": "absent", "stop_methods": NO_SHUTDOWN},
    ],
    "instance_facts": [{"gather_subset": ["all"]}],
    "instance_info": [{"gather_subset": ["all"]}],
    "job": [{"command": "true", "root": {"hostfs": "/"}, "shell_as_init": True}],
    "kernel_log": [{"text": "one\ntwo"}],
    "memory": [{"size": "72M"}],
    "proc_info": [{"paths": ["meminfo"]}],
    "request": [{"commands": ["version", "config con5=pts", "log x"]}, {"command": "version"}],
    "snapshot": [
        {"name": "new", "directory": "{folder}", "disks": ["ubd7"], "sync_timeout": 1},
        {"name": "old", "directory": "{folder}", "state": "reverted"},
        {"name": "old", "directory": "{folder}", "state": "absent"},
    ],
    "snapshot_info": [{"directory": "{folder}"}],
    "stack_info": [{"pids": [1]}],
    "sysrq": [{"key": "s"}, {"key": "m"}],
}
OLD = {"name": "old", "files": {"ubd2": "{folder}/b"}, "directory": "{folder}"}  # the snapshot, as it is taken
# These wait for something. If it does not come, that is an error, but not in check mode, which does not wait.
FAILS_WITHOUT_AN_EVENT = ("event_wait",)


def filled(value: Any, folder: str) -> Any:
    """Put the folder in."""
    if isinstance(value, dict):
        return {key: filled(each, folder) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, folder) for each in value]
    return value.replace("{folder}", folder) if isinstance(value, str) else value
