# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Read the events that the collector wrote to its journal."""

from __future__ import annotations

from collections import deque
from typing import Any, Dict, Iterable, List, Tuple

from .._journal import event_filter, journal
from .._journal.event_line import Event
from .._journal.journal import Reader
from .._mconsole.errors import InputError
from .._task.task import Task

SCOPE = "host"
MAX_LIMIT = 10000
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    **event_filter.ARGUMENTS,
    "limit": {"type": "int", "default": 100},
    "order": {"type": "str", "choices": ["newest", "oldest"], "default": "newest"},
}
CONSTRAINTS: Dict[str, Any] = {}


def run(task: Task) -> Dict[str, Any]:
    """Read the journal once, and return the matching events in the order that the task asks for."""
    wanted, limit = event_filter.wanted(task.params), _limit(task.params["limit"])
    directory = event_filter.directory(task.params)
    reader = Reader(directory, event_filter.position(task.params, journal.oldest(directory)))
    matching = (event for event in reader.read() if wanted.fits_or_tells_of_loss(event))
    found, more = (_oldest if task.params["order"] == "oldest" else _newest)(matching, limit)
    return {
        "changed": False,
        "events": found,
        "more": more,
        "position": reader.position,
        "collecting": journal.is_written(directory),
    }


def _limit(limit: int) -> int:
    """Return how many events to return at most.

    :raises InputError: when it is not 1 to 10000
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"limit is {limit}; expected 1 to {MAX_LIMIT}", limit=limit)
    return limit


def _newest(matching: Iterable[Event], limit: int) -> Tuple[List[Event], bool]:
    """Return the last events, newest first, and whether there were more before them."""
    kept = deque(matching, limit + 1)
    more = len(kept) > limit
    if more:
        kept.popleft()
    return list(reversed(kept)), more


def _oldest(matching: Iterable[Event], limit: int) -> Tuple[List[Event], bool]:
    """Return the first events; the position stays behind the last of them, so that the next task can continue."""
    kept: List[Event] = []
    for event in matching:
        kept.append(event)
        if len(kept) == limit:
            return kept, True
    return kept, False
