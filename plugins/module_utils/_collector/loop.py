# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The collector's loop: waits for notifications, and reads logs and the state of instances when their time comes."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import Any, Callable, Dict, List, Set, Union

from .._mconsole import instances, notify
from .._mconsole.errors import Error
from .._mconsole.instances import Place
from .log_reader import LogReader
from .metrics_socket import MetricsSocket
from .notifications import Notifications
from .notify_sockets import NotifySockets
from .recorder import Recorder
from .status_socket import StatusSocket
from .tracked import TrackedInstance
from .tracker import TICK, Settings, Tracker
from .trail_socket import TrailSocket

Door = Union[StatusSocket, TrailSocket, MetricsSocket]
_READ_LOGS = 0.2  # seconds between looks at console logs


class Timer:
    """A time that comes every ``interval`` seconds."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.due = 0.0

    def has_come(self) -> bool:
        """Return whether the time has come, and set the next one."""
        now = time.monotonic()
        if now < self.due:
            return False
        self.due = now + self._interval
        return True


class Loop:
    """All that a collector reads, until ``ending`` is set; ``alive`` is called each second."""

    def __init__(self, settings: Settings, recorder: Recorder, alive: Callable[[], None] = lambda: None) -> None:
        self.selector = selectors.DefaultSelector()
        self.ending = False
        self._settings = settings
        self._recorder = recorder
        self.on_tick: List[Callable[[], None]] = [alive]
        self._doors: List[Door] = []
        self._sockets = NotifySockets(self.selector)
        self._logs = LogReader(settings.watches, recorder)
        self._tracker = Tracker(settings, recorder, self.selector, self._sockets, self._logs)
        self._notifications = Notifications(self._sockets, self._tracker, recorder)
        self._tracker.before_end = self._notifications.read
        self._logs.before_lines = self._count_first_boot
        self._log_timer, self._tick_timer = Timer(_READ_LOGS), Timer(TICK)

    @property
    def counters(self) -> Dict[str, int]:
        """Return how many datagrams and matching lines were read, and how many datagrams were not known."""
        notifications = self._notifications
        return {"datagrams": notifications.datagrams, "odd": notifications.unknown, "matches": self._logs.matches}

    def instances(self) -> List[TrackedInstance]:
        """Return the instances that run."""
        return list(self._tracker.instances.values())

    def crashed(self) -> List[Place]:
        """Return the places of instances that crashed, until these are started again or removed."""
        return self._tracker.crashed

    def coverage(self) -> List[Dict[str, Any]]:
        """Return what is read of each instance, and why not where it is not."""
        return self._tracker.coverage()

    def attach(self, door: Door) -> None:
        """Answer at a socket while the loop runs."""
        self._doors.append(door)
        self.selector.register(door, selectors.EVENT_READ, door.answer)

    def run(self) -> None:
        """Collect until ``ending`` is set."""
        self._cover_directories()
        self._tracker.scan()
        more = False
        while not self.ending:
            for key, _events in self.selector.select(0 if more else self._until_next()):
                if callable(key.data):
                    key.data()
            more = self._turn()

    def close(self) -> None:
        """Record what is still there, and close everything."""
        self._notifications.read()
        for door in self._doors:
            if isinstance(door, TrailSocket):
                door.close()  # what operations have sent is written before the end
        self._recorder.flush()
        self._sockets.close()
        self._tracker.close()
        self.selector.close()

    def _until_next(self) -> float:
        next_time = min(self._log_timer.due, self._tick_timer.due, self._tracker.next_scan)
        return max(next_time - time.monotonic(), 0.0)

    def _turn(self) -> bool:
        """Do what is due; return whether there is more to read at once."""
        self._notifications.read()
        self._tracker.end_unwatched()
        more = self._log_timer.has_come() and self._read_logs()
        if more:
            self._log_timer.due = 0.0
        if self._tick_timer.has_come():
            self._tick()
        if time.monotonic() >= self._tracker.next_scan:
            self._tracker.scan()
        self._recorder.flush()
        return more

    def _read_logs(self) -> bool:
        """Read a part of each log, and the notifications in between; return whether there is more to read at once."""
        more = False
        for tracked in list(self._tracker.instances.values()):
            more = self._logs.read(tracked) or more
            self._notifications.read()
        return more

    def _count_first_boot(self, tracked: TrackedInstance) -> None:
        """Count the first boot of an instance, whose console may have come after the last tick."""
        if not tracked.boot:
            self._tracker.record_boot(tracked)

    def _tick(self) -> None:
        self._tracker.check()
        for call in self.on_tick:
            call()
        for door in self._doors:
            self._check_door(door)
        bound = self._sockets.check(self._notify_paths())
        if bound:
            self._recorder.gap(f"{bound} notify sockets were gone and are bound again")
        self._cover_directories()

    def _check_door(self, door: Door) -> None:
        """Make a socket again if its file is gone."""
        if not door.is_there():
            with contextlib.suppress(KeyError, ValueError):  # it may not have been there a second ago either
                self.selector.unregister(door)
            door.close()
            with contextlib.suppress(OSError, Error):
                door.open()
                self.selector.register(door, selectors.EVENT_READ, door.answer)

    def _cover_directories(self) -> None:
        """Listen in every directory that instances come up in, so that the first notification of each is read."""
        for uml_dir in self._directories():
            with contextlib.suppress(OSError):
                self._sockets.cover(notify.default_path(uml_dir), os.stat(uml_dir).st_uid)

    def _directories(self) -> List[str]:
        return self._settings.uml_dirs or [instances.default_uml_dir()]

    def _notify_paths(self) -> Set[str]:
        """Return the paths to listen at."""
        used = {tracked.notify for tracked in self._tracker.instances.values() if tracked.notify is not None}
        return used | {notify.default_path(uml_dir) for uml_dir in self._directories()}
