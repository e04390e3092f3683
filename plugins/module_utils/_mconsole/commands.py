# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of console commands: one row a word, and what follows from it.

Source: linux arch/um/drivers/mconsole_user.c ``commands[]``; the kernel matches by prefix
(``halt_me`` halts), so only these words, whole, are ever sent.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Dict

from .errors import InputError
from .wire import Request

QUIET_SYSRQ = "hHlmpqRtwz"  # keys that print and change nothing
PROCESS = "process"
INTERRUPT = "interrupt"


@dataclass(frozen=True)
class Word:
    """A command word: where the kernel runs it, whether it changes something, whether its reply may be long.

    ``ends`` is whether the command ends this boot; the kernel says OK before.
    """

    name: str
    context: str
    changes: bool
    long_reply: bool
    arguments: str
    ends: bool = False


WORDS: Dict[str, Word] = {
    word.name: word
    for word in (
        Word("version", PROCESS, False, False, ""),
        Word("help", INTERRUPT, False, False, ""),
        Word("halt", PROCESS, True, False, "", ends=True),
        Word("reboot", PROCESS, True, False, "", ends=True),
        Word("config", PROCESS, True, False, "DEVICE[=SETTING]"),
        Word("remove", PROCESS, True, False, "DEVICE"),
        Word("sysrq", INTERRUPT, True, True, "KEY"),
        Word("cad", INTERRUPT, True, False, ""),
        Word("stop", PROCESS, True, False, ""),
        Word("go", INTERRUPT, True, False, ""),
        Word("log", INTERRUPT, True, False, "TEXT"),
        Word("proc", PROCESS, False, True, "PATH"),
        Word("stack", INTERRUPT, False, True, "PID"),
    )
}


@dataclass(frozen=True)
class Command:
    """A request that names one known word: ``word``, ``argument`` and what the table says of it."""

    request: Request
    word: Word
    argument: str

    @property
    def text(self) -> str:
        """Return the command as it is sent."""
        return self.request.text

    @property
    def changes(self) -> bool:
        """Return whether it changes something: a ``config`` without ``=`` only asks."""
        if self.word.name == "config":
            return "=" in self.argument
        if self.word.name == "sysrq":
            return self.argument[:1] not in QUIET_SYSRQ
        return self.word.changes


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Command:
    """Return the command in a line of text.

    :raises InputError: when its first word is not one of the thirteen, or lacks or has an argument against the table
    """
    head, _space, rest = text.partition(" ")
    word = WORDS.get(head)
    if word is None:
        raise InputError(f"{head!r} is not a console command; expected one of {', '.join(sorted(WORDS))}", command=text)
    argument = (rest[:-1] if head == "log" and rest.endswith("\n") else rest).strip(" ")
    if bool(argument) != bool(word.arguments):
        wanted = repr(f"{head} {word.arguments}") if word.arguments else f"{head!r} alone"
        raise InputError(f"the console command {text!r} is incomplete or too long; expected {wanted}", command=text)
    return Command(Request(_line(head, argument)), word, argument)


def _line(head: str, argument: str) -> str:
    """Return the text to send; a log line ends with a newline, else it shows only with the next one."""
    if not argument:
        return head
    return f"{head} {argument}\n" if head == "log" else f"{head} {argument}"
