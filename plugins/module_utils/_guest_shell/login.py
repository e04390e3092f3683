# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""From a login prompt, a shell or a reader at the guest's end of a line to a reader of ours.

The reader is a shell that takes commands line by line, without echo and without an editor, and only lines that end with
its own mark: the rest of a line that got lost on the way does nothing.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import NamedTuple, Optional, Pattern

from .._mconsole.errors import InputError, NotAllowedError, NotThereError
from .line import Line

_QUIET = 0.4  # seconds in which a program that was woken says something
_ANSWER = 3.0  # seconds that a shell may take to start a reader, on a busy VM host
_ROUNDS = 12  # prompts that are answered before we give up
_END = rb"[^\n]{0,40}: ?(?:$|\r?\[ *[0-9]+\.[0-9]+\] )"  # of a prompt; the kernel may have something to say behind it
_LOGIN = re.compile(rb"(?:login|username|Anmeldung|identifiant)" + _END, re.IGNORECASE)
_PASSWORD = re.compile(rb"(?:password|passwort|mot de passe|contrase)" + _END, re.IGNORECASE)
_REFUSED = re.compile(rb"(?:login incorrect|permission denied|authentication failure)", re.IGNORECASE)
_PROMPTS = (_PASSWORD, _LOGIN)
_PATH = re.compile(r"/[\w./+-]+", re.ASCII)
_USER = re.compile(r"\w[\w.@-]*", re.ASCII)
QUIT = b"\nX .\n"  # what ends a reader


class Account(NamedTuple):
    """The user that logs in at a prompt, and the shell that reads then."""

    user: str
    password: Optional[str]
    shell: str


class Reader(NamedTuple):
    """A shell of the guest that reads commands of ours; ``mark`` distinguishes it from any other."""

    line: Line
    mark: str


def enter(line: Line, account: Account, deadline: float) -> Reader:
    """Return a reader that has just started at the other end of a line.

    :raises NotAllowedError: when the login is refused, or needs a password that is not given
    :raises NotThereError: when nothing that can be used answers in time
    :raises Gone: when the other end was closed, which it may be for a moment
    """
    _check(account)
    return _Entry(line, account, deadline).run()


def is_there(line: Line, deadline: float) -> bool:
    """Return whether something at the other end of a line speaks when it is woken; the tty itself shows line ends."""
    line.send(b"\n", deadline)
    while line.listen(deadline):
        if line.said.strip():
            return True
    return False


def _check(account: Account) -> None:
    if not _PATH.fullmatch(account.shell):
        raise InputError(f"{account.shell!r} is not the absolute path of a shell; expected one such as /bin/sh")
    if not _USER.fullmatch(account.user):
        raise InputError(f"{account.user!r} is not the name of a user; expected one such as root")
    if account.password is not None and not account.password.isprintable():
        raise InputError("ansible_uml_guest_password holds a character that cannot be typed at a prompt")


class _Entry:
    """One attempt to get to a reader, and what it has said so far."""

    def __init__(self, line: Line, account: Account, deadline: float) -> None:
        self._line, self._account, self._deadline = line, account, deadline
        self._named = self._proved = False  # whether the user and the password were given
        self._starts = 0

    def run(self) -> Reader:
        """Answer what is asked until a reader answers."""
        self._send(b"\n")
        for _round in range(_ROUNDS):
            if time.monotonic() > self._deadline:
                break
            prompt = _wait_for_prompt(self._line, self._deadline)
            if prompt is _LOGIN:
                self._give_user()
            elif prompt is _PASSWORD:
                self._give_password()
            else:
                reader = self._start()
                if reader is not None:
                    return reader
        raise NotThereError(_nobody(self._line), umid=self._line.umid, said=self._line.last_words)

    def _send(self, data: bytes) -> None:
        self._line.send(data, self._deadline)

    def _give_user(self) -> None:
        if self._proved or (self._named and _REFUSED.search(self._line.said)):
            raise self._refused()
        self._named = True
        self._line.forget()
        self._send(self._account.user.encode() + b"\n")

    def _give_password(self) -> None:
        """Give the password of the user that was named; what asks for another's, or again, gets an empty one."""
        refused, password = self._proved, self._account.password
        self._line.forget()
        if not self._named:
            self._send(b"\n")
            self._line.listen(self._soon())
            return
        self._send((password if password is not None and not refused else "").encode() + b"\n")
        if refused:
            raise self._refused()
        if password is None:
            raise NotAllowedError(
                f"{self._line.name} of {self._line.umid} asks for the password of {self._account.user}:"
                " set ansible_uml_guest_password",
                umid=self._line.umid,
            )
        self._proved = True
        self._line.listen(self._soon())  # a refusal takes some seconds

    def _soon(self) -> float:
        return min(self._deadline, time.monotonic() + _ANSWER)

    def _start(self) -> Optional[Reader]:
        """Start a reader in the shell that is there; where nothing answers may be another's reader: end that."""
        line, mark = self._line, secrets.token_hex(4)
        line.forget()
        self._send(_reader_text(self._account, mark).encode())
        if line.expect_or_prompt(re.compile(b"@@" + mark.encode() + b"@"), _PROMPTS, self._soon()):
            return Reader(line, mark)
        if not any(pattern.search(line.said) for pattern in _PROMPTS):
            self._starts += 1
            self._send(QUIT if self._starts % 2 else b"\x03" + QUIT)
        return None

    def _refused(self) -> NotAllowedError:
        return NotAllowedError(
            f"the guest refused the login of {self._account.user} on {self._line.name} of {self._line.umid}: check"
            " ansible_uml_guest_user and ansible_uml_guest_password",
            umid=self._line.umid,
        )


def _wait_for_prompt(line: Line, deadline: float) -> Optional[Pattern[bytes]]:
    """Return the kind of prompt that the guest's words end with; None when it falls silent, or never does."""
    end = min(deadline, time.monotonic() + _ANSWER)
    while True:
        for pattern in _PROMPTS:
            if pattern.search(line.said):
                return pattern
        if not line.listen(min(end, time.monotonic() + _QUIET)) or time.monotonic() > end:
            return None


# A shell that init started itself has / as HOME, and ansible-core looks for files of a user in ~USER.
_HOME = '[ "${HOME:-/}" = / ]&&eval "H=~$(id -un 2>/dev/null)"&&[ -d "$H" ]&&export HOME="$H"'


def _reader_text(account: Account, mark: str) -> str:
    """Return what makes any shell a reader; what it shows while it is typed is not what it says when it runs.

    Another reader that the same user left takes it as well, by the mark that all readers of a user share.
    """
    ours = f"#uml-{account.user}"
    cases = f'case $l in *" #$S"|*" {ours}")eval "$l";;"X .")exit;;esac'
    loop = f'cd /;S={mark};echo "@@$S"@;while IFS= read -r l;do {cases};done'
    return f"\n stty raw -echo; {_HOME}; exec {account.shell} -c '{loop}' {ours}\n"


def _nobody(line: Line) -> str:
    said = f"; it said {line.last_words.strip()[-80:]!r}" if line.last_words.strip() else ""
    return (
        f"{line.name} of {line.umid} has no login: the guest has it open, but neither a login prompt nor a shell"
        f" is there{said}"
    )
