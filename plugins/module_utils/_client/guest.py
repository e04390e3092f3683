# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Orders that are about the inside of a guest: run a command, put a file, fetch one, hang up.

Bytes are base64 in an order and in its answer. Larger data goes in parts, through a file that has no name, so nothing
of it stays when this process dies.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import tempfile
import threading
import time
from typing import Any, BinaryIO, Callable, Dict, Optional, Tuple

from .._guest_shell.line import Gone
from .._guest_shell.login import Account
from .._guest_shell.session import Become, Outcome
from .._guest_shell.sessions import Door, Sessions
from .._guest_shell.talk import Cancelled
from .._mconsole import instances
from .._mconsole.errors import Error, InputError, UnansweredError

INLINE = 4 << 20  # bytes that an answer carries itself
_KEPT = 600.0  # seconds that a part of a file waits for the next one
Order = Dict[str, Any]
Answer = Dict[str, Any]


class Files:
    """Files without a name, which are sent in parts."""

    def __init__(self) -> None:
        self._files: Dict[str, Tuple[BinaryIO, float]] = {}
        self._guard = threading.Lock()

    def keep(self, stream: BinaryIO) -> str:
        """Keep a file and return what to call it."""
        token = secrets.token_hex(8)
        with self._guard:
            self._files[token] = (stream, time.monotonic())
        return token

    def use(self, token: str, last: bool = False) -> BinaryIO:
        """Return a file, and forget those that were not asked for in a long time.

        :raises InputError: when it is not there
        """
        now = time.monotonic()
        with self._guard:
            for name, (stream, used) in list(self._files.items()):
                if now - used > _KEPT and name != token:
                    stream.close()
                    del self._files[name]
            if token not in self._files:
                raise InputError("the parts of a file were lost with the local client that had them", lost=True)
            stream = self._files[token][0]
            self._files[token] = (stream, now)
            if last:
                del self._files[token]
        return stream


_sessions = Sessions()
_files = Files()


def answer(order: Order, stays: bool, cancelled: Callable[[], bool] = lambda: False) -> Answer:
    """Do an order and return its answer; ``stays`` says whether this process is there for the next one.

    :raises Error: when it cannot be done
    """
    action = order.pop("action")
    try:
        found: Answer = _ACTIONS[action](order, stays, cancelled)
        return found
    except Cancelled:
        return {"cancelled": True}
    except Gone:
        raise UnansweredError("the line was hung up: the guest has ended, or was started again") from None
    finally:
        if not stays:
            _sessions.close()


def close() -> None:
    """Hang up all lines."""
    _sessions.close()


def _door(order: Order) -> Door:
    where = order["where"]
    place = instances.locate(where["umid"], where.get("uml_dir"))
    account = Account(where.get("user") or "root", where.get("password"), where.get("shell") or "/bin/sh")
    return Door(place, where.get("line"), account, where.get("way") or "auto", float(where.get("timeout") or 5.0))


@contextlib.contextmanager
def _session(order: Order, cancelled: Callable[[], bool]) -> Any:
    with _sessions.borrow(_door(order), float(order.get("patience") or 30.0), cancelled) as session:
        yield session


def _run(order: Order, stays: bool, cancelled: Callable[[], bool]) -> Answer:
    become = Become(**order["become"]) if order.get("become") else None
    with _session(order, cancelled) as session:
        return _outcome(session.run(order["command"], _input(order), become), stays)


def _input(order: Order) -> Optional[BinaryIO]:
    """Return what an order brings, be it in the order itself or sent before in parts."""
    if order.get("token"):
        stream = _files.use(order["token"], last=True)
        stream.seek(0)
        return stream
    if order.get("data") is None:
        return None
    made = _nameless()
    made.write(base64.b64decode(order["data"]))
    made.seek(0)
    return made


def _nameless() -> BinaryIO:
    """Return a new file without a name; what closes it is that nothing refers to it any more."""
    return tempfile.TemporaryFile()


def _outcome(outcome: Outcome, stays: bool) -> Answer:
    return {"rc": outcome.rc, "out": _given(outcome.out, stays), "err": _given(outcome.err, stays)}


def _given(stream: BinaryIO, stays: bool) -> Answer:
    """Return bytes, or where to ask for their parts."""
    size = stream.seek(0, 2)
    stream.seek(0)
    if stays and size > INLINE:
        return {"token": _files.keep(stream), "size": size}
    with stream:
        return {"data": base64.b64encode(stream.read()).decode("ascii")}


def _put(order: Order, stays: bool, cancelled: Callable[[], bool]) -> Answer:
    """Write a file of the guest, and see that it is what was sent."""
    stream = _input(order)
    if stream is None:
        raise InputError("the order has no data to put into a file")
    with stream, _session(order, cancelled) as session:
        session.put(stream, order["path"])
    return {"changed": True}


def _fetch(order: Order, stays: bool, cancelled: Callable[[], bool]) -> Answer:
    """Return a file of the guest, and see that it is what the guest has."""
    with _session(order, cancelled) as session:
        return {"file": _given(session.fetch(order["path"]), stays)}


def _part(order: Order, stays: bool, cancelled: Callable[[], bool]) -> Answer:
    """Take one more part of a file; the first one has no token."""
    if not stays:
        raise InputError("this local client does not stay for a second part", lost=True)
    token = order.get("token") or _files.keep(_nameless())
    stream = _files.use(token)
    stream.seek(int(order["offset"]))
    stream.write(base64.b64decode(order["data"]))
    return {"token": token}


def _rest(order: Order, stays: bool, cancelled: Callable[[], bool]) -> Answer:
    """Return one more part of a file."""
    stream = _files.use(order["token"], last=bool(order.get("last")))
    stream.seek(int(order["offset"]))
    return {"data": base64.b64encode(stream.read(INLINE)).decode("ascii")}


def _reset(order: Order, stays: bool, cancelled: Callable[[], bool]) -> Answer:
    with contextlib.suppress(Error):
        _sessions.reset(_door(order))
    return {}


_ACTIONS: Dict[str, Callable[[Order, bool, Callable[[], bool]], Answer]] = {
    "run": _run,
    "put": _put,
    "fetch": _fetch,
    "part": _part,
    "rest": _rest,
    "reset": _reset,
}
