# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The sessions of this process: one for each line and user, kept between the tasks, each used by one at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from .._mconsole import instances
from .._mconsole.console import Console
from .._mconsole.errors import Error, InputError, NotThereError, UnansweredError
from .._mconsole.instances import Place
from . import finder
from .line import Gone, Line
from .login import Account
from .session import WAYS, Data, Session

_NUDGE = 0.2  # seconds that a kernel may take to answer what is only to wake it
_ALIVE = 3.0  # seconds in which an idle reader answers
_PAUSE = 0.1
_END = 15.0  # seconds to get back into a guest and end what runs there


class Door(NamedTuple):
    """What leads into a guest: the instance, its line (None for the first one), who logs in, how data goes."""

    place: Place
    line: Optional[str]
    account: Account
    way: str
    timeout: float


class _Slot:
    """A session that is kept, and the lock of the one who uses it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.session: Optional[Session] = None

    def drop(self) -> int:
        """Hang up, and return the process group of a command that runs on in the guest, or 0."""
        session, self.session = self.session, None
        return session.close() if session is not None else 0


class Sessions:
    """All sessions of this process; ``ends_commands`` is whether to end a command that no task waits for any more."""

    def __init__(self, ends_commands: bool = True) -> None:
        self._ends_commands = ends_commands
        self._slots: Dict[Tuple[object, ...], _Slot] = {}
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def borrow(self, door: Door, patience: float, cancelled: Callable[[], bool]) -> Iterator[Session]:
        """Yield the session of a door, opened if necessary; a session that an error has left in disorder is closed.

        :raises UnansweredError: when another uses it for longer than ``patience`` seconds
        """
        deadline = time.monotonic() + patience
        slot = self._slot(door)
        if not slot.lock.acquire(timeout=patience):
            raise UnansweredError(
                f"the line into {door.place.umid} is in use by another task of this connection; nothing was sent",
                umid=door.place.umid,
                sent=False,
            )
        try:
            with contextlib.ExitStack() as stack:
                yield self._ready(slot, door, deadline, cancelled, stack)
        except BaseException:
            self._end(slot.drop(), slot, door)
            raise
        finally:
            slot.lock.release()

    def _end(self, group: int, slot: _Slot, door: Door) -> None:
        """End the command that a session has left running, through a new one."""
        if not group or not self._ends_commands:
            return
        with contextlib.suppress(Error, Gone), contextlib.ExitStack() as stack:
            session = self._ready(slot, door, time.monotonic() + _END, lambda: False, stack)
            session.run(f"kill -TERM -{group};sleep 1;kill -KILL -{group}", None)

    def reset(self, door: Door) -> None:
        """Hang up all sessions in the guest of a door: a line that one of them keeps open is not hung up."""
        for (place, *_rest), slot in list(self._slots.items()):
            if place == door.place:
                with slot.lock:
                    slot.drop()

    def close(self) -> None:
        """Hang up all sessions."""
        for slot in list(self._slots.values()):
            slot.drop()

    def _slot(self, door: Door) -> _Slot:
        key = (door.place, door.line, door.account, door.way)
        with self._guard:
            return self._slots.setdefault(key, _Slot())

    def _ready(
        self, slot: _Slot, door: Door, deadline: float, cancelled: Callable[[], bool], stack: contextlib.ExitStack
    ) -> Session:
        """Return the session that is kept, if it still answers, or a new one; its line is held alone."""
        if slot.session is not None:
            with contextlib.suppress(Gone, UnansweredError):
                stack.enter_context(slot.session.line.alone(deadline))
                slot.session.talk.watch(cancelled)
                if slot.session.answers(time.monotonic() + _ALIVE):
                    return slot.session
            stack.close()
            slot.drop()
        while slot.session is None:
            try:
                slot.session = _open(door, deadline, cancelled, stack)
            except Gone:
                if time.monotonic() > deadline:
                    raise NotThereError(
                        f"the guest of {door.place.umid} hangs up its line again and again", umid=door.place.umid
                    ) from None
                time.sleep(_PAUSE)
        return slot.session


def _open(door: Door, deadline: float, cancelled: Callable[[], bool], stack: contextlib.ExitStack) -> Session:
    """Find the line, hold it alone, and get a reader at its other end.

    :raises Gone: when the line was hung up meanwhile, as it is for a moment behind each who used it
    """
    if door.way not in WAYS:
        raise InputError(f"{door.way!r} is not a way into a guest; expected one of {', '.join(WAYS)}")
    line = open_line(door.place, door.line, deadline, door.timeout)
    opened = contextlib.ExitStack()
    try:
        opened.enter_context(line.alone(deadline))
        console = finder.console_of(door.place, door.timeout)
        session = Session.open(line, door.account, Data(door.way, _owner(console), console), deadline, cancelled)
    except BaseException:
        opened.close()
        line.close()
        raise
    stack.push(opened.pop_all())
    return session


def open_line(place: Place, name: Optional[str], deadline: float, timeout: float) -> Line:
    """Open the line of that name, or the first usual one, once something in the guest has it open."""
    console = finder.console_of(place, timeout)
    found = finder.find(console, name, deadline)
    return Line(place.umid, found.name, found.path, lambda: _nudge(console))


def _nudge(console: Console) -> None:
    """Make something happen to a kernel."""
    with contextlib.suppress(Error):
        console.request("version", timeout=_NUDGE)


def _owner(console: Console) -> int:
    """Return the user that an instance runs as."""
    pid = console.pid()
    uid = instances.uid_of(pid) if pid is not None else None
    if uid is None:
        raise NotThereError(f"the instance {console.umid!r} has ended", umid=console.umid)
    return uid
