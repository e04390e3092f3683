# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last events of a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._instance_rows import Answer, Row
from ._page_states import SEVERITIES, state_of
from ._page_text import clean, clean_lines, when

Part = dict[str, Any]


def last_events(places: Sequence[tuple[str, list[Answer]]], most: int) -> Part:
    """Return the last events of all VM hosts, the newest first, and which VM hosts have no collector."""
    found: dict[Any, Row] = {}
    for name, answers in places:
        for event in (event for answer in answers for event in answer.events.get("events") or ()):
            found.setdefault((name, event.get("seq"), event.get("time"), event.get("umid")), event)
    last = sorted(found.items(), key=lambda answer: (_time(answer[1]), _number(answer[1])), reverse=True)
    read = [(name, answer) for name, answers in places for answer in answers if "collecting" in answer.events]
    collected = {name for name, answer in read if answer.events["collecting"]}
    failed = [answer for _name, answers in places for answer in answers if answer.events.get("failed")]
    return {
        "events": [_event(place[0], event) for place, event in last[: max(most, 0)]],
        "more_events": len(last) > most or any(answer.events.get("more") for _name, answer in read),
        "uncollected": [name for name in dict.fromkeys(name for name, _answer in read) if name not in collected],
        "failures": [f"{clean(answer.host, 60)}: {clean(answer.events.get('msg'), 300)}" for answer in failed],
    }


def _time(event: Row) -> float:
    value = event.get("time")
    return float(value) if isinstance(value, (int, float)) else 0.0


def _number(event: Row) -> int:
    value = event.get("seq")
    return value if isinstance(value, int) else 0


def _event(host: str, event: Row) -> Part:
    severity = clean(event.get("severity"), 12)
    return {
        "when": when(event.get("time"), "%Y-%m-%d %H:%M:%S"),
        "vm_host": host,
        "umid": clean(event.get("umid"), 63),
        **state_of(severity, SEVERITIES),
        "type": clean(event.get("type"), 20),
        "text": clean_lines(event.get("data")),
    }
