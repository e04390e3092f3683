# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The error tree, split by what the caller can do about it.

::

    Error
    +-- InputError        a value that cannot be used; nothing was sent
    +-- NotThereError     no such instance, console or file: look at the name and the uml_dir
    +-- NotAllowedError   it is there, but not for this user: become its owner
    +-- DangerError       it would kill or freeze the instance; nothing was sent: set force=true
    +-- RefusedError      the kernel said no; nothing else was changed
    +-- UnansweredError   sent, and no answer came: it may have happened
    +-- ProtocolError     the reply is not in the mconsole protocol
    +-- UnverifiedError   the kernel said OK, and what shows the result says otherwise
"""

from __future__ import annotations

from typing import Any, Dict


class Error(Exception):
    """Root of all errors that a user can meet; the message is one sentence that names the thing.

    ``facts`` are JSON values (umid, command, path, ...) that a program can read.
    """

    kind = "error"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts

    def describe(self) -> Dict[str, Any]:
        """Return the error as flat JSON values, for a module's result."""
        return {"kind": self.kind, **self.facts}


class InputError(Error):
    """A value that cannot be used; nothing was sent."""

    kind = "input"


class NotThereError(Error):
    """No such instance, console or file."""

    kind = "not_there"


class NotAllowedError(Error):
    """It is there, but this user may not use it."""

    kind = "not_allowed"


class DangerError(Error):
    """The command would kill or freeze the instance; it was not sent."""

    kind = "danger"


class RefusedError(Error):
    """The kernel answered, and said no."""

    kind = "refused"


class UnansweredError(Error):
    """The command was sent and no answer came in time: it may have happened."""

    kind = "unanswered"


class ProtocolError(Error):
    """The reply is not in the mconsole protocol."""

    kind = "protocol"


class UnverifiedError(Error):
    """The kernel said OK, but what shows the result says otherwise."""

    kind = "unverified"
