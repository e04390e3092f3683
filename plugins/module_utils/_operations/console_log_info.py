# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Lines of the console logs of many instances, by pattern, behind the marks of an earlier task."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Pattern, Tuple

from .._guest import console_lines
from .._guest.console_lines import Mark
from .._journal import event_filter
from .._mconsole.errors import InputError
from .._mconsole.instances import Instance
from .._task.task import Task
from . import selection

SCOPE = "host"
MAX_LIMIT = 10000
MAX_TEXT = 4 << 20  # characters of all lines together
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "search": {"type": "str"},
    "after": {"type": "dict"},
    "limit": {"type": "int", "default": 100},
    "order": {"type": "str", "choices": ["newest", "oldest"], "default": "newest"},
}
CONSTRAINTS: Dict[str, Any] = {}
Row = Dict[str, Any]


class _Wanted(NamedTuple):
    """The lines that a task asks for."""

    pattern: Optional[Pattern[str]]
    marks: Dict[str, Mark]
    limit: int
    newest: bool


def run(task: Task) -> Dict[str, Any]:
    """Read a part of each log, and return the lines by instance, and where the next task can go on."""
    wanted = _wanted(task.params)
    lines: List[Row] = []
    logs: List[Row] = []
    marks = dict(wanted.marks)
    room = MAX_TEXT
    for instance in selection.selected(task):
        found, log = _read(instance, wanted, marks, room)
        room -= sum(len(line["text"]) for line in found)
        lines += found
        logs.append(log)
    position = {name: str(mark) for name, mark in marks.items()}
    more = any(log["more"] for log in logs)
    return {"changed": False, "lines": lines, "logs": logs, "more": more, "position": position}


def _wanted(params: Dict[str, Any]) -> _Wanted:
    """Return the checked options.

    :raises InputError: when one cannot be used
    """
    limit = params["limit"]
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"limit is {limit}; expected 1 to {MAX_LIMIT}", limit=limit)
    marks = {str(name): Mark.parse(str(text)) for name, text in (params.get("after") or {}).items()}
    wrong = next((name for name, mark in marks.items() if mark is None), None)
    if wrong is not None:
        raise InputError(
            f"after[{wrong!r}] is not a mark; expected the position that an earlier console_log_info returned"
        )
    known = {name: mark for name, mark in marks.items() if mark is not None}
    return _Wanted(event_filter.pattern(params.get("search")), known, limit, params["order"] == "newest")


def _read(instance: Instance, wanted: _Wanted, marks: Dict[str, Mark], room: int) -> Tuple[List[Row], Row]:
    """Return the lines of one instance and the row about its log, and move its mark; without room all stays."""
    place = instance.place
    row: Row = {"umid": place.umid, "uml_dir": place.uml_dir, "running": instance.alive}
    with console_lines.opened(instance) as descriptor:
        if descriptor is None:
            what = "its standard output" if instance.alive else f"{place.directory}.log"
            return [], {**row, "reason": f"{what} is not a file that can be read", "more": False, "skipped": 0}
        if room <= 0:
            return [], {**row, "reason": "", "more": True, "skipped": 0}
        before = wanted.marks.get(place.directory)
        found = console_lines.read(descriptor, before, wanted.pattern, wanted.limit, wanted.newest)
    marks[place.directory] = found.mark
    lines = [
        {"umid": place.umid, "uml_dir": place.uml_dir, "offset": offset, "text": text} for offset, text in found.lines
    ]
    return lines, {**row, "reason": "", "more": found.more, "skipped": found.skipped}
