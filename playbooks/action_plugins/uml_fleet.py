# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what is known of a fleet: a table for people, JSON for programs. For the playbooks beside this file alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import Row, fact, is_disk, rows_of

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDEST = 36  # what is longer is cut, so that one odd path does not push a table off the screen


class ActionModule(ActionBase):
    """Print the instances that the VM hosts told of."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("seen", "instances", "format"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the rows, printed as well."""
        result = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(
            argument_spec={
                "seen": {"type": "dict", "required": True},
                "instances": {"type": "list", "elements": "str", "default": []},
                "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
            }
        )
        seen: dict[str, Row] = params["seen"]
        rows = [row for host in seen for row in rows_of(host, seen[host], host in params["instances"])]
        Display().display(json.dumps(rows, indent=2, default=str) if params["format"] == "json" else table(rows))
        return {**result, "changed": False, "rows": rows}


def table(rows: Sequence[Row]) -> str:
    """Return rows as lines of aligned columns, what needs a word of explanation below them."""
    if not rows:
        return "\nNo instances.\n"
    names = Counter((row["host"], row["umid"]) for row in rows)
    rows = [{**row, "ambiguous": names[row["host"], row["umid"]] > 1} for row in rows]
    lines = [[heading for heading, _cell in COLUMNS]]
    lines += [[_clean(cell(row)) for _heading, cell in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    notes = [f"{row['host']} {row['umid']}: {row['state_reason']}" for row in rows if _needs_a_word(row)]
    return "\n".join(["", *text, *([""] if notes else []), *map(_plain, notes), ""])


def _needs_a_word(row: Row) -> bool:
    return row.get("state") not in ("running", "paused") and bool(row.get("state_reason"))


def _clean(value: Any) -> str:
    text = _plain(value) or "-"
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _plain(value: Any) -> str:
    """Return text of a guest without what a terminal would obey."""
    return _UNPRINTABLE.sub("?", str("" if value is None else value))


# The cells: what they say when nothing is known is a dash.


def _name(row: Row) -> str:
    """Return the umid, and where it is when the host has two of that name."""
    return f"{row['umid']} in {row['uml_dir']}" if row["ambiguous"] else str(row["umid"])


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
    return " ".join(f"{name}{_size(each)}" for name, each in sorted(disks.items()) if is_disk(each))


def _size(disk: Row) -> str:
    size = disk.get("size")
    if not disk.get("listed", True):
        return "(?)"  # set, and the guest has none: a ghost, or a file without a size
    return f"({size >> 20}M)" if isinstance(size, int) and size else ""


def _consoles(row: Row) -> str:
    lines = fact(row, "uml", "lines") or {}
    return " ".join(f"{name}={value}" for name, value in lines.items() if value not in ("null", "none", ""))


COLUMNS: tuple[tuple[str, Callable[[Row], Any]], ...] = (
    ("HOST", lambda row: row["host"]),
    ("INSTANCE", _name),
    ("STATE", lambda row: row["state"]),
    ("KERNEL", lambda row: row.get("kernel")),
    ("MEMORY", _memory),
    ("UPTIME", _uptime),
    ("LOAD", _load),
    ("DISKS", _disks),
    ("CONSOLES", _consoles),
)
