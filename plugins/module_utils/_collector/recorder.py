# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the collector writes: events that are safe to show, and every loss accounted for."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from .._guest import console_log
from .._mconsole.errors import Error
from .tracked import TrackedInstance

SEVERITY = {
    "boot": "info",
    "panic": "critical",
    "hang": "error",
    "message": "info",
    "appeared": "info",
    "exited": "info",
    "crashed": "critical",
    "stale": "warning",
    "paused": "info",
    "resumed": "info",
    "collector_started": "info",
    "collector_stopped": "info",
    "operation": "info",
    "gap": "warning",
    "unknown": "warning",
}
_BOUND = 8 << 10  # bytes of what a guest says
LIMITED = ("message", "log", "unknown")  # of these a guest can make as many as it likes
_KEPT = 1000  # events that wait for a disk that is full
_RETRY = 0.5  # seconds between tries to write to a disk that was full
_NOBODY: Dict[str, Any] = {"umid": None, "uml_dir": None, "pid": None, "boot": None}
Event = Dict[str, Any]


class Recorder:
    """Takes events as they come and writes them together; counts those that cannot be written, and reports them later.

    ``append`` takes one event, and raises OSError or Error when it cannot.
    """

    def __init__(self, append: Callable[[Event], object], host: str) -> None:
        self._append = append
        self._host = host
        self._waiting: List[Event] = []
        self._retry_at = 0.0
        self._lost = 0
        self._why = ""
        self.kinds: Dict[Tuple[str, str], int] = {}  # (type, severity) -> events
        self.counters = {"written": 0, "lost": 0, "limited": 0}

    def add(self, kind: str, data: str, watched: Optional[TrackedInstance] = None, **more: Any) -> None:
        """Take an event; of an instance that says too much it is only counted."""
        about = str(more.get("pattern", kind))  # one that is seen too often does not hide another
        if watched is not None and kind in LIMITED and not watched.allow(about):
            self.counters["limited"] += 1
            return
        event = self._event(kind, data, watched, more)
        seen = kind, str(event["severity"])
        self.kinds[seen] = self.kinds.get(seen, 0) + 1
        self._waiting.append(event)
        if self._retry_at and len(self._waiting) > _KEPT:
            self._drop(1)

    def gap(
        self, data: str, lost: Optional[int] = None, watched: Optional[TrackedInstance] = None, **more: Any
    ) -> None:
        """Take an account of something that is not in the journal."""
        self.add("gap", data, watched, **({} if lost is None else {"lost": lost}), **more)

    def flush(self) -> None:
        """Write what has come, behind an account of what had to be given up before."""
        if not (self._waiting or self._lost) or time.monotonic() < self._retry_at:
            return
        done = 0
        try:
            self._record_losses()
            for event in self._waiting:
                self._append(event)
                done += 1
            self._retry_at = 0.0
        except (OSError, Error) as err:
            self._why = getattr(err, "strerror", None) or str(err)
            self._retry_at = time.monotonic() + _RETRY
        self.counters["written"] += done
        del self._waiting[:done]
        self._drop(len(self._waiting) - _KEPT)

    def _record_losses(self) -> None:
        if self._lost:
            text = f"{self._lost} events could not be written: {self._why}"
            self._append(self._event("gap", text, None, {"lost": self._lost}))
            self._lost = 0

    def _event(self, kind: str, data: str, watched: Optional[TrackedInstance], more: Dict[str, Any]) -> Event:
        return {
            "time": time.time(),
            "host": self._host,
            **(watched.identity() if watched is not None else _NOBODY),
            "type": kind,
            "severity": SEVERITY.get(kind, "info"),
            "data": safe(data),
            **more,
        }

    def _drop(self, count: int) -> None:
        """Give up the oldest of what waits."""
        if count > 0:
            del self._waiting[:count]
            self._lost += count
            self.counters["lost"] += count


def safe(text: str) -> str:
    """Return what a guest said as valid text without escapes and control characters, and not too long."""
    if not (text.isascii() and text.isprintable()):
        text = console_log.harmless(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    if len(text) <= _BOUND // 4:
        return text
    return text.encode("utf-8")[:_BOUND].decode("utf-8", "ignore")
