# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Stop a running instance by ever rougher ways, each with its own time and each proven by the end of its process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from .._guest import parsers
from .._guest.disk_sync import DiskSync
from .._mconsole import commands, instances, procfs
from .._mconsole.console import Console
from .._mconsole.errors import Error, NotAllowedError, UnansweredError, UnverifiedError
from .._mconsole.instances import Instance
from .._mconsole.socket_id import SocketId, socket_id
from . import disk_order

_POLL = 0.01
_END = 5.0  # seconds for a kernel to end after halt or a signal; measured: 5 to 60 ms, more under load
_FLUSH = 10.0  # seconds for the guest to write out what it has
_BEFORE = 3.0  # seconds for that before the guest is asked to shut down, which it may take for a power cut
_LOOK = 0.5  # seconds for an answer while the guest shuts down: its kernel can end before it answers
METHODS = ("shutdown", "halt", "terminate", "kill")
SYNC = ("sysrq s", "sysrq u")


class Stop(NamedTuple):
    """How an instance was stopped: the way that did it, and whether its disks were seen to be written out before."""

    by: str
    synced: bool


class Shutdown:
    """The ways down for one instance, in order; ``patience`` seconds for the guest's own shutdown.

    ``state`` is its run state (:func:`states.probe`): what is known not to answer is not asked again.
    """

    def __init__(self, instance: Instance, state: str, console: Console, ways: Sequence[str], patience: float) -> None:
        self._instance = instance
        self._pid = instance.pid or 0
        self._console = console
        self._ways = [way for way in METHODS if way in ways]
        self._patience = patience
        self._sync = DiskSync(console)
        self._synced = False
        self._flushed = False
        stopped = instance.process_state in "Tt"
        self._deaf = state in ("frozen", "booting", "unknown")  # no command helps
        self._busy = self._deaf or (state == "hung" and not stopped)  # none that the console's worker carries out

    def run(self) -> Stop:
        """Stop the instance and return how.

        :raises UnverifiedError: when it still runs after all ways
        :raises NotAllowedError: when this user may not end its processes
        """
        self._wake()
        steps: Dict[str, Callable[[], bool]] = {
            "shutdown": self._shutdown,
            "halt": self._halt,
            "terminate": self._terminate,
            "kill": self._kill,
        }
        for way in self._ways:
            if self._ended() or steps[way]():
                return Stop(way, self._synced)
        raise UnverifiedError(
            f"{self._instance.place.umid} still runs as process {self._pid}, stopped neither by"
            f" {' nor by '.join(self._ways)}",
            umid=self._instance.place.umid,
            pid=self._pid,
        )

    def _wake(self) -> None:
        """Resume what is stopped: a halt of a paused kernel of the 6.x series crashes it."""
        if self._instance.process_state in "Tt":
            self._signal(signal.SIGCONT)
        if self._console.paused():
            self._said("go")

    def _said(self, text: str) -> bool:
        """Send a command and return whether the kernel said OK; after any other reply the next method follows."""
        interrupt = commands.parse(text).word.context == commands.INTERRUPT
        if self._deaf or (self._busy and not interrupt):
            return False
        try:
            return self._console.request(text).ok
        except UnansweredError:
            self._busy, self._deaf = True, self._deaf or interrupt
        except Error:
            pass
        return False

    def _shutdown(self) -> bool:
        """Let the guest's init shut down; many take ctrl-alt-del for a reboot, and are halted when they come up again.

        A kernel that handles ctrl-alt-del itself (1, the default) would restart at once, with nothing written out.
        """
        if self._busy or not guest_handles_cad(self._console):
            return False
        before = socket_id(self._console.path)
        files = disk_order.written_files(self._pid)
        self._write_out()
        if not self._said("cad"):
            return False
        with self._short_answers():
            self._wait(self._patience, lambda: self._has_restarted(before) or self._watch(before))
        if self._ended():
            panicked = os.path.lexists(self._instance.place.directory)
            self._synced &= not panicked and disk_order.all_in_order(files)
            return True
        return self._has_restarted(before) and self._said("halt") and self._wait(_END)

    def _has_restarted(self, before: Optional[SocketId]) -> bool:
        return socket_id(self._console.path) not in (before, None)

    def _write_out(self) -> None:
        """Have the guest write out its disks, and wait a moment until that is seen."""
        deadline = time.monotonic() + _BEFORE
        with contextlib.suppress(Error):
            self._synced = self._sync.request() and self._sync.is_settled()
            while not self._synced and time.monotonic() < deadline:
                time.sleep(_POLL)
                self._synced = self._sync.is_settled()

    def _watch(self, before: Optional[SocketId]) -> bool:
        """Look whether all is written out still: the guest writes while it shuts down, and need not sync then."""
        with contextlib.suppress(Error):
            is_still_done = self._sync.is_still_done()
            if socket_id(self._console.path) == before:
                self._synced = is_still_done
        return False

    @contextlib.contextmanager
    def _short_answers(self) -> Iterator[None]:
        timeout, self._console.timeout = self._console.timeout, _LOOK
        try:
            yield
        finally:
            self._console.timeout = timeout

    def _halt(self) -> bool:
        """Write out all disks, make them read-only, and halt (which does neither)."""
        self._flush()
        return self._said("halt") and self._wait(_END)

    def _flush(self) -> None:
        if self._flushed:
            return
        self._flushed = True
        self._synced = False
        said = [self._asked_to_sync(), self._said("sysrq u")]
        deadline = time.monotonic() + _FLUSH
        while all(said) and not self._busy and not self._synced and time.monotonic() < deadline:
            try:
                self._synced = self._sync.is_done() and is_read_only(self._console)
            except Error:
                self._busy = True
            time.sleep(_POLL)

    def _asked_to_sync(self) -> bool:
        if self._busy:
            return False
        try:
            return self._sync.request()
        except UnansweredError:
            self._busy = True
        except Error:
            pass
        return False

    def _terminate(self) -> bool:
        """End the kernel by a signal, on which it removes its files (main.c last_ditch_exit)."""
        self._flush()
        self._signal(signal.SIGTERM)
        return self._wait(_END)

    def _kill(self) -> bool:
        kill_members(self._instance)
        return self._wait(_END)

    def _signal(self, number: int) -> None:
        if not self._ended():
            send_signal(self._pid, number, self._instance.place.umid)

    def _ended(self) -> bool:
        """Return whether the main process is gone; another one may have its number by now."""
        found = procfs.stat(self._pid)
        return found is None or found.state in "ZX" or found.start != self._instance.start

    def _wait(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> bool:
        """Wait for the end of the process, or until it is enough; return whether it ended."""
        deadline = time.monotonic() + seconds
        while not self._ended():
            if time.monotonic() > deadline or enough():
                return False
            time.sleep(_POLL)
        return True


def guest_handles_cad(console: Console) -> bool:
    """Return whether the guest's init, and not its kernel, acts on ctrl-alt-del; only a yes of the kernel is one."""
    try:
        return (console.proc("sys/kernel/ctrl-alt-del") or "").strip() == "0"
    except Error:
        return False


def is_read_only(console: Console) -> bool:
    """Return whether the guest's disks are read-only."""
    table = console.proc("mounts")
    return table is not None and all(
        "ro" in mount["options"].split(",")
        for mount in parsers.mounts(table)
        if mount["device"].startswith("/dev/") and mount["fstype"] != "hostfs"
    )


def send_signal(pid: int, number: int, umid: str) -> None:
    """Send a signal to a process, if it is still there.

    :raises NotAllowedError: when it belongs to another user
    """
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        owner = instances.owner_of(f"/proc/{pid}")
        raise NotAllowedError(
            f"not allowed to end process {pid} of {umid}, which belongs to {owner}", pid=pid
        ) from None


def kill_members(instance: Instance) -> List[int]:
    """Kill every process of an instance's session, helpers and orphans included, until none is left; return them.

    :raises UnverifiedError: when some do not go away
    """
    return _kill_all(lambda: _members(instance), instance.place.umid)


def kill_left_behind(pid: int, umid: str) -> None:
    """Kill the helpers of a kernel that we started as leader of a session, and that has ended.

    :raises UnverifiedError: when some do not go away
    """
    _kill_all(lambda: [member for member in instances.members(pid) if member != pid], umid)


def kill_started(pid: int, umid: str) -> None:
    """Kill a kernel that we started as leader of a session, with its helpers.

    :raises UnverifiedError: when some do not go away
    """
    _kill_all(lambda: list(instances.members(pid)), umid)


def _kill_all(find: Callable[[], List[int]], umid: str) -> List[int]:
    killed: List[int] = []
    deadline = time.monotonic() + _END
    while True:
        found = find()
        for pid in found:
            send_signal(pid, signal.SIGKILL, umid)
        killed += [pid for pid in found if pid not in killed]
        if not found:
            return killed
        if time.monotonic() > deadline:
            raise UnverifiedError(f"processes {found} of {umid} do not go away", pids=found)
        time.sleep(_POLL)


def _members(instance: Instance) -> List[int]:
    """Return the living processes of an instance: a pid file may name a process that has nothing to do with it.

    A session's number is not given away while it has a member, so what was its own when it was seen still is.
    """
    if instance.pid is None or not instance.members:
        return []
    main = procfs.stat(instance.pid)
    if main is not None and main.start != instance.start:
        return []  # the number is another's now
    found = instances.members(instance.pid)
    own = found if instance.alive else [pid for pid in found if pid in instance.members]
    return [pid for pid in own if instances.uid_of(pid) == instance.uid]
