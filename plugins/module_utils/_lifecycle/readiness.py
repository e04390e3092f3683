# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""When a started instance is ready: its init runs, its console, its guest or its log says so, or one can log in."""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import stat
import time
from typing import Callable, Dict, Iterator, List, Optional

from .._guest import console_log
from .._guest_shell import probe
from .._mconsole import notify
from .._mconsole.console import Console
from .._mconsole.errors import Error, InputError
from .._mconsole.instances import Place
from .._mconsole.reply_sockets import ReplySockets
from .._mconsole.wire import MAX_DATAGRAM, Notification, Request, decode_text
from . import launch
from .launch import Launch, Started

KINDS = ("init", "console", "message", "log", "login", "command", "none")
_PAUSE = 1.0  # seconds between looks into a guest, each of which takes its line
# A kernel answers before it mounts its root and runs init, and panics there if it cannot. No file that the console can
# read shows that init runs. Memory of processes does, but the kernel runs some itself before (modprobe).
_RUN = re.compile(r"^(\[[ 0-9.]+\] )?Run \S+ as init process", re.MULTILINE)
_SILENT = re.compile(r"quiet|loglevel=.*|console=.*")  # words with which the line may not come to the log
_BOOT = 30.0  # seconds from its console on after which a guest that shows no processes hides them
_PROOF = {"line": 0.05, "silent": 2.0, "loud": 5.0}  # seconds of processes that prove enough; old kernels have no line


class Readiness:
    """What is waited for.

    ``pattern`` is searched for in the guest's messages or in the console log; ``command`` is run in the guest.
    """

    def __init__(self, kind: str, pattern: Optional[str], command: str = "") -> None:
        self._kind, self._command = kind, command
        self._next_look = 0.0
        self._listener: Optional[socket.socket] = None
        self._seen = False
        self._sockets: Optional[ReplySockets] = None
        self._since: Optional[float] = None
        self._kind_of_log = ""
        try:
            self._pattern = re.compile(pattern or "", re.MULTILINE)
        except re.error as err:
            raise InputError(f"wait_pattern {pattern!r} is not a regular expression: {err}") from err
        if kind == "log" and not pattern:
            raise InputError("wait_for is log, and wait_pattern does not say what to wait for")

    def is_awaited(self, place: Place, sockets: Optional[ReplySockets], log: str) -> bool:
        """Return whether an instance that answers still boots, and the task must wait until its init runs.

        Messages and log lines do not show which boot they are from; the task waits for them only after a start.
        """
        console = Console(place.console, place.umid, 1.0, sockets, read_only=True)
        age = console.age()
        if math.isinf(age):
            return True  # its console has gone since it answered, so the caller looks again
        if self._kind in ("console", "none") or not 0 <= age < _BOOT:
            return False
        begun = not console.is_young or _RUN.search(console_log.last_boot(log))
        return not self._has_run(console, "line" if begun else "silent")

    def check(self, wanted: Launch) -> None:
        """Look whether there will be what is waited for.

        :raises InputError: when messages have nowhere to go, or another process receives them
        """
        if self._kind == "log" and wanted.log == os.devnull:
            raise InputError(f"wait_for is log, and the console log is {os.devnull}")
        if self._kind == "message":
            _check_free(_notify_path(wanted))

    @contextlib.contextmanager
    def listening(self, wanted: Launch) -> Iterator[None]:
        """Listen for messages, from before the kernel starts; the socket is gone afterwards."""
        if self._kind != "message":
            yield
            return
        path = _notify_path(wanted)
        _check_free(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as self._listener:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            self._listener.bind(path)
            if wanted.identity is not None:
                os.chown(path, wanted.identity.uid, -1)
            self._listener.setblocking(False)
            try:
                yield
            finally:
                os.unlink(path)

    def wait(self, started: Started, sockets: Optional[ReplySockets], deadline: float) -> None:
        """Wait until the instance is ready.

        :raises Error: when it ended, or the deadline passed
        """
        self._sockets = sockets
        if self._kind == "none":
            launch.wait_for_name(started, deadline)
        else:
            self._wait(started, sockets, deadline)

    def _wait(self, started: Started, sockets: Optional[ReplySockets], deadline: float) -> None:
        """Wait for the guest; a line that it wrote just before it ended is looked for once more."""
        try:
            launch.wait(started, sockets, deadline, self._poll)
        except Error:
            if self._kind != "log" or started.process.poll() is None or not self._log(started):
                raise

    def _poll(self, started: Started) -> bool:
        looks: Dict[str, Callable[[Started], bool]] = {
            "init": self._init,
            "message": self._messages,
            "log": self._log,
            "login": self._inside,
            "command": self._inside,
        }
        if not self._seen:
            self._seen = looks[self._kind](started) if self._kind in looks else True
        return self._seen

    def _init(self, started: Started) -> bool:
        """Return whether processes have had memory for long enough, counted again from the line that announces init."""
        console = Console(started.launch.place.console, "", 1.0, self._sockets, read_only=True)
        return self._has_run(console, self._kind_of(started))

    def _has_run(self, console: Console, kind: str) -> bool:
        if not has_processes(console) or kind != self._kind_of_log:
            self._since, self._kind_of_log = None, kind
            return False
        now = time.monotonic()
        self._since = self._since or now
        return now - self._since >= _PROOF[kind]

    def _kind_of(self, started: Started) -> str:
        """Return whether the log shows that init is begun, or will show it."""
        if _RUN.search(console_log.read(started.launch.log, started.offset)):
            return "line"
        words, logged = started.launch.argv, started.launch.log != os.devnull
        shown = logged and "con0=null,fd:1" in words and not any(_SILENT.fullmatch(word) for word in words)
        return "loud" if shown else "silent"

    def _inside(self, started: Started) -> bool:
        """Return whether one can log in, or whether the command succeeds; each look takes the guest's line."""
        if time.monotonic() < self._next_look:
            return False
        try:
            place = started.launch.place
            return probe.succeeds(place, self._command) if self._kind == "command" else probe.has_login(place)
        finally:
            self._next_look = time.monotonic() + _PAUSE

    def _log(self, started: Started) -> bool:
        return self._pattern.search(console_log.read(started.launch.log, started.offset)) is not None

    def _messages(self, started: Started) -> bool:
        """Read all that came: a kernel whose queue is full waits in the middle of its work (mconsole_notify)."""
        texts: List[str] = []
        with contextlib.suppress(BlockingIOError):
            while self._listener is not None:
                notification = Notification.from_bytes(self._listener.recv(MAX_DATAGRAM))
                if notification.type == "user":
                    texts.append(decode_text(notification.data))
        return any(self._pattern.search(text) for text in texts)


def has_processes(console: Console) -> bool:
    """Return whether the guest has processes, by the memory that only these have; the answer is short."""
    try:
        lines = console.exchange(Request("proc meminfo")).text.splitlines()
    except Error:
        return False
    return any(line.startswith("AnonPages:") and line.split()[1] != "0" for line in lines)


def _notify_path(wanted: Launch) -> str:
    """Return the instance's own notify socket; at the one that all of a uml_dir share the collector listens.

    :raises InputError: when it has none
    """
    found = notify.path_of(wanted.argv, wanted.cwd)
    if found is None or found == notify.default_path(wanted.place.uml_dir):
        raise InputError("wait_for is message, and the instance has no separate notify socket; set notify to its path")
    return found


def _check_free(path: str) -> None:
    """Look whether a path is free to listen at.

    :raises InputError: when a process listens there, or something else is there
    """
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise InputError(f"the notify path {path} is not a socket", path=path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except OSError as err:
            raise InputError(f"the notify socket {path} cannot be used: {err.strerror}", path=path) from err
    raise InputError(
        f"another process listens at {path} and receives the messages; set wait_for=log, or another notify", path=path
    )
