# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts from outside beside those that setup gathers inside: equal, where both claim one and it does not move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOVING = {"loadavg", "memfree_mb", "memory_mb", "uptime_seconds"}
Facts = Mapping[str, Any]


def plain(facts: Facts) -> dict[str, Any]:
    """Return facts by their names without the prefix."""
    return {name.removeprefix("ansible_"): value for name, value in facts.items()}


def part_of(ours: Any, theirs: Any) -> Any:
    """Return setup's value reduced to what we claim to know of it."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {name: part_of(value, theirs[name]) for name, value in ours.items() if name in theirs}
    if isinstance(ours, list) and len(ours) == len(theirs):
        return [part_of(*pair) for pair in zip(ours, theirs, strict=True)]
    return theirs


def differences(ours: Facts, theirs: Facts) -> dict[str, tuple[Any, Any]]:
    """Return the facts that differ, or that setup does not have, each as (ours, setup's)."""
    names = set(ours) - MOVING - {"uml"}
    pairs = {name: (ours[name], part_of(ours[name], theirs.get(name))) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
