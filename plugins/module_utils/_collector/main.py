# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Entry point of a collector: a separate process, until a signal ends it."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, Dict

from .._mconsole.errors import Error
from . import session


def main(blob: bytes, stream: BinaryIO) -> None:
    """Collect as the JSON object in the stream's next line says: the arguments of :func:`session.collect`."""
    order = json.loads(stream.readline())
    stream.close()
    run(order)


def run(order: Dict[str, Any]) -> None:
    """Collect until a signal ends it.

    :raises SystemExit: with the reason, when it cannot collect
    """
    try:
        session.collect(**order)
    except Error as err:
        raise SystemExit(str(err)) from err
