# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The events that a reader wants: one filter for all readers of the journal."""

from __future__ import annotations

import datetime
import fnmatch
import re
from typing import Any, Dict, List, NamedTuple, Optional, Pattern, Tuple

from .._mconsole import instances, names
from .._mconsole.errors import InputError
from . import journal
from .event_line import Event

SEVERITIES = ("debug", "info", "warning", "error", "critical")
TYPES = (
    "appeared",
    "boot",
    "collector_started",
    "collector_stopped",
    "crashed",
    "exited",
    "gap",
    "hang",
    "log",
    "message",
    "operation",
    "panic",
    "paused",
    "resumed",
    "stale",
    "unknown",
)
OPERATIONS = ("operation",)  # what tasks do, for which those who wait for instances do not wait
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "types": {"type": "list", "elements": "str", "choices": list(TYPES)},
    "severity": {"type": "str", "choices": list(SEVERITIES), "default": "debug"},
    "search": {"type": "str"},
    "since": {"type": "str"},
    "after": {"type": "int"},
    "journal_dir": {"type": "str"},
}


class Filter(NamedTuple):
    """What an event must be: every part that is given must fit. ``since`` is in seconds since 1970."""

    umids: Optional[List[str]]
    uml_dir: Optional[str]
    types: Optional[List[str]]
    severity: int
    search: Optional[Pattern[str]]
    since: float
    without: Tuple[str, ...] = ()  # types that must be named to be wanted

    def fits(self, event: Event) -> bool:
        """Return whether an event is wanted."""
        severity = event.get("severity")
        return (
            (event.get("type") not in self.without if self.types is None else event.get("type") in self.types)
            and (severity not in SEVERITIES or SEVERITIES.index(severity) >= self.severity)
            and float(event.get("time") or 0.0) >= self.since
            and self._is_of_one(event)
            and (self.search is None or self.search.search(str(event.get("data"))) is not None)
        )

    def fits_or_tells_of_loss(self, event: Event) -> bool:
        """Return whether an event is wanted, or says that such a one may be missing."""
        is_loss = event.get("type") == "gap" and event.get("umid") is None and self.types is None
        return self.fits(event) or (is_loss and float(event.get("time") or 0.0) >= self.since)

    def _is_of_one(self, event: Event) -> bool:
        umid = event.get("umid")
        named = self.umids is None or any(fnmatch.fnmatchcase(str(umid), glob) for glob in self.umids)
        there = self.uml_dir is None or event.get("uml_dir") == self.uml_dir
        return named and there and (umid is not None or (self.umids is None and self.uml_dir is None))


def wanted(params: Dict[str, Any], without: Tuple[str, ...] = ()) -> Filter:
    """Return the filter that a task's parameters describe; types in ``without`` must be named to be wanted.

    :raises InputError: when a pattern or a time cannot be read
    """
    umids = [params["umid"]] if params.get("umid") else params.get("umids")
    uml_dir = instances.absolute(params["uml_dir"]) if params.get("uml_dir") else None
    level = SEVERITIES.index(params.get("severity") or "debug")
    search, since = pattern(params.get("search")), seconds(params.get("since"))
    return Filter(umids, uml_dir, params.get("types"), level, search, since, without)


def directory(params: Dict[str, Any]) -> str:
    """Return where the journal is that a task reads."""
    return (
        names.host_path(params["journal_dir"], "journal_dir")
        if params.get("journal_dir")
        else journal.default_directory()
    )


def position(params: Dict[str, Any], default: int) -> int:
    """Return the position that a task reads from.

    :raises InputError: when it is not a position
    """
    after = params.get("after")
    if after is not None and after < 0:
        raise InputError(f"after must be a position, 0 or more, and is {after}", after=after)
    return default if after is None else int(after)


def pattern(text: Optional[str]) -> Optional[Pattern[str]]:
    """Return the compiled expression of ``search``, or None without one.

    :raises InputError: when it is not a regular expression
    """
    try:
        return re.compile(text) if text else None
    except re.error as err:
        raise InputError(f"search is not a regular expression: {text!r} ({err})", search=text) from err


def seconds(text: Optional[str]) -> float:
    """Return a time as seconds since 1970: a number of them, or ISO 8601 (without a zone: UTC); 0 without a time.

    :raises InputError: when it is neither
    """
    if not text:
        return 0.0
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.datetime.fromisoformat(re.sub(r"Z$", "+00:00", text.strip()))
    except ValueError:
        raise InputError(
            f"since is neither seconds since 1970 nor a time such as 2026-01-31T12:00:00Z: {text!r}", since=text
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)).timestamp()
