# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Turns the datagrams of the notify sockets into events."""

from __future__ import annotations

import os
from typing import Optional

from .._mconsole import instances, procfs
from .._mconsole.errors import ProtocolError
from .._mconsole.instances import Place
from .._mconsole.notify import Datagram
from .._mconsole.wire import Notification, decode_text
from .notify_sockets import NotifySockets
from .recorder import Recorder, safe
from .tracked import TrackedInstance
from .tracker import Tracker

_KINDS = {"socket": "boot", "panic": "panic", "hang": "hang", "user": "message"}


class Notifications:
    """What the kernels sent: ``datagrams`` counts all, ``unknown`` those that are not a known instance's."""

    def __init__(self, sockets: NotifySockets, tracker: Tracker, recorder: Recorder) -> None:
        self.datagrams = 0
        self.unknown = 0
        self._sockets = sockets
        self._tracker = tracker
        self._recorder = recorder

    def read(self) -> None:
        """Record everything that has arrived."""
        for datagram in self._sockets.drain():
            self._on_datagram(datagram)

    def _on_datagram(self, datagram: Datagram) -> None:
        self.datagrams += 1
        tracked = self._tracker.main_process(datagram.pid)
        try:
            notification = Notification.from_bytes(datagram.data)
            kind = _KINDS.get(notification.type)
        except ProtocolError:
            kind = None
        if kind is None:
            self._record_unknown(datagram, tracked, f"a datagram of {len(datagram.data)} bytes, not a notification")
        else:
            self._record(kind, decode_text(notification.data).rstrip("\0\n"), datagram, tracked)

    def _record(self, kind: str, text: str, datagram: Datagram, tracked: Optional[TrackedInstance]) -> None:
        if kind == "boot":
            tracked = self._on_boot(datagram.pid, text, tracked)
        ended = self._tracker.ended.get(datagram.pid)
        if tracked is None and ended is None:
            text = f"a {kind} notification from a process that is not an instance: {text}"
            self._record_unknown(datagram, None, text)
            return
        if tracked is not None:
            tracked.seen[kind] = tracked.seen.get(kind, 0) + 1
            tracked.panicked = tracked.panicked or kind == "panic"
        self._recorder.add(kind, text, tracked, **(ended if tracked is None and ended else {}))

    def _record_unknown(self, datagram: Datagram, tracked: Optional[TrackedInstance], text: str) -> None:
        self.unknown += 1
        more = {} if tracked is not None else {"pid": datagram.pid or None}
        self._recorder.add("unknown", text, tracked, **more)

    def _on_boot(self, pid: int, text: str, tracked: Optional[TrackedInstance]) -> Optional[TrackedInstance]:
        """Return the instance that has just made its console, whose path its kernel sends."""
        path = os.path.join(procfs.link(f"/proc/{pid}/cwd") or "/", text.partition("\0")[0])
        place = Place(os.path.basename(os.path.dirname(path)), os.path.dirname(os.path.dirname(path)))
        if tracked is None:
            found = instances.find_instance(place)
            if found is not None and found.alive and found.pid == pid and self._tracker.is_covered(found):
                tracked = self._tracker.track(found, "it was started")
        if tracked is not None:
            tracked.has_booted()
        else:
            identity = {"umid": safe(place.umid), "uml_dir": safe(place.uml_dir), "pid": pid, "boot": 1}
            self._tracker.remember(pid, identity)
        return tracked
