# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The ways to run the local client: start one that stays, be the one that stays, do one operation, tell events."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO, Dict

from .._mconsole.errors import Error
from .._operations.catalogue import load
from .._operations.perform import failure
from . import follow, server, start

Order = Dict[str, Any]


def main(blob: bytes, stream: BinaryIO) -> None:
    """Do what the order in the stream's next line says."""
    order: Order = json.loads(stream.readline())
    mode = order.pop("mode")
    if mode == "serve":
        stream.close()
        server.serve(server.take_listener(), **order)
    elif mode == "collect":
        stream.close()
        _collect(order)
    elif mode == "launch":
        _launch(order)
    elif mode == "stop":
        _stop(order)
    elif mode == "follow":
        follow.follow(stream, order)
    else:
        _report(_start(blob, order) if mode == "start" else server.answer(order))


def _collect(order: Order) -> None:
    """Be the collector until it is told to end; why it cannot is said on stderr."""
    from . import collect

    try:
        collect.collect(**order)
    except Error as err:
        raise SystemExit(str(err)) from err


def _launch(order: Order) -> None:
    """Launch an instance for a service manager; why that failed is said on stderr."""
    from .._lifecycle import unit

    try:
        unit.launch_from(order)
    except Error as err:
        raise SystemExit(str(err)) from err
    os._exit(0)  # the thread that reaps the kernel would wait for its end


def _stop(order: Order) -> None:
    """Stop an instance for a service manager, unless it has ended by itself and so has no process any more."""
    from .._lifecycle import unit
    from .._model.task import COMMON_ARGUMENTS

    place = unit.place_of(order["umid"])
    if order["pid"] and place is not None:
        specs = {**COMMON_ARGUMENTS, **load("instance").ARGUMENTS}
        defaults = {name: spec.get("default") for name, spec in specs.items()}
        params = {**defaults, **place._asdict(), "state": "stopped"}
        _report(server.answer({"operation": "instance", "params": params}))


def _start(blob: bytes, order: Order) -> Dict[str, Any]:
    try:
        return {"socket": start.start(blob, **order)}
    except Error as err:
        return failure(err)


def _report(answer: Dict[str, Any]) -> None:
    """Print the answer as the last line, behind whatever a login shell may have said."""
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads that still wait for a console keep nobody up
