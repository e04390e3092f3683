# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Asks the instances for their numbers, beside the loop: one that hangs holds up neither events nor others."""

from __future__ import annotations

import threading
import time
from typing import Callable, Dict, List, NamedTuple

from .._mconsole import parallel
from .._mconsole.console import Console
from .._mconsole.errors import InputError
from .._mconsole.reply_sockets import ReplySockets
from .._metrics.guest import sample
from .tracked import TrackedInstance

INTERVAL = 15.0  # seconds, as often as Prometheus usually looks
_TIMEOUT = 3.0  # seconds that a console may take to answer
_LONGEST = 600.0  # seconds between questions to one that does not answer: each is kept in its queue


class _Asked(NamedTuple):
    """An instance's console, in which boot it was asked, how often without an answer, and when it is asked again."""

    console: Console
    boot: int = 0
    unanswered: int = 0
    due: float = 0.0


class Sampler:
    """One round of questions at a time, each in a separate thread; ``seconds`` is the duration of the last one."""

    def __init__(self, instances: Callable[[], List[TrackedInstance]]) -> None:
        self.seconds = 0.0
        self._instances = instances
        self._sockets = ReplySockets(roomy=False)  # the answers are short, so no child process is needed
        self._asked: Dict[int, _Asked] = {}
        self._round = threading.Thread(target=lambda: None)
        self._due = 0.0
        self._is_closing = False

    def tick(self) -> None:
        """Begin a round when its time has come and the last one has ended."""
        if time.monotonic() >= self._due and not self._round.is_alive():
            self._due = time.monotonic() + INTERVAL
            wanted = self._instances()
            self._round = threading.Thread(target=self._ask_all, args=(wanted,), name="sample", daemon=True)
            self._round.start()

    def close(self) -> None:
        """End the round: questions that were sent are waited for."""
        self._is_closing = True
        if self._round.ident is not None:
            self._round.join()
        self._sockets.close()

    def _ask_all(self, wanted: List[TrackedInstance]) -> None:
        began = time.monotonic()
        running = {tracked.pid for tracked in wanted}
        self._asked = {pid: asked for pid, asked in self._asked.items() if pid in running}
        parallel.map_in_parallel(self._ask, [tracked for tracked in wanted if self._is_due(tracked)])
        self.seconds = time.monotonic() - began

    def _is_due(self, tracked: TrackedInstance) -> bool:
        asked = self._asked.get(tracked.pid)
        return tracked.boot > 0 and (asked is None or asked.boot != tracked.boot or time.monotonic() >= asked.due)

    def _ask(self, tracked: TrackedInstance) -> None:
        """Ask one instance, and leave the answer with it."""
        if self._is_closing:
            return
        asked = self._asked.get(tracked.pid)
        try:
            console = asked.console if asked is not None else self._console(tracked)
            tracked.sample = sample(console)
        except (InputError, OSError, ValueError):
            tracked.sample = None
            return
        is_silent = tracked.sample is not None and tracked.sample.latency is None
        before = asked.unanswered if asked is not None and asked.boot == tracked.boot else 0
        count = min(before + 1, 16) if is_silent else 0
        wait = min(INTERVAL * 2**count, _LONGEST) if count else 0.0
        self._asked[tracked.pid] = _Asked(console, tracked.boot, count, time.monotonic() + wait)

    def _console(self, tracked: TrackedInstance) -> Console:
        return Console(tracked.place.console, tracked.place.umid, _TIMEOUT, self._sockets, read_only=True)
