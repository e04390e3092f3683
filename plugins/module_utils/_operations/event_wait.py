# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Wait until something happens."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Deque, Dict, Optional

from .._journal import event_filter, journal
from .._journal.event_line import Event
from .._journal.journal import Reader
from .._mconsole.errors import UnansweredError
from .._mconsole.parsing import check_seconds
from .._task.task import Task

SCOPE = "host"
ARGUMENTS: Dict[str, Dict[str, Any]] = {**event_filter.ARGUMENTS, "wait_timeout": {"type": "float", "default": 300.0}}
CONSTRAINTS: Dict[str, Any] = {}
_TOLD = 3  # of the events that were not it


def run(task: Task) -> Dict[str, Any]:
    """Return the first event that is wanted; in check mode only one that is already there.

    :raises UnansweredError: when no such event has come by the deadline
    """
    wanted = event_filter.wanted(task.params, event_filter.OPERATIONS)
    directory = event_filter.directory(task.params)
    timeout = _timeout(task)
    reader = Reader(directory, _start(task.params, directory))
    began = time.monotonic()
    others: Deque[Event] = deque(maxlen=_TOLD)
    event = _await(reader, wanted, began + timeout, others)
    if event is None and not task.check:
        raise _late(task.params, others, reader, journal.is_written(directory))
    return {
        "changed": False,
        "event": event,
        "position": reader.position,
        "elapsed": round(time.monotonic() - began, 3),
    }


def _timeout(task: Task) -> float:
    timeout = check_seconds("wait_timeout", float(task.params["wait_timeout"]), zero=True)
    return 0.0 if task.check else timeout


def _start(params: Dict[str, Any], directory: str) -> int:
    """Return the position to wait from: a given one, the oldest event for a time in the past, else now."""
    return event_filter.position(params, (journal.oldest if params.get("since") else journal.last)(directory))


def _await(reader: Reader, wanted: event_filter.Filter, deadline: float, others: Deque[Event]) -> Optional[Event]:
    for event in reader.follow(deadline):
        if event is not None and wanted.fits(event):
            return event
        if event is not None:
            others.append(event)
    return None


def _late(params: Dict[str, Any], others: Deque[Event], reader: Reader, collecting: bool) -> UnansweredError:
    """Return the error that names the awaited event and the events that came instead."""
    seen = "; ".join(f"{event['type']} of {event['umid'] or 'the host'}: {str(event['data'])[:80]}" for event in others)
    silence = (
        "no other event came either"
        if collecting
        else "no collector writes the journal; start it with the module collector"
    )
    return UnansweredError(
        f"{_awaited(params)} within {params['wait_timeout']:g} s; "
        + (f"the last that came: {seen}" if seen else silence),
        position=reader.position,
        collecting=collecting,
        seen=list(others),
    )


def _awaited(params: Dict[str, Any]) -> str:
    """Return which event did not come, in words."""
    umids = [params["umid"]] if params.get("umid") else params.get("umids")
    least = params["severity"]
    words = (
        "no event",
        f"of type {' or '.join(params['types'])}" if params.get("types") else "",
        f"of {' or '.join(umids)}" if umids else "",
        f"in {params['uml_dir']}" if params.get("uml_dir") else "",
        f"of severity {least} or above" if least != event_filter.SEVERITIES[0] else "",
        f"that matches {params['search']!r}" if params.get("search") else "",
        f"since {params['since']}" if params.get("since") else "",
    )
    return " ".join(filter(None, words))
