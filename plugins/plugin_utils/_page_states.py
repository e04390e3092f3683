# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""States and severities of a page: how bad each is, and the mark that shows it to those who see no colours."""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]

LEVELS = {
    "running": "good",
    "paused": "warn",
    "booting": "busy",
    "hung": "bad",
    "frozen": "bad",
    "orphaned": "bad",
    "unreachable": "bad",
    "failed": "bad",
    "stale": "off",
    "absent": "off",
    "unknown": "off",
}
SEVERITIES = {"debug": "off", "info": "off", "warning": "warn", "error": "bad", "critical": "bad"}
_MARKS = {"good": "dot", "warn": "triangle", "busy": "arc", "bad": "diamond", "off": "ring"}
ORDER = ("bad", "warn", "busy", "off", "good")
WELL = ("running", "paused", "booting")
ALIVE = ("running", "paused", "booting", "hung", "frozen", "unknown")


def state_of(word: str, levels: dict[str, str] | None = None) -> Part:
    """Return a state or a severity with its level and its mark."""
    level = (LEVELS if levels is None else levels).get(word, "off")
    return {"state": word, "level": level, "mark": "bars" if word == "paused" else _MARKS[level]}
