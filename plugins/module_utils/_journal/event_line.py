# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One line of the journal: the event that it holds, if it holds one."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, Optional

END = 10**16  # above any number that a name has digits for
Event = Dict[str, Any]


def _finite(text: str) -> float:
    """Return a number that JSON can say again."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number that an event can have")
    return number


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def parse(line: bytes) -> Optional[Event]:
    """Return the event of a line, or None: a disk may have lost the event, and left anything in its place."""
    try:
        found = _DECODER.decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not _is_time(found.get("time", 0)):
        return None
    seq = found.get("seq")
    return found if isinstance(seq, int) and not isinstance(seq, bool) and 0 < seq < END else None


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < END
