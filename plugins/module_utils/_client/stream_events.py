# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Print events as they come, one JSON object a line, while a reader is connected.

A line has ``event``, or ``position`` alone: where the journal has been read to, as a sign of life.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any, BinaryIO, Dict

from .._journal import event_filter, journal
from .._journal.journal import Reader
from .._mconsole.errors import Error
from .._operations.perform import failure
from .._task.json_safe import json_safe

BEAT = 2.0  # seconds between signs of life


def follow(stream: BinaryIO, params: Dict[str, Any]) -> None:
    """Follow the journal that ``params`` name, from the position ``after`` (or from now), until the stream ends."""
    try:
        wanted = event_filter.wanted(params, event_filter.OPERATIONS)
        directory = event_filter.directory(params)
        reader = Reader(directory, event_filter.position(params, journal.last(directory)))
        _say({"position": reader.position, "collecting": journal.is_written(directory)})
        _tell(reader, wanted, stream)
    except Error as err:
        _say(failure(err))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what Python flushes at its end goes nowhere


def _tell(reader: Reader, wanted: event_filter.Filter, stream: BinaryIO) -> None:
    said = time.monotonic()
    for event in reader.follow():
        if event is not None and wanted.fits_or_tells_of_loss(event):
            _say({"event": json_safe(event), "position": reader.position})
            said = time.monotonic()
        if event is None:
            if _is_over(stream):
                return
            if time.monotonic() - said > BEAT:
                _say({"position": reader.position})
                said = time.monotonic()


def _is_over(stream: BinaryIO) -> bool:
    """Return whether the other end has closed the stream; it says nothing else on it."""
    readable, _writable, _odd = select.select([stream], [], [], 0)
    return bool(readable) and not os.read(stream.fileno(), 1)


def _say(value: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
