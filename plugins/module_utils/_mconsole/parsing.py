# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Parse numbers and sizes in text that a user or a guest wrote."""

from __future__ import annotations

import math
import re
from typing import NamedTuple, Optional

from .errors import InputError

MAX_SECONDS = 1_000_000
_LONGEST = 24  # characters; a kernel's numbers have 20 digits at most, and Python itself refuses thousands
_UNAME = 1024  # characters; five words of at most 64
_SIZE = re.compile(r"(0x[0-9a-f]{1,16}|[0-9]{1,16}|[0-9]{1,16}\.[0-9]{1,6}) ?([kmgt]?)(i?b|bytes?)?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}  # as shifts


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


def check_seconds(what: str, value: float, zero: bool = False) -> float:
    """Return a time that can be waited; ``zero`` is allowed where it means to look once.

    :raises InputError: when it cannot be waited
    """
    if not (value >= 0 if zero else value > 0) or value > MAX_SECONDS:
        least = "0" if zero else "more than 0"
        raise InputError(
            f"{what} is {value:g}; expected seconds, {least} and at most {MAX_SECONDS}", **{what: str(value)}
        )
    return value


def is_size(text: str) -> bool:
    """Return whether :func:`parse_size` accepts a text."""
    return _bytes(text) is not None


def parse_size(text: str, what: str = "", least: int = 0) -> int:
    """Return the bytes of a size such as ``64M``, ``64MB``, ``64MiB``, ``1.5G`` or ``0x4000000``.

    Units are powers of 1024, as they are to the kernel and to Ansible. ``what`` names the option; a number of bytes
    below ``least`` is refused, because its unit was forgotten.

    :raises InputError: when the text is not a size
    """
    found, subject = _bytes(text), f"{what}: " if what else ""
    if found is None:
        raise InputError(f"{subject}{text!r} is not a size; expected a number with K, M, G or T, such as 96M")
    if found < least and text.strip().isdigit():
        raise InputError(f"{subject}{text.strip()} is {found} bytes; did you mean {text.strip()}M?")
    return found


def _bytes(text: str) -> Optional[int]:
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and match[3].lower() == "ib" and not match[2]):
        return None
    number, unit = match[1].lower(), _UNITS[match[2].lower()]
    if "." in number:
        return round(float(number) * (1 << unit))
    return int(number, 16 if number.startswith("0x") else 10) << unit


def format_size(size: int) -> str:
    """Return a size as the kernel's memparse reads it, in the largest unit that leaves no fraction."""
    letters = [(letter, shift) for letter, shift in _UNITS.items() if size and not size % (1 << shift)]
    letter, shift = max(letters or [("", 0)], key=lambda pair: pair[1])
    return f"{size >> shift}{letter.upper()}"


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
