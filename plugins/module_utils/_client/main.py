# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Run the local client in one of its modes: start a server, be that server, do one operation, stream events."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO, Callable, Dict

from .._mconsole.errors import Error
from .._operations.perform import failure
from .._operations.registry import load
from . import server, start, stream_events

Order = Dict[str, Any]


def main(blob: bytes, stream: BinaryIO) -> None:
    """Do what the order in the stream's next line says: a JSON object with ``mode`` and what that takes.

    :raises SystemExit: when there is no such mode
    """
    order: Order = json.loads(stream.readline())
    mode = order.pop("mode", None)
    if mode not in _MODES:
        raise SystemExit(f"unknown mode {mode!r}; expected one of {', '.join(_MODES)}")
    _MODES[mode](blob, stream, order)


def _serve(blob: bytes, stream: BinaryIO, order: Order) -> None:
    stream.close()
    server.serve(server.take_listener(), **order)


def _collect(blob: bytes, stream: BinaryIO, order: Order) -> None:
    from .._collector import main as collector

    stream.close()
    collector.run(order)


def _launch(blob: bytes, stream: BinaryIO, order: Order) -> None:
    """Launch an instance for a service manager; why that failed is said on stderr."""
    from .._lifecycle import systemd_unit

    try:
        systemd_unit.launch_from(order)
    except Error as err:
        raise SystemExit(str(err)) from err
    os._exit(0)  # the thread that reaps the kernel would wait for its end


def _stop(blob: bytes, stream: BinaryIO, order: Order) -> None:
    """Stop an instance for a service manager, unless it has ended by itself and so has no process any more."""
    from .._lifecycle import systemd_unit
    from .._task.task import COMMON_ARGUMENTS

    place = systemd_unit.place_of(order["umid"])
    if order["pid"] and place is not None:
        specs = {**COMMON_ARGUMENTS, **load("instance").ARGUMENTS}
        defaults = {name: spec.get("default") for name, spec in specs.items()}
        params = {**defaults, **place._asdict(), "state": "stopped"}
        _report(server.answer({"operation": "instance", "params": params}))


def _attach(blob: bytes, stream: BinaryIO, order: Order) -> None:
    """Run a terminal in a guest; print the reason on stderr when that fails."""
    from . import attach

    try:
        attach.attach(order)
    except Error as err:
        raise SystemExit(str(err)) from err


def _follow(blob: bytes, stream: BinaryIO, order: Order) -> None:
    stream_events.follow(stream, order)


def _xstate(blob: bytes, stream: BinaryIO, order: Order) -> None:
    """Print whether kernels before 6.13 need the register shim here, and whether it is there."""
    from .._lifecycle import xstate

    _report(xstate.describe())


def _start(blob: bytes, stream: BinaryIO, order: Order) -> None:
    try:
        _report({"socket": start.start(blob, **order)})
    except Error as err:
        _report(failure(err))


def _once(blob: bytes, stream: BinaryIO, order: Order) -> None:
    _report(server.answer(order))


def _report(answer: Dict[str, Any]) -> None:
    """Print the answer as the last line, because a login shell may print lines before it."""
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # do not wait for threads that still wait for a console


_MODES: Dict[str, Callable[[bytes, BinaryIO, Order], None]] = {
    "start": _start,
    "serve": _serve,
    "once": _once,
    "follow": _follow,
    "attach": _attach,
    "collect": _collect,
    "launch": _launch,
    "stop": _stop,
    "xstate": _xstate,
}
