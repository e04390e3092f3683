# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One instance as the collector sees it: who it is, which boot it is in, and what is read of it."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from .._mconsole import notify, procfs, socket_id, syscalls
from .._mconsole.console import Console
from .._mconsole.errors import InputError
from .._mconsole.instances import Instance
from .._mconsole.socket_id import SocketId
from .._metrics.guest import Sample
from .log_follower import LogFollower
from .rate_limit import RateLimit


class TrackedInstance:
    """A running instance.

    ``boot`` counts from 1 since the collector first saw it, 0 before its console is there; ``handle`` is a pidfd, or
    None; ``notify`` is the path its kernel sends to, ``log_uncovered`` says why its console log is not read; ``seen``
    counts its notifications by type, ``sample`` is what it last said of itself.
    """

    def __init__(self, instance: Instance, rate: float, handle: Optional[int], notify: Optional[str]) -> None:
        self.place = instance.place
        self.pid = instance.pid or 0
        self.uid = instance.uid
        self.start = instance.start
        self.handle = handle
        self.notify = notify
        self.follower: Optional[LogFollower] = None
        self.log_uncovered = ""
        self.paused = False
        self.panicked = False
        self.boot = 0
        self.seen: Dict[str, int] = {}
        self.sample: Optional[Sample] = None
        self._rate = rate
        self._allowances: Dict[str, RateLimit] = {}
        self._console = _console(instance)
        self._made: Optional[SocketId] = None

    @classmethod
    def of(cls, instance: Instance, rate: float) -> TrackedInstance:
        """Return a running instance with a pidfd, in the boot that it is in now."""
        pid = instance.pid or 0
        path = notify.path_of(instance.argv, procfs.link(f"/proc/{pid}/cwd") or "/")
        tracked = cls(instance, rate, syscalls.pidfd(pid), path)
        tracked.has_booted()
        return tracked

    def identity(self) -> Dict[str, Any]:
        """Return who it is, as an event says it."""
        return {"umid": self.place.umid, "uml_dir": self.place.uml_dir, "pid": self.pid, "boot": self.boot}

    def allow(self, about: str) -> bool:
        """Return whether one more event of a type or pattern may be written; types do not share a limit."""
        allowance = self._allowances.get(about)
        if allowance is None:
            allowance = self._allowances[about] = RateLimit(self._rate)
        return allowance.take()

    def pop_suppressed(self, is_over: bool = False) -> Dict[str, int]:
        """Return {type or pattern: how many were left out}, of those that may be written again, at the end of all."""
        found = {about: allowance.pop_suppressed(is_over) for about, allowance in self._allowances.items()}
        return {about: count for about, count in found.items() if count}

    def has_booted(self) -> bool:
        """Return whether it has made a new console after the last look, and count that: each boot makes one."""
        made = socket_id.socket_id(os.path.join(self.place.directory, "mconsole"))
        if made is None or made == self._made:
            return False
        self._made = made
        self.boot += 1
        return True

    @property
    def boot_time(self) -> Optional[float]:
        """Return when its kernel made its console, in seconds since 1970, or None before that."""
        return self._made[2] / 1e9 if self._made is not None else None

    def is_paused(self) -> Optional[bool]:
        """Return whether its console is stopped; None when that cannot be seen."""
        return self._console.paused() if self._console is not None else None

    def is_alive(self) -> bool:
        """Return whether its process still runs."""
        found = procfs.stat(self.pid)
        return found is not None and found.state not in "ZX" and found.start == self.start

    def exit_status(self) -> Optional[int]:
        """Return how it ended, where that can be had."""
        return syscalls.exit_status(self.handle, self.pid) if self.handle is not None else None

    def left_its_directory(self) -> bool:
        """Return whether its directory is still there and still its own: a kernel that ends properly removes it."""
        return procfs.read_pid(self.place.pid_file) == self.pid

    def close(self) -> None:
        """Let go of all that is open."""
        if self.handle is not None:
            os.close(self.handle)
        if self.follower is not None:
            self.follower.close()


def _console(instance: Instance) -> Optional[Console]:
    """Return its console, to look at and not to talk to; None where its path is too long."""
    try:
        return Console(instance.place.console, instance.place.umid, read_only=True)
    except InputError:
        return None
