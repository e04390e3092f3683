# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The local client that stays: one thread a connection, one operation a connection, gone when idle.

On the wire, one JSON value a line: the client greets; the controller sends an order; the client beats while it works
and answers.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import IO, Any, Callable, Dict, Optional, Set

from .._mconsole.errors import Error, InputError
from .._mconsole.reply_sockets import ReplySockets
from .._operations.perform import failure, perform
from .._operations.registry import load
from . import guest

_ORDER_TIME = 30.0  # seconds that a controller may take to give its order, or to take an answer
_NAP = 1.0  # seconds between looks at whether the last conversation has ended
BEAT = 2.0  # seconds between signs of life while an operation runs
MAX_ORDER = 64 << 20  # bytes
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
Answer = Dict[str, Any]
_sockets = ReplySockets()
_login: Dict[str, Any] = {}  # who logged in to start this client


def take_listener() -> socket.socket:
    """Return the listening socket that came as stdin, and close the descriptors inherited from the parent."""
    listener = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    return listener


def serve(listener: socket.socket, code: str, idle: float) -> None:
    """Answer until no order has come for ``idle`` seconds."""
    greeting = {"code": code, "pid": os.getpid(), "user": os.geteuid(), "python": sys.version.split()[0]}
    _sockets.start()
    _login["login_uid"] = peer(listener)
    Server(listener, greeting, idle).run()
    listener.close()
    _sockets.close()
    guest.close()


class Server:
    """The accept loop, and what it knows of its conversations."""

    def __init__(self, listener: socket.socket, greeting: Answer, idle: float) -> None:
        self._listener = listener
        self._greeting = greeting
        self._idle = idle
        self._last_order = time.monotonic()
        self._talking: Set[socket.socket] = set()
        self._trusted = {0, peer(listener)}  # who made it listen, which need not be who we are

    def run(self) -> None:
        """Accept connections until idle; a connection without an order does not count as use."""
        while self._talking or self._left() > 0:
            self._listener.settimeout(max(self._left(), _NAP))
            try:
                connection, _address = self._listener.accept()
            except socket.timeout:
                continue
            if peer(connection) not in self._trusted:
                connection.close()
                continue
            self._talking.add(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _left(self) -> float:
        return self._last_order + self._idle - time.monotonic()

    def _converse(self, connection: socket.socket) -> None:
        """Greet, read one order, beat while it runs, answer; a controller that has gone is not an error."""
        try:
            connection.settimeout(_ORDER_TIME)
            with connection, connection.makefile("rb") as questions, connection.makefile("wb") as answers:
                _say(answers, self._greeting)
                line = questions.readline(MAX_ORDER)
                if line:
                    self._work(answers, json.loads(line))
        except (OSError, ValueError, RecursionError):
            pass
        finally:
            self._talking.discard(connection)

    def _work(self, stream: IO[bytes], order: Answer) -> None:
        """Run the order in another thread, so that this one can show that we live."""
        box: Dict[str, Answer] = {}
        gone = threading.Event()
        worker = threading.Thread(target=lambda: box.update(answer=answer(order, gone)), daemon=True)
        try:
            worker.start()
            worker.join(BEAT)
            while worker.is_alive():
                _say(stream, {"beat": True})
                worker.join(BEAT)
            _say(stream, box["answer"])
        finally:
            gone.set()
            worker.join()  # an order whose controller has gone is still done, and we stay for it
            self._last_order = time.monotonic()


def peer(sock: socket.socket) -> int:
    """Return the user at the other end of a connection, or who made a socket listen."""
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


def _say(stream: IO[bytes], value: Answer) -> None:
    stream.write(json.dumps(value).encode("ascii") + b"\n")
    stream.flush()


def answer(order: Answer, gone: Optional[threading.Event] = None) -> Answer:
    """Return the answer to an order; the answer to an internal error holds its traceback.

    ``gone`` is set when the controller does not wait any more; without it, this process ends after the order.
    """
    try:
        kind = order.pop("kind", "operation")
        return {"result": _inside(order, gone) if kind == "guest" else _KINDS[kind](**order)}
    except Exception:
        import traceback

        return {"fault": traceback.format_exc()}


def _operation(
    operation: str, params: Dict[str, Any], check: bool = False, origin: Optional[Dict[str, Any]] = None
) -> Answer:
    try:
        module = load(operation)
    except KeyError:
        return failure(InputError(f"the local client knows no operation {operation!r}"))
    return perform(module, params, check, _sockets, {**(origin or {}), **_login})


def _module(payload: str, environment: Dict[str, str]) -> Answer:
    """Run a packed module of this collection, as gather_facts sends it, with this Python."""
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        [sys.executable],
        input=payload.encode("utf-8", "surrogateescape"),
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )
    return {
        "rc": done.returncode,
        "stdout": done.stdout.decode("utf-8", "surrogateescape"),
        "stderr": done.stderr.decode("utf-8", "surrogateescape"),
    }


def _inside(order: Answer, gone: Optional[threading.Event]) -> Answer:
    """Do something inside a guest; when the controller goes, end what it has started there."""
    try:
        return guest.answer(order, gone is not None, gone.is_set if gone is not None else lambda: False)
    except Error as err:
        return failure(err)


_KINDS: Dict[str, Callable[..., Answer]] = {"operation": _operation, "module": _module}
