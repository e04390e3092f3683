# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Parse numbers and sizes in text that a user or a guest wrote."""

from __future__ import annotations

import math
import re
from typing import NamedTuple, Optional

from .errors import InputError

_LONGEST = 24  # characters; a kernel's numbers have 20 digits at most, and Python itself refuses thousands
_UNAME = 1024  # characters; five words of at most 64
_SIZE = re.compile(r"(\d+)([kKmMgG]?)")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_int(text: Optional[str], base: int = 10) -> Optional[int]:
    """Return the integer that a text holds, or None."""
    if text is None or len(text) > _LONGEST:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None


def parse_float(text: str) -> Optional[float]:
    """Return the finite number that a text holds, or None: JSON has neither infinity nor NaN."""
    try:
        found = float(text[:_LONGEST])
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def is_size(text: str) -> bool:
    """Return whether :func:`parse_size` accepts a text."""
    return _SIZE.fullmatch(text.strip()) is not None


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``64M``, as the kernel's memparse reads it.

    :raises InputError: when the text is not a size
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is not a size; expected a number with K, M or G, such as 96M")
    return int(match[1]) * _UNITS[match[2].lower()]


class Uname(NamedTuple):
    """The words of uname(2), as the kernel's answer to ``version`` holds them: ``version`` begins with ``#``."""

    system: str
    nodename: str
    release: str
    version: str
    machine: str


def uname(text: str) -> Optional[Uname]:
    """Return the words of ``SYSTEM NODENAME RELEASE #VERSION MACHINE``, or None; a node name may hold spaces."""
    system, _space, rest = text[:_UNAME].strip().partition(" ")
    rest, _space, machine = rest.rpartition(" ")
    rest, hash_, version = rest.rpartition(" #")
    nodename, space, kernel = rest.rpartition(" ")
    if not hash_ or not space or any(len(word.split()) != 1 for word in (system, kernel, machine)):
        return None
    return Uname(system, nodename, kernel, f"#{version}", machine)


def release(version: str) -> str:
    """Return the kernel's release in an answer to ``version``, such as ``6.1.176``, or nothing."""
    words = uname(version)
    return words.release if words is not None else ""
