# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A person's terminal in a guest, by the same line and the same lock as tasks; or a console log, as it grows."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
import time
import tty
from typing import Any, Dict, Iterator, Optional, Tuple

from .._guest import console_log
from .._guest_shell import finder
from .._guest_shell.line import Gone, Line
from .._guest_shell.login import QUIT
from .._guest_shell.sessions import open_line
from .._lifecycle import instance_report
from .._mconsole import instances, procfs
from .._mconsole.errors import InputError, NotThereError
from .._mconsole.instances import Place

KEY = b"\x1d"  # Ctrl-]
_WAIT = 30.0  # seconds to wait for the line
_QUIET = 0.4  # seconds in which a shell or a login that is woken says something
_PART = 1 << 16
_POLL = 0.2
_HELP = "Ctrl-] leaves; Ctrl-] and w sends the guest's shell the size of this window"


def attach(order: Dict[str, Any]) -> None:
    """Run the terminal that an order asks for.

    :raises Error: when there is no such instance, or no way into its guest
    """
    place = instances.locate(order["umid"], order.get("uml_dir"))
    if order.get("follow"):
        _follow(place)
        return
    if not sys.stdin.isatty():
        raise InputError("attach needs a terminal; give -t to ssh")
    line = _woken(place, order.get("line"))
    try:
        _say(f"{line.name} of {place.umid}. {_HELP}\r\n".encode())
        with _raw(sys.stdin.fileno()):
            _copy(line)
    finally:
        line.close()


def _woken(place: Place, name: Optional[str]) -> Line:
    """Return the line, held alone until it is closed, with what was at its other end waiting for words."""
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            line = open_line(place, name, deadline, 5.0)
            line.take(deadline)
            line.send(b"\n", deadline)
            if not _speaks(line):
                line.send(QUIT, deadline)  # a reader that a task has left
            return line
        except Gone:
            if time.monotonic() > deadline:
                raise NotThereError(f"the guest of {place.umid} hangs up its line", umid=place.umid) from None
            time.sleep(_POLL)


def _speaks(line: Line) -> bool:
    while line.listen(time.monotonic() + _QUIET):
        if line.said.strip():
            _say(line.said)
            return True
    return False


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Give every key to the guest, and leave the terminal as it was."""
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _copy(line: Line) -> None:
    """Hand on what is typed and what the guest says, until the key that leaves, or an end."""
    keys, typed = sys.stdin.fileno(), b""
    with contextlib.suppress(Gone):
        while True:
            ready = select.select([keys, line.descriptor], [], [])[0]
            if line.descriptor in ready:
                _say(line.hear(time.monotonic()))
            if keys in ready:
                part = os.read(keys, 1024)
                words, typed = _words(typed + part)
                line.send(words, time.monotonic() + _WAIT)
                if not part or len(typed) > 1:
                    return
    _say(b"\r\nthe guest has hung up\r\n")


def _words(typed: bytes) -> Tuple[bytes, bytes]:
    """Return what goes to the guest, and what is left: the key alone, or the key and another that leaves."""
    words, key, rest = typed.partition(KEY)
    if rest[:1] == b"w":
        more, left = _words(rest[1:])
        return words + _window() + more, left
    return words, key + rest


def _window() -> bytes:
    """Return the command that sets a shell's terminal size; no kernel passes it on by itself (pty.c pts_ops)."""
    size = shutil.get_terminal_size()
    return f"stty rows {size.lines} cols {size.columns}\n".encode()


def _say(data: bytes) -> None:
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


def _follow(place: Place) -> None:
    """Show a console log as it grows, until the instance ends; what it holds cannot command the terminal."""
    pid = finder.console_of(place, 5.0).pid()
    path = instance_report.log_of(pid) if pid is not None else None
    if pid is None or path is None:
        raise NotThereError(f"{place.umid} has no console log that can be read here", umid=place.umid)
    with open(path, "rb") as stream:
        stream.seek(max(os.fstat(stream.fileno()).st_size - _PART, 0))
        while True:
            part = stream.read(_PART)
            _say(console_log.harmless(part.decode("utf-8", "replace")).encode("utf-8", "replace"))
            if not part and not procfs.alive(pid):
                return
            time.sleep(0 if part else _POLL)
