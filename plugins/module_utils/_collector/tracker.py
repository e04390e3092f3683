# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which instances there are: tracks them from their appearance to their end, and records both."""

from __future__ import annotations

import os
import selectors
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set

from .._mconsole import instances, procfs
from .._mconsole.instances import Instance, Place
from .log_reader import LogReader
from .notify_sockets import NotifySockets
from .patterns import Watch
from .recorder import Recorder, safe
from .tracked import TrackedInstance

TICK = 1.0  # seconds between looks at the state of each instance
_SHARE = 0.02  # of one processor that looking for new instances may take
_REMEMBERED = 256  # ended instances of which a notification may still be on its way


class Settings(NamedTuple):
    """What is collected: uml_dirs to look in (None: all), patterns, events a second of one instance."""

    uml_dirs: Optional[List[str]]
    watches: Sequence[Watch]
    rate: float


class Tracker:
    """The instances that run, by their main process, and those that have ended.

    ``before_end`` is called before the end of an instance is recorded, so that everything from before comes first.
    """

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        selector: selectors.BaseSelector,
        sockets: NotifySockets,
        logs: LogReader,
    ) -> None:
        self.instances: Dict[int, TrackedInstance] = {}
        self.ended: Dict[int, Dict[str, Any]] = {}  # main process -> what events say of the instance
        self.before_end: Callable[[], None] = lambda: None
        self.next_scan = 0.0
        self._settings = settings
        self._recorder = recorder
        self._selector = selector
        self._sockets = sockets
        self._logs = logs
        self._stale: Set[Place] = set()
        self._suspects: Set[Place] = set()

    @property
    def crashed(self) -> List[Place]:
        """Return the places of instances whose process is gone and whose directory is left."""
        return sorted(self._stale)

    def coverage(self) -> List[Dict[str, Any]]:
        """Return what is read of each instance, and why not where it is not."""
        return [self._coverage_of(tracked) for tracked in self.instances.values()]

    def _coverage_of(self, tracked: TrackedInstance) -> Dict[str, Any]:
        reason = self._reason(tracked)
        return {
            **tracked.identity(),
            "paused": tracked.paused,
            "notify": tracked.notify,
            "notifications": not reason,
            "notifications_reason": reason,
            "console_log": tracked.follower.path if tracked.follower else None,
            "console_followed": tracked.follower is not None,
            "console_reason": tracked.log_uncovered,
        }

    def _reason(self, tracked: TrackedInstance) -> str:
        """Return why the notifications of an instance are not read, or nothing when they are."""
        return self._sockets.reason(tracked.notify) if tracked.notify else "it was started without a notify socket"

    # Appearance.

    def scan(self) -> None:
        """Look for instances that have appeared, and for the directories that others have left."""
        began = time.monotonic()
        seen = [instance for instance in instances.discover(self._settings.uml_dirs) if self.is_covered(instance)]
        for instance in seen:
            if instance.alive and not self._is_tracked(instance):
                self.track(instance, "it was started" if self.next_scan else "it was found running")
        gone = [instance for instance in seen if not instance.alive and not procfs.is_hidden(instance.pid)]
        self._record_stale({instance.place: instance for instance in gone})
        now = time.monotonic()
        self.next_scan = now + max(TICK, (now - began) / _SHARE)

    def is_covered(self, instance: Instance) -> bool:
        """Return whether this user's collector covers an instance: root's covers all, others only their own."""
        return os.geteuid() in (0, instance.uid)

    def _is_tracked(self, instance: Instance) -> bool:
        """Return whether a running instance is known; end the tracked one of another process with the same number."""
        tracked = self.instances.get(instance.pid or 0)
        if tracked is not None and tracked.start != instance.start:
            self.end(tracked)
            return False
        return tracked is not None

    def track(self, instance: Instance, how: str) -> TrackedInstance:
        """Track an instance from now on, and record how it appeared."""
        tracked = TrackedInstance.of(instance, self._settings.rate)
        self.instances[tracked.pid] = tracked
        self.ended.pop(tracked.pid, None)
        if tracked.handle is not None:
            self._selector.register(tracked.handle, selectors.EVENT_READ, lambda: self.end(tracked))
        self._logs.open(tracked)
        if tracked.notify is not None:
            self._sockets.cover(tracked.notify, tracked.uid)
        self._recorder.add("appeared", how, tracked)
        tracked.paused = bool(tracked.is_paused())
        return tracked

    def main_process(self, pid: int) -> Optional[TrackedInstance]:
        """Return the instance that a process belongs to: as its main process, or as a helper in its session."""
        tracked = self.instances.get(pid)
        if tracked is not None or pid in self.ended:
            return tracked
        tracked = self._leader(pid)
        if tracked is None and self.next_scan - time.monotonic() < TICK * 0.8:  # not for each of a thousand
            self.scan()
            tracked = self._leader(pid)
        return tracked

    def _leader(self, pid: int) -> Optional[TrackedInstance]:
        found = procfs.stat(pid)
        leaders = (found.pid, found.session, found.group) if found is not None else ()
        return next((self.instances[leader] for leader in leaders if leader in self.instances), None)

    # Changes while it runs.

    def check(self) -> None:
        """Record what no notification reports: pauses, boots, and events that were suppressed."""
        for tracked in self.instances.values():
            self._record_pause(tracked)
            self.record_boot(tracked)
            self._record_suppressed(tracked, tracked.pop_suppressed())

    def record_boot(self, tracked: TrackedInstance) -> None:
        """Count a boot, and record it where no notification reports it."""
        if tracked.has_booted() and self._reason(tracked):
            self._recorder.add("boot", "it made a new console", tracked)

    def _record_pause(self, tracked: TrackedInstance) -> None:
        paused = tracked.is_paused()
        if paused is not None and paused != tracked.paused:
            tracked.paused = paused
            self._recorder.add("paused" if paused else "resumed", "its console shows it", tracked)

    def _record_suppressed(self, tracked: TrackedInstance, suppressed: Dict[str, int]) -> None:
        for about, count in suppressed.items():
            text = f"{count} events of type or pattern {about} were too many at once, and were left out"
            self._recorder.gap(text, count, tracked, of=about)

    # End.

    def end_unwatched(self) -> None:
        """End the instances that have ended and whose end no descriptor shows (before Linux 5.3)."""
        for tracked in list(self.instances.values()):
            if tracked.handle is None and not tracked.is_alive():
                self.end(tracked)

    def end(self, tracked: TrackedInstance) -> None:
        """Record how an instance ended, after everything from before, and track it no longer."""
        self.before_end()
        if self.instances.get(tracked.pid) is not tracked:
            return
        self._logs.read_rest(tracked)
        self._record_suppressed(tracked, tracked.pop_suppressed(is_over=True))
        status, left = tracked.exit_status(), tracked.left_its_directory()
        kind = "crashed" if left or tracked.panicked or (status is not None and status < 0) else "exited"
        self._recorder.add(kind, _ending(status, left), tracked, **({} if status is None else {"status": status}))
        self._untrack(tracked, left)

    def _untrack(self, tracked: TrackedInstance, left: bool) -> None:
        del self.instances[tracked.pid]
        self.remember(tracked.pid, tracked.identity())
        self._logs.forget(tracked)
        if tracked.handle is not None:
            self._selector.unregister(tracked.handle)
        if left:
            self._stale.add(tracked.place)
        tracked.close()

    def remember(self, pid: int, identity: Dict[str, Any]) -> None:
        """Keep the identity of an ended instance, for notifications that are still on their way."""
        self.ended.pop(pid, None)
        self.ended[pid] = identity
        if len(self.ended) > _REMEMBERED:
            del self.ended[next(iter(self.ended))]

    def _record_stale(self, left: Dict[Place, Instance]) -> None:
        """Record directories without a process when they are seen twice: some are just being removed."""
        for place in left.keys() & self._suspects - self._stale:
            helpers = "; helpers of it still run" if left[place].members else ""
            identity = {"umid": safe(place.umid), "uml_dir": safe(place.uml_dir), "pid": left[place].pid}
            self._recorder.add("stale", f"its process is gone, and its directory is left{helpers}", None, **identity)
            self._stale.add(place)
        self._stale &= left.keys()
        self._suspects = set(left)

    def close(self) -> None:
        """Close the descriptors of all instances."""
        for tracked in self.instances.values():
            tracked.close()


def _ending(status: Optional[int], left: bool) -> str:
    """Return how a process ended, in words."""
    way = "it ended" if status is None else f"it ended by signal {-status}" if status < 0 else f"it ended with {status}"
    return f"{way}, and its directory is left" if left else way
