# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the collector has written down."""

from __future__ import annotations

from collections import deque
from typing import Any, Dict, Iterable, List, Tuple

from .._journal import event_filter, journal
from .._journal.journal import Event, Reader
from .._mconsole.errors import InputError
from .._task.task import Task

SCOPE = "host"
COMMON = event_filter.COMMON
MOST = 10000
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    **event_filter.ARGUMENTS,
    "oldest": {"type": "int"},
    "newest": {"type": "int"},
}
CONSTRAINTS: Dict[str, Any] = {"mutually_exclusive": [("oldest", "newest")]}
_DEFAULT = 100


def run(task: Task) -> Dict[str, Any]:
    """Read the journal once, and return the events that are wanted, oldest first."""
    wanted = event_filter.wanted(task.params)
    count = _count(task.params)
    directory = event_filter.directory(task.params)
    reader = Reader(directory, event_filter.position(task.params, journal.oldest(directory)))
    matching = (event for event in reader.read() if wanted.fits_or_tells_of_loss(event))
    found, more = (_first if task.params.get("oldest") else _last)(matching, count)
    return {
        "changed": False,
        "events": found,
        "more": more,
        "position": reader.position,
        "collecting": journal.is_written(directory),
        "commands": [],
    }


def _count(params: Dict[str, Any]) -> int:
    """Return how many events are wanted at most.

    :raises InputError: when it is not 1 to 10000
    """
    name = "oldest" if params.get("oldest") is not None else "newest"
    count = params.get(name)
    if count is not None and not 1 <= count <= MOST:
        raise InputError(f"{name} must be 1 to {MOST}, and is {count}", **{name: count})
    return count or _DEFAULT


def _last(matching: Iterable[Event], count: int) -> Tuple[List[Event], bool]:
    """Return the last events, and whether there were more before them."""
    kept = deque(matching, count + 1)
    more = len(kept) > count
    if more:
        kept.popleft()
    return list(kept), more


def _first(matching: Iterable[Event], count: int) -> Tuple[List[Event], bool]:
    """Return the first events; the position stays behind the last of them, for the next task to go on."""
    kept: List[Event] = []
    for event in matching:
        kept.append(event)
        if len(kept) == count:
            return kept, True
    return kept, False
