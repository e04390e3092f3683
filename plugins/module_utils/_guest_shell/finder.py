# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Find the line of an instance that has a program of the guest at its other end.

The guest is not trusted: it could name any pseudo-terminal of the VM host, for example that of an administrator. So
the instance's own process must hold the master side of the one that it names.
"""

from __future__ import annotations

import os
import re
import time
from typing import Dict, Iterator, List, NamedTuple, Optional

from .._mconsole import procfs
from .._mconsole.console import Console
from .._mconsole.errors import InputError, NotAllowedError, NotThereError
from .._mconsole.instances import Place

USUAL = ("ssl1", "con1", "ssl0", "con2", "con3", "con4", "con5", "con6", "ssl2", "ssl3", "con0")
_POLL = 0.1
_NAME = re.compile(r"(con|ssl)([0-9]{1,2})")
_OPEN = re.compile(r"pts:/dev/pts/([0-9]{1,9})")


class Found(NamedTuple):
    """A line whose other end a program of the guest has open: its name and the path of its pseudo-terminal."""

    name: str
    path: str


def console_of(place: Place, timeout: float) -> Console:
    """Return the console of an instance."""
    return Console(place.console, place.umid, timeout)


def check_name(name: str) -> str:
    """Return the name of a line.

    :raises InputError: when it is not one
    """
    match = _NAME.fullmatch(name)
    if match is None or int(match.group(2)) >= (16 if match.group(1) == "con" else 64):
        raise InputError(f"{name!r} is not a line; expected con0 to con15 or ssl0 to ssl63, for example ssl1")
    return name


def device_of(name: str) -> str:
    """Return what the guest calls a line, such as ``/dev/ttyS1``."""
    return f"/dev/tty{'S' if name.startswith('ssl') else ''}{name[3:]}"


def find(console: Console, name: Optional[str], deadline: float) -> Found:
    """Return the line of that name, or the first usual one, as soon as the guest has it open.

    :raises NotThereError: when that does not happen before the deadline
    """
    names = [check_name(name)] if name else list(USUAL)
    while True:
        said = _settings(console, names)
        late = time.monotonic() > deadline
        try:
            found = next(_opened(console, said), None)
        except NotAllowedError:
            if late:
                raise
            found = None  # it was hung up just now
        if found is not None:
            return found
        if late:
            raise NotThereError(_nothing(console.umid, said), umid=console.umid, lines=said)
        time.sleep(_POLL)


def _settings(console: Console, names: List[str]) -> Dict[str, str]:
    return {name: (console.ask(f"config {name}") or "none").strip() for name in names}


def _opened(console: Console, said: Dict[str, str]) -> Iterator[Found]:
    for name, setting in said.items():
        match = _OPEN.match(setting)
        if match is not None:
            yield Found(name, _terminal(console, name, int(match.group(1))))


def _terminal(console: Console, line: str, number: int) -> str:
    """Return the path of a pseudo-terminal whose master side the instance holds, as its own process sees it.

    :raises NotAllowedError: when the instance does not hold it
    """
    pid = console.pid()
    if pid is None or number not in _held(pid):
        raise NotAllowedError(
            f"{console.umid} says that {line} is /dev/pts/{number}, which its process does not hold; nothing was sent",
            umid=console.umid,
        )
    inside = f"/proc/{pid}/root/dev/pts/{number}"
    return inside if os.path.exists(inside) else f"/dev/pts/{number}"


def _held(pid: int) -> List[int]:
    """Return the numbers of the pseudo-terminals whose master side a process has open (linux drivers/tty/pty.c)."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []
    masters = [name for name in names if (procfs.link(f"/proc/{pid}/fd/{name}") or "").endswith("ptmx")]
    texts = [procfs.read_text(f"/proc/{pid}/fdinfo/{name}") for name in masters]
    found = [re.search(r"^tty-index:\s*([0-9]+)$", text, re.MULTILINE) for text in texts]
    return [int(match.group(1)) for match in found if match is not None]


def _nothing(umid: str, said: Dict[str, str]) -> str:
    """Return the sentence that says why there is no line to a program of the guest, and what to do."""
    first = next(iter(said))
    waiting = [name for name, setting in said.items() if setting.startswith("pts")]
    null = [name for name, setting in said.items() if setting.startswith("null")]
    if waiting:
        line = waiting[0]
        return (
            f"{line} of {umid} has no program at its other end: nothing in the guest has {device_of(line)} open;"
            f" start a getty or a shell there, or set ansible_uml_line to a line that has one"
        )
    if null and first in null:
        return (
            f"{first} of {umid} is a null channel, which leads nowhere: set it to pts (uml.mconsole.device); the kernel"
            f" refuses that while the guest has {device_of(first)} open, so start the instance with {first}=pts then"
        )
    return (
        f"{first} of {umid} is {said[first]!r}; expected pts: set it to pts (uml.mconsole.device), and let a getty or a"
        f" shell of the guest open {device_of(first)}"
    )
