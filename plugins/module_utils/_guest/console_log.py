# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The file that a kernel's standard output goes to, with its boot messages and its guest's console."""

from __future__ import annotations

import os
import re
import stat
from typing import List, Optional, Tuple

from .._mconsole.errors import InputError
from . import boot_failure

_TAIL = 64 << 10  # bytes read from the end
_WIDTH = 200
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\-_])")
_NOISE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def open_log(path: str, owner: Optional[int] = None, known: Optional[Tuple[int, int]] = None) -> int:
    """Return a descriptor that appends to the log; only its owner can read it, because a console may show secrets.

    ``known`` is (st_dev, st_ino) of a log that may be written to, also when another user owns it.

    :raises InputError: when it is not a regular file of its user: in another user's directory a link may lead anywhere
    """
    try:
        descriptor = _make(path, owner)
    except FileExistsError:
        descriptor = _open(path, os.O_NONBLOCK | os.O_NOCTTY)
    found = os.fstat(descriptor)
    own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and owner in (None, found.st_uid)
    if own or path == os.devnull or known == (found.st_dev, found.st_ino):
        return descriptor
    os.close(descriptor)
    raise InputError(f"the console log {path} is not a regular file of its user, or has a second name", path=path)


def _make(path: str, owner: Optional[int]) -> int:
    descriptor = _open(path, os.O_CREAT | os.O_EXCL)
    if owner is not None:
        os.fchown(descriptor, owner, -1)
    return descriptor


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise
    except OSError as err:
        raise InputError(f"the console log {path} cannot be written: {err.strerror}", path=path) from err


def length(path: str) -> int:
    """Return the length of the log now; 0 when there is no log."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def read(path: str, start: int) -> str:
    """Return what was written since it was ``start`` bytes long (or the last 64 kB of that), made harmless."""
    try:
        with open(path, "rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(min(start, end), end - _TAIL))
            return harmless(stream.read(_TAIL).decode("utf-8", "replace"))
    except OSError:
        return ""


def last_boot(path: str) -> str:
    """Return what was written since the last kernel began to boot, as far as the end of the log has it."""
    return read(path, 0).rpartition("Linux version ")[2]


def harmless(text: str) -> str:
    """Return a guest's text without terminal escapes, control characters and what turns the direction of writing."""
    return _NOISE.sub("", _ESCAPE.sub("", text.replace("\r\n", "\n")))


def tail(path: str, start: int, count: int = 20) -> List[str]:
    """Return the last lines since ``start``, none too long; of a panic those before its dump of registers and stack."""
    lines = [line[:_WIDTH] for line in read(path, start).splitlines() if line.strip()]
    panics = [number for number, line in enumerate(lines, 1) if boot_failure.PANIC in line]
    return lines[: panics[0]][-count:] if panics else lines[-count:]


def complaint(path: str, start: int) -> str:
    """Return why a kernel ended: the first cause that its log shows since ``start``."""
    lines = [line[:_WIDTH] for line in read(path, start).splitlines() if line.strip()]
    return boot_failure.explain(lines)
