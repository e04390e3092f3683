# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What answers of instance_info tell of a fleet, a row for each instance; for those who show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def rows_of(host: str, answer: Row, is_instance: bool) -> list[dict[str, Any]]:
    """Return a row for each instance that an answer of instance_info tells of, or one that says why there is none."""
    if answer.get("unreachable") or answer.get("failed"):
        state = "unreachable" if answer.get("unreachable") else "failed"
        return [{"host": host, "umid": "-", "state": state, "state_reason": str(answer.get("msg", ""))}]
    found = [{"host": host, **each} for each in answer.get("instances", ())]
    return found or [{"host": host, "umid": "-", "state": "absent"}] * (is_instance and not answer.get("skipped"))


def fact(row: Row, *names: str) -> Any:
    """Return a fact by its path, or None; the standard ones may have their prefix."""
    found: Any = row.get("facts") or {}
    for name in names:
        found = found.get(name, found.get(f"ansible_{name}")) if isinstance(found, Mapping) else None
    return found


def is_disk(disk: Row) -> bool:
    """Tell whether a disk has a file of its own."""
    return disk.get("file") not in (None, "", "/dev/null")
