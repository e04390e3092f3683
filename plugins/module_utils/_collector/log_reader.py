# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reads the console logs of all instances, and records the lines that match a pattern."""

from __future__ import annotations

from typing import Callable, Dict, Sequence, Tuple

from .log_follower import LogFollower
from .patterns import Watch
from .recorder import Recorder
from .tracked import TrackedInstance

_LAST_PARTS = 64  # parts of a console log that are read when its instance has ended


class LogReader:
    """The console logs that are followed; ``before_lines`` is called before the lines of an instance are recorded."""

    def __init__(self, watches: Sequence[Watch], recorder: Recorder) -> None:
        self.matches = 0
        self.before_lines: Callable[[TrackedInstance], None] = lambda tracked: None
        self._watches = watches
        self._recorder = recorder
        self._owners: Dict[Tuple[int, int], str] = {}  # file of a log -> umid of the instance that it is read for

    def open(self, tracked: TrackedInstance) -> None:
        """Follow the log of an instance from now on, or note why that is not possible."""
        follower = LogFollower.of(tracked.pid)
        if follower is None:
            tracked.log_uncovered = "its standard output is not a file that can be read"
        elif follower.identity in self._owners:
            tracked.log_uncovered = f"it shares its console log with {self._owners[follower.identity]}"
            follower.close()
        else:
            tracked.follower = follower
            self._owners[follower.identity] = tracked.place.umid

    def forget(self, tracked: TrackedInstance) -> None:
        """Stop following the log of an instance."""
        if tracked.follower is not None:
            del self._owners[tracked.follower.identity]

    def read(self, tracked: TrackedInstance) -> bool:
        """Read a part of the log of an instance; return whether there is more to read at once."""
        follower = tracked.follower
        if follower is None:
            return False
        before = follower.skipped, follower.cuts
        lines, more = follower.read_new_lines(self._watches)
        self._record_gaps(tracked, follower.skipped - before[0], follower.cuts != before[1])
        if lines:
            self.before_lines(tracked)
        for watch, line in lines:
            self.matches += 1
            self._recorder.add("log", line, tracked, pattern=watch.name, severity=watch.severity)
        return more

    def read_rest(self, tracked: TrackedInstance) -> None:
        """Read the end of the log of an instance that has ended."""
        for _part in range(_LAST_PARTS):
            if not self.read(tracked):
                return

    def _record_gaps(self, tracked: TrackedInstance, skipped: int, is_cut: bool) -> None:
        if skipped:
            text = f"{skipped} bytes of its console log came too fast and were not looked at"
            self._recorder.gap(text, None, tracked, bytes=skipped)
        if is_cut:
            self._recorder.gap("its console log was cut, and is read from its new beginning", None, tracked)
