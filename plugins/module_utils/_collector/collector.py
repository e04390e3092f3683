# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The collector: one loop that hears all notifications, follows all console logs, and sees instances come and go."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set

from .._mconsole import instances, notify, procfs
from .._mconsole.errors import Error, ProtocolError
from .._mconsole.instances import Instance, Place
from .._mconsole.notify import Datagram
from .._mconsole.wire import Notification, decode_text
from .log_follower import LogFollower
from .notify_sockets import NotifySockets
from .patterns import Watch
from .recorder import Recorder, safe
from .status_socket import StatusSocket
from .tracked import TrackedInstance

_LOOK = 0.2  # seconds between looks at console logs
_TICK = 1.0  # seconds between looks at the state of each instance
_SHARE = 0.02  # of one processor that looking for new instances may take
_LAST_WORDS = 64  # parts of a console log that are read when its instance has ended
_REMEMBERED = 256  # instances that are gone, of which something may still be on its way
_KINDS = {"socket": "boot", "panic": "panic", "hang": "hang", "user": "message"}


class Settings(NamedTuple):
    """What the collector is about: uml_dirs to look in (None: all), patterns, events a second of one instance."""

    uml_dirs: Optional[List[str]]
    watches: Sequence[Watch]
    rate: float


class Collector:
    """Everything that is watched, and the loop around it."""

    def __init__(self, settings: Settings, recorder: Recorder, alive: Callable[[], None] = lambda: None) -> None:
        self.selector = selectors.DefaultSelector()
        self.ending = False
        self.counters: Dict[str, int] = {"datagrams": 0, "odd": 0, "matches": 0}
        self._settings = settings
        self._recorder = recorder
        self._alive = alive
        self._door: Optional[StatusSocket] = None
        self._ears = NotifySockets(self.selector)
        self._watched: Dict[int, TrackedInstance] = {}
        self._followed: Dict[Any, str] = {}
        self._stale: Set[Place] = set()
        self._suspects: Set[Place] = set()
        self._gone: Dict[int, Dict[str, Any]] = {}
        self._due = {"look": 0.0, "tick": 0.0, "scan": 0.0}

    def attach(self, door: StatusSocket) -> None:
        """Answer at a door, while the loop runs."""
        self._door = door
        self.selector.register(door, selectors.EVENT_READ, door.answer)

    def run(self) -> None:
        """Collect until ``ending`` is set; ``alive`` is called each second."""
        self._cover_directories()
        self._scan()
        more = False
        while not self.ending:
            for key, _events in self.selector.select(0 if more else self._patience()):
                if callable(key.data):
                    key.data()
            more = self._turn()

    def close(self) -> None:
        """Take what is still there, and let go of all."""
        self._read_notifications()
        self._recorder.flush()
        self._ears.close()
        for watched in self._watched.values():
            watched.close()
        self.selector.close()

    def coverage(self) -> List[Dict[str, Any]]:
        """Return what is read of each instance, and why not where it is not."""
        return [self._row(each) for each in self._watched.values()]

    def _row(self, watched: TrackedInstance) -> Dict[str, Any]:
        reason = self._ears.reason(watched.notify) if watched.notify else "it was started without a notify socket"
        return {
            **watched.identity(),
            "paused": watched.paused,
            "notify": watched.notify,
            "notifications": not reason,
            "notifications_reason": reason,
            "console_log": watched.follower.path if watched.follower else None,
            "console_followed": watched.follower is not None,
            "console_reason": watched.log_uncovered,
        }

    # One turn.

    def _patience(self) -> float:
        return max(min(self._due.values()) - time.monotonic(), 0.0)

    def _turn(self) -> bool:
        """Do what is due; return whether there is more to do at once."""
        self._read_notifications()
        for watched in [each for each in self._watched.values() if each.handle is None and not each.is_alive()]:
            self._ended(watched)
        more = self._is_due("look", _LOOK) and self._follow_all()
        if more:
            self._due["look"] = 0.0
        if self._is_due("tick", _TICK):
            self._tick()
        if self._is_due("scan", _TICK):
            self._scan()
        self._recorder.flush()
        return more

    def _is_due(self, name: str, interval: float) -> bool:
        now = time.monotonic()
        if now < self._due[name]:
            return False
        self._due[name] = now + interval
        return True

    # Notifications.

    def _read_notifications(self) -> None:
        for datagram in self._ears.drain():
            self._on_datagram(datagram)

    def _on_datagram(self, datagram: Datagram) -> None:
        self.counters["datagrams"] += 1
        watched = self._sender(datagram.pid)
        try:
            notification = Notification.from_bytes(datagram.data)
            kind = _KINDS.get(notification.type)
        except ProtocolError:
            kind = None
        if kind is None:
            self._record_unknown(datagram, watched, f"a datagram of {len(datagram.data)} bytes that is no notification")
        else:
            self._record(kind, decode_text(notification.data).rstrip("\0\n"), datagram, watched)

    def _record(self, kind: str, text: str, datagram: Datagram, watched: Optional[TrackedInstance]) -> None:
        if kind == "boot":
            watched = self._on_boot(datagram.pid, text, watched)
        gone = self._gone.get(datagram.pid)
        if watched is None and gone is None:
            self._record_unknown(datagram, None, f"a {kind} notification from a process that is no instance: {text}")
            return
        if watched is not None and kind == "panic":
            watched.panicked = True
        self._recorder.add(kind, text, watched, **(gone if watched is None and gone else {}))

    def _record_unknown(self, datagram: Datagram, watched: Optional[TrackedInstance], text: str) -> None:
        self.counters["odd"] += 1
        more = {} if watched is not None else {"pid": datagram.pid or None}
        self._recorder.add("unknown", text, watched, **more)

    def _sender(self, pid: int) -> Optional[TrackedInstance]:
        """Return the instance that a process belongs to: its main process, or a helper in its session."""
        watched = self._watched.get(pid)
        if watched is not None or pid in self._gone:
            return watched
        main = self._main_of(pid)
        if main is None and self._due["scan"] - time.monotonic() < _TICK * 0.8:  # not for each of a thousand
            self._scan()
            main = self._main_of(pid)
        return self._watched[main] if main is not None else None

    def _main_of(self, pid: int) -> Optional[int]:
        found = procfs.stat(pid)
        leaders = (found.pid, found.session, found.group) if found is not None else ()
        return next((each for each in leaders if each in self._watched), None)

    def _on_boot(self, pid: int, text: str, watched: Optional[TrackedInstance]) -> Optional[TrackedInstance]:
        """Return the instance that has just made its console, by the path of it that its kernel tells."""
        path = os.path.join(procfs.link(f"/proc/{pid}/cwd") or "/", text.partition("\0")[0])
        where = Place(os.path.basename(os.path.dirname(path)), os.path.dirname(os.path.dirname(path)))
        if watched is None:
            found = instances.find_instance(where)
            if found is not None and found.alive and found.pid == pid and self._is_ours(found):
                watched = self._track(found, "it was started")
        if watched is not None:
            watched.has_booted()
        else:
            self._remember(pid, {"umid": safe(where.umid), "uml_dir": safe(where.uml_dir), "pid": pid, "boot": 1})
        return watched

    def _remember(self, pid: int, identity: Dict[str, Any]) -> None:
        self._gone.pop(pid, None)
        self._gone[pid] = identity
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    # Console logs.

    def _follow_all(self) -> bool:
        """Read a part of each log, and what is notified in between; return whether there is more to read at once."""
        more = False
        for watched in list(self._watched.values()):
            more = self._follow(watched) or more
            self._read_notifications()
        return more

    def _follow(self, watched: TrackedInstance) -> bool:
        follower = watched.follower
        if follower is None:
            return False
        before = follower.skipped, follower.cuts
        found, more = follower.read_new_lines(self._settings.watches)
        if follower.skipped != before[0]:
            skipped = follower.skipped - before[0]
            self._recorder.gap(
                f"{skipped} bytes of its console log came too fast and were not looked at", None, watched, bytes=skipped
            )
        if follower.cuts != before[1]:
            self._recorder.gap("its console log was cut, and is read from its new beginning", None, watched)
        if found and not watched.boot:  # its console may have come since the last tick
            self._note_boot(watched)
        for watch, line in found:
            self.counters["matches"] += 1
            self._recorder.add("log", line, watched, pattern=watch.name, severity=watch.severity)
        return more

    def _open_log(self, watched: TrackedInstance) -> None:
        follower = LogFollower.of(watched.pid)
        if follower is None:
            watched.log_uncovered = "its standard output is no file that can be read"
        elif follower.identity in self._followed:
            watched.log_uncovered = f"it shares its console log with {self._followed[follower.identity]}"
            follower.close()
        else:
            watched.follower = follower
            self._followed[follower.identity] = watched.place.umid

    # Instances.

    def _scan(self) -> None:
        """Look for instances that have appeared, and for what others have left."""
        began = time.monotonic()
        found = [each for each in instances.discover(self._settings.uml_dirs) if self._is_ours(each)]
        for each in found:
            old = self._watched.get(each.pid or 0) if each.alive else None
            if old is not None and old.start != each.start:
                self._ended(old)
                old = None
            if each.alive and old is None:
                self._track(each, "it was found running" if self._due["scan"] == 0.0 else "it was started")
        gone = (each for each in found if not each.alive and not procfs.is_hidden(each.pid))
        self._note_stale({each.place: each for each in gone})
        now = time.monotonic()
        self._due["scan"] = now + max(_TICK, (now - began) / _SHARE)

    def _is_ours(self, each: Instance) -> bool:
        return os.geteuid() in (0, each.uid)

    def _note_stale(self, left: Dict[Place, Instance]) -> None:
        """Tell of directories that nobody has any more, when they are seen twice: some are just being removed."""
        for where in left.keys() & self._suspects - self._stale:
            helpers = "; helpers of it still run" if left[where].members else ""
            identity = {"umid": safe(where.umid), "uml_dir": safe(where.uml_dir), "pid": left[where].pid}
            self._recorder.add("stale", f"its process is gone, and its directory is left{helpers}", None, **identity)
            self._stale.add(where)
        self._stale &= left.keys()
        self._suspects = set(left)

    def _track(self, instance: Instance, how: str) -> TrackedInstance:
        watched = TrackedInstance(instance, self._settings.rate)
        self._watched[watched.pid] = watched
        self._gone.pop(watched.pid, None)
        if watched.handle is not None:
            self.selector.register(watched.handle, selectors.EVENT_READ, lambda: self._ended(watched))
        self._open_log(watched)
        if watched.notify is not None:
            self._ears.cover(watched.notify, watched.uid)
        self._recorder.add("appeared", how, watched)
        watched.paused = bool(watched.is_paused())
        return watched

    def _ended(self, watched: TrackedInstance) -> None:
        """Tell how an instance ended, behind all that it said before."""
        self._read_notifications()
        if self._watched.get(watched.pid) is not watched:
            return
        for _part in range(_LAST_WORDS):
            if not self._follow(watched):
                break
        self._record_suppressed(watched, watched.pop_suppressed(is_over=True))
        status, left = watched.exit_status(), watched.left_its_directory()
        kind = "crashed" if left or watched.panicked or (status is not None and status < 0) else "exited"
        self._recorder.add(kind, _how(status, left), watched, **({} if status is None else {"status": status}))
        self._untrack(watched, left)

    def _untrack(self, watched: TrackedInstance, left: bool) -> None:
        del self._watched[watched.pid]
        self._remember(watched.pid, watched.identity())
        if watched.follower is not None:
            del self._followed[watched.follower.identity]
        if watched.handle is not None:
            self.selector.unregister(watched.handle)
        if left:
            self._stale.add(watched.place)
        watched.close()

    def _tick(self) -> None:
        """Look at what no notification tells."""
        for watched in self._watched.values():
            self._note_pause(watched)
            self._note_boot(watched)
            self._record_suppressed(watched, watched.pop_suppressed())
        self._alive()
        self._check_door()
        bound = self._ears.check(self._paths())
        if bound:
            self._recorder.gap(f"{bound} notify sockets were gone and are bound again")
        self._cover_directories()

    def _note_boot(self, watched: TrackedInstance) -> None:
        """Count a boot, and write it down where no notification tells of it."""
        if watched.has_booted() and (watched.notify is None or self._ears.reason(watched.notify)):
            self._recorder.add("boot", "its console was made anew", watched)

    def _check_door(self) -> None:
        if self._door is not None and not self._door.is_there():
            with contextlib.suppress(KeyError, ValueError):  # it may not have been there a second ago either
                self.selector.unregister(self._door)
            self._door.close()
            with contextlib.suppress(OSError, Error):
                self._door.open()
                self.selector.register(self._door, selectors.EVENT_READ, self._door.answer)

    def _note_pause(self, watched: TrackedInstance) -> None:
        paused = watched.is_paused()
        if paused is not None and paused != watched.paused:
            watched.paused = paused
            self._recorder.add("paused" if paused else "resumed", "its console tells", watched)

    def _record_suppressed(self, watched: TrackedInstance, left_out: Dict[str, int]) -> None:
        for about, count in left_out.items():
            text = f"{count} events of type or pattern {about} were too many at once, and were left out"
            self._recorder.gap(text, count, watched, of=about)

    def _cover_directories(self) -> None:
        """Listen in every directory that instances come up in, so that the first word of the next one is heard."""
        for uml_dir in self._directories():
            with contextlib.suppress(OSError):
                self._ears.cover(notify.default_path(uml_dir), os.stat(uml_dir).st_uid)

    def _directories(self) -> List[str]:
        return self._settings.uml_dirs or [instances.default_uml_dir()]

    def _paths(self) -> Set[str]:
        """Return the paths that are to be listened at."""
        used = {each.notify for each in self._watched.values() if each.notify is not None}
        return used | {notify.default_path(uml_dir) for uml_dir in self._directories()}


def _how(status: Optional[int], left: bool) -> str:
    """Return how a process ended, in words."""
    way = "it ended" if status is None else f"it ended by signal {-status}" if status < 0 else f"it ended with {status}"
    return f"{way}, and its directory is left" if left else way
