# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Limits of the unit of an instance: CPU, memory and tasks, set and read back by systemctl."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from .._mconsole import procfs
from .._mconsole.errors import InputError
from .._mconsole.parsing import parse_size
from . import systemd_unit

Limits = Dict[str, Any]  # option -> "50%", bytes or a number; None: no limit
_NONE = ("", "infinity", "none")
_UNITS = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6}


class _Limit(NamedTuple):
    """The names of a limit in systemd (to set and to show), the controller that enforces it, and the readers of the
    user's text and of systemd's."""

    name: str
    shown: str
    controller: str
    parse: Callable[[str], Any]
    read: Callable[[str], Any]


def parse(params: Mapping[str, Any]) -> Limits:
    """Return the limits that a task asks for.

    :raises InputError: when one is not a limit
    """
    given = {option: params[option] for option in _LIMITS if params.get(option) is not None}
    return {option: _parse(option, str(value).strip()) for option, value in given.items()}


def _parse(option: str, text: str) -> Any:
    return None if text.lower() in _NONE else _LIMITS[option].parse(text)


def read(umid: str, options: Limits) -> Limits:
    """Return what systemd has for these options now."""
    properties = ",".join(_LIMITS[option].shown for option in options)
    said = systemd_unit.systemctl("show", umid, f"--property={properties}")
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    found = {option: shown.get(_LIMITS[option].shown, "") for option in options}
    return {option: None if text in _NONE else _LIMITS[option].read(text) for option, text in found.items()}


def write(umid: str, limits: Limits) -> None:
    """Set limits, of a unit that runs at once, and for each later start."""
    words = [f"{_LIMITS[option].name}={_text(option, value)}" for option, value in limits.items()]
    systemd_unit.systemctl("set-property", umid, after=words)


def unenforced(pid: int, limits: Limits) -> List[str]:
    """Return the limits that systemd has and this host's control groups do not enforce, because a controller is off."""
    match = re.search(r"^0::(/.*)$", procfs.read_text(f"/proc/{pid}/cgroup"), re.MULTILINE)
    path = f"/sys/fs/cgroup{match[1]}/cgroup.controllers" if match else ""
    if not os.path.exists(path):
        return []  # version 1, which shows it elsewhere
    active = procfs.read_text(path).split()
    return [
        option for option, value in limits.items() if value is not None and _LIMITS[option].controller not in active
    ]


def _text(option: str, value: Any) -> str:
    if value is None:
        return "" if option == "cpu_quota" else "infinity"
    return str(value)


def _percent(text: str) -> str:
    match = re.fullmatch(r"(\d+)\s*%?", text)
    if match is None or not int(match[1]):
        raise InputError(f"cpu_quota is {text!r}; expected a percentage of one CPU, such as 50% or 150%")
    return f"{int(match[1])}%"


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise InputError(f"tasks_max is {text!r}; expected a number of at least 1, or infinity")
    return int(text)


def _percent_of_time(text: str) -> Optional[str]:
    """Return the percentage of a time span per second, such as ``1s 500ms``."""
    spans = re.findall(r"([\d.]+)(us|ms|s|min|h)\b", text)
    return f"{round(sum(float(number) * _UNITS[unit] for number, unit in spans) / 10**4)}%" if spans else None


_LIMITS: Dict[str, _Limit] = {
    "cpu_quota": _Limit("CPUQuota", "CPUQuotaPerSecUSec", "cpu", _percent, _percent_of_time),
    "memory_max": _Limit("MemoryMax", "MemoryMax", "memory", parse_size, int),
    "tasks_max": _Limit("TasksMax", "TasksMax", "pids", _count, int),
}
