# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show a fleet: a table for people, JSON for programs. Only for the playbook status."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils import (
    _output_file,
    _page_disks,
    _page_networks,
    _table,
)
from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import Row, answer_of, fact, is_disk, rows_of


class ActionModule(ActionBase):
    """Show the instances that the hosts of the play reported."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("format", "dest"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the rows, or write them to a file; return them."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(
            argument_spec={
                "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
                "dest": {"type": "str"},
            }
        )
        variables = task_vars or {}
        hosts = variables["ansible_play_hosts_all"]
        rows = [row for host in hosts for row in rows_of(answer_of(host, variables["hostvars"][host], "status"))]
        text = json.dumps(rows, indent=2, default=str) if params["format"] == "json" else table(rows)
        if params["dest"]:
            return {**result, **self._write(params["dest"], text), "rows": rows}
        Display().display(text)
        return {**result, "changed": False, "rows": rows}

    def _write(self, dest: str, text: str) -> dict[str, Any]:
        path = _output_file.place_of(dest)
        text = f"{text.strip()}\n"
        changed = _output_file.read(path) != text
        if changed and not self._task.check_mode:
            _output_file.replace(path, text)
        return {"changed": changed, "dest": str(path)}


def table(rows: Sequence[Row]) -> str:
    """Return rows as lines of aligned columns, with what needs an explanation below them."""
    if not rows:
        return "\nNo instances.\n"
    names = Counter((row["host"], row["umid"]) for row in rows)
    rows = [{**row, "ambiguous": names[row["host"], row["umid"]] > 1} for row in rows]
    text = _table.aligned([name for name, _cell in COLUMNS], [[cell(row) for _name, cell in COLUMNS] for row in rows])
    notes = [f"{row['host']} {row['umid']}: {row['state_reason']}" for row in rows if _needs_explanation(row)]
    return "\n".join(["", *text, *([""] if notes else []), *map(_table.plain, notes), ""])


def _needs_explanation(row: Row) -> bool:
    return row.get("state") not in ("running", "paused") and bool(row.get("state_reason"))


# The cells. An empty one becomes a dash.


def _name(row: Row) -> str:
    """Return the umid, and where it is when the host has two of that name."""
    is_ambiguous = row["ambiguous"] and row.get("uml_dir")
    return f"{row['umid']} in {row['uml_dir']}" if is_ambiguous else str(row["umid"])


def _image(row: Row) -> str:
    """Return the file that the guest's root comes from: its backing file, its image, or its initrd."""
    root = _page_disks.root_of(row)
    return (root["base"] or root["file"]) if root else _page_disks.initrd_of(row)


def _memory(row: Row) -> str:
    total, free = fact(row, "memtotal_mb"), fact(row, "memfree_mb")
    return f"{total - free}/{total} MB" if isinstance(total, int) and isinstance(free, int) else ""


def _uptime(row: Row) -> str:
    seconds = fact(row, "uptime_seconds")
    if not isinstance(seconds, int):
        return ""
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    first = next((index for index, (number, _unit) in enumerate(parts) if number), 3)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2])


def _load(row: Row) -> str:
    load = fact(row, "loadavg", "1m")
    return f"{load:.2f}" if isinstance(load, (int, float)) else ""


def _disks(row: Row) -> str:
    disks = fact(row, "uml", "disks") or {}
    return " ".join(f"{name}{_size(disk)}" for name, disk in sorted(disks.items()) if is_disk(disk))


def _size(disk: Row) -> str:
    size = disk.get("size")
    if not disk.get("listed", True):
        return "(?)"  # set, and the guest has none: a ghost, or a file without a size
    return f"({size >> 20}M)" if isinstance(size, int) and size else ""


def _networks(row: Row) -> str:
    return " ".join(_network(_page_networks.attachment_of(attachment)) for attachment in row.get("networks") or ())


def _network(attachment: Row) -> str:
    interface = f"{attachment['interface']}=" if attachment["interface"] else ""
    return f"{interface}{attachment['name']}{'(down)' if attachment['is_open'] is False else ''}"


def _consoles(row: Row) -> str:
    lines = fact(row, "uml", "lines") or {}
    return " ".join(f"{name}={value}" for name, value in lines.items() if value not in ("null", "none", ""))


COLUMNS: tuple[tuple[str, Callable[[Row], Any]], ...] = (
    ("HOST", lambda row: row["host"]),
    ("INSTANCE", _name),
    ("STATE", lambda row: row["state"]),
    ("KERNEL", lambda row: row.get("kernel")),
    ("IMAGE", _image),
    ("MEMORY", _memory),
    ("UPTIME", _uptime),
    ("LOAD", _load),
    ("DISKS", _disks),
    ("NETWORKS", _networks),
    ("CONSOLES", _consoles),
)
