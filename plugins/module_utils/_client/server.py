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
import subprocess
import sys
import threading
from typing import IO, Any, Callable, Dict

from .._mconsole.errors import InputError
from .._mconsole.sockets import Sockets
from .._operations import load
from .._operations.perform import failure, perform

BEAT = 2.0  # seconds between signs of life while an operation runs
MAX_ORDER = 64 << 20  # bytes
Answer = Dict[str, Any]
_sockets = Sockets()


def take_listener() -> socket.socket:
    """Return the listening socket that came as stdin, and let go of the descriptors of whoever started us."""
    listener = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    return listener


def serve(listener: socket.socket, code: str, idle: float) -> None:
    """Answer until nobody has asked for ``idle`` seconds."""
    greeting = {"code": code, "pid": os.getpid(), "user": os.geteuid(), "python": sys.version.split()[0]}
    busy: Dict[int, socket.socket] = {}
    _sockets.start()
    listener.settimeout(idle)
    while True:
        try:
            connection, _address = listener.accept()
        except socket.timeout:
            if not busy:
                break
            continue
        busy[id(connection)] = connection
        threading.Thread(target=_converse, args=(connection, greeting, busy), daemon=True).start()
    listener.close()
    _sockets.close()


def _converse(connection: socket.socket, greeting: Answer, busy: Dict[int, socket.socket]) -> None:
    """Greet, take one order, beat while it runs, answer; a controller that has gone is no error."""
    try:
        with connection, connection.makefile("rb") as questions, connection.makefile("wb") as answers:
            _say(answers, greeting)
            line = questions.readline(MAX_ORDER)
            if line:
                _work(answers, json.loads(line))
    except (OSError, ValueError):
        pass
    finally:
        busy.pop(id(connection), None)


def _work(stream: IO[bytes], order: Answer) -> None:
    """Run the order in a thread of its own, so that this one can show that we live."""
    box: Dict[str, Answer] = {}
    worker = threading.Thread(target=lambda: box.update(answer=answer(order)), daemon=True)
    worker.start()
    worker.join(BEAT)
    while worker.is_alive():
        _say(stream, {"beat": True})
        worker.join(BEAT)
    _say(stream, box["answer"])


def _say(stream: IO[bytes], value: Answer) -> None:
    stream.write(json.dumps(value).encode("ascii") + b"\n")
    stream.flush()


def answer(order: Answer) -> Answer:
    """Return the answer to an order; a fault of ours is told with its traceback, not by silence."""
    try:
        return {"result": _KINDS[order.pop("kind", "operation")](**order)}
    except Exception:
        import traceback

        return {"fault": traceback.format_exc()}


def _operation(operation: str, params: Dict[str, Any], check: bool = False) -> Answer:
    try:
        module = load(operation)
    except KeyError:
        return failure(InputError(f"the local client knows no operation {operation!r}"))
    return perform(module, params, check, _sockets)


def _module(payload: str, environment: Dict[str, str]) -> Answer:
    """Run a packed module of this collection, as gather_facts sends it, with this Python."""
    done = subprocess.run(
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


_KINDS: Dict[str, Callable[..., Answer]] = {"operation": _operation, "module": _module}
