# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ask from outside whether a guest is up: whether its line has a login, or a command in it succeeds."""

from __future__ import annotations

import contextlib
import time
from typing import Optional

from .._mconsole.errors import Error, NotAllowedError
from .._mconsole.instances import Place
from . import finder, login
from .line import Gone
from .login import Account
from .sessions import Door, Sessions, open_line

_QUIET = 1.0  # seconds in which a login or a shell that was woken says something
_PATIENCE = 10.0
_ROOT = Account("root", None, "/bin/sh")


def has_login(place: Place) -> bool:
    """Return whether a login prompt or a shell of the guest answers at a line; it logs no user in."""
    with contextlib.suppress(Error, Gone), contextlib.ExitStack() as stack:
        line = open_line(place, None, time.monotonic(), 1.0)
        stack.callback(line.close)
        stack.enter_context(line.alone(time.monotonic()))
        return login.is_there(line, time.monotonic() + _QUIET)
    return False


def succeeds(place: Place, command: str) -> bool:
    """Return whether a command ends with status 0 in the guest, as root.

    :raises NotAllowedError: when root's login asks for a password
    """
    sessions = Sessions()
    try:
        if not _is_open(place):
            return False
        door = Door(place, None, _ROOT, "auto", 1.0)
        with sessions.borrow(door, _PATIENCE, lambda: False) as session:
            return session.run(command, None).rc == 0
    except NotAllowedError:
        raise
    except (Error, Gone):
        return False
    finally:
        sessions.close()


def _is_open(place: Place) -> bool:
    line: Optional[finder.Found] = None
    with contextlib.suppress(Error):
        line = finder.find(finder.console_of(place, 1.0), None, time.monotonic())
    return line is not None
