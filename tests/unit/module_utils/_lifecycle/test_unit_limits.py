# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of units: what a user may write, what systemd gets, and what it shows."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import systemd_unit, unit_limits
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("cpu_quota", "50%", "50%"),
        ("cpu_quota", " 150 ", "150%"),
        ("cpu_quota", "infinity", None),
        ("memory_max", "512M", 512 << 20),
        ("memory_max", "none", None),
        ("tasks_max", "20", 20),
        ("tasks_max", "", None),
    ],
)
def test_what_a_user_may_write(option: str, text: str, value: Any) -> None:
    assert unit_limits.parse({option: text, "umid": "a", "tasks": None}) == {option: value}


@pytest.mark.parametrize(
    ("option", "text"),
    [("cpu_quota", "0%"), ("cpu_quota", "half"), ("memory_max", "much"), ("tasks_max", "-1"), ("tasks_max", "0")],
)
def test_what_is_not_a_limit_is_refused(option: str, text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        unit_limits.parse({option: text})


SHOWN = [
    ("500ms", "50%"),
    ("1.500000s", "150%"),
    ("1s 500ms", "150%"),
    ("2s", "200%"),
    ("10ms", "1%"),
    ("1min 4s", "6400%"),
    ("infinity", None),
]


@pytest.mark.parametrize(("text", "value"), SHOWN)
def test_what_systemd_shows(text: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"CPUQuotaPerSecUSec={text}\nMemoryMax=infinity\nTasksMax=7\n"
    monkeypatch.setattr(systemd_unit, "systemctl", lambda *_words: said)
    wanted = {"cpu_quota": "50%", "memory_max": 1, "tasks_max": 2}
    assert unit_limits.read("a", wanted) == {"cpu_quota": value, "memory_max": None, "tasks_max": 7}


def test_what_systemd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(systemd_unit, "systemctl", lambda *words, after=(): told.append((*words, *after)))
    unit_limits.write("a", {"cpu_quota": "50%", "memory_max": 1 << 20, "tasks_max": None})
    unit_limits.write("a", {"cpu_quota": None})
    assert told == [
        ("set-property", "a", "CPUQuota=50%", "MemoryMax=1048576", "TasksMax=infinity"),
        ("set-property", "a", "CPUQuota="),
    ]
