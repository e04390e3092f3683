# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is unusual on a console: regular expressions with a name and a severity, built in and the user's own."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Pattern, Sequence, Tuple

from .._journal.event_filter import SEVERITIES
from .._mconsole.errors import InputError

_WIDTH = 1024  # characters of a line that are looked at: a guest chooses how long its lines are


class Watch(NamedTuple):
    """One thing to look for; a text without any of the ``needles`` holds no match, and most texts have none."""

    name: str
    severity: str
    regex: Pattern[str]
    needles: Tuple[str, ...] = ()


def _built_in(name: str, severity: str, regex: str, *needles: str) -> Watch:
    return Watch(name, severity, re.compile(regex), needles)


# As kernels 6.1 to 7.2 print them: lib/bug.c, kernel/panic.c, mm/oom_kill.c, kernel/hung_task.c, kernel/watchdog.c,
# kernel/rcu/tree_stall.h, arch/um/kernel/trap.c.
BUILT_IN: Tuple[Watch, ...] = (
    _built_in("panic", "critical", r"Kernel panic - not syncing", "Kernel panic"),
    _built_in(
        "oops",
        "critical",
        r"\bOops\b|Unable to handle kernel|NULL pointer dereference|general protection fault|Kernel mode fault",
        *("Oops", "Unable to handle", "NULL pointer", "general protection", "Kernel mode fault"),
    ),
    _built_in("out_of_memory", "error", r"Out of memory: |invoked oom-killer", "Out of memory", "oom-killer"),
    _built_in("hung_task", "error", r"blocked for more than \d+ seconds", "blocked for more"),
    _built_in(
        "soft_lockup", "error", r"(soft|hard) lockup|LOCKUP|detected stalls?\b", "lockup", "LOCKUP", "detected stall"
    ),
    _built_in("bug", "error", r"\bBUG: |kernel BUG at ", "BUG"),
    _built_in("login", "info", r"\blogin: ?$", "login:"),
)


def watches(given: Sequence[Mapping[str, Any]]) -> List[Watch]:
    """Return the user's patterns and the built-in ones that they do not replace by name.

    A pattern is ``{"name": str, "regex": str, "severity": str}``.

    :raises InputError: when one is not a regular expression, or a name is given twice
    """
    own = [_own(watch) for watch in given]
    names = [watch.name for watch in own]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the pattern {twice[0]!r} is given twice")
    return [*own, *(watch for watch in BUILT_IN if watch.name not in names)]


def _own(given: Mapping[str, Any]) -> Watch:
    name, severity = str(given["name"]), str(given.get("severity") or "warning")
    if severity not in SEVERITIES:
        raise InputError(f"the pattern {name!r} has the severity {severity!r}; expected one of {', '.join(SEVERITIES)}")
    try:
        return Watch(name, severity, re.compile(str(given["regex"])))
    except re.error as err:
        raise InputError(f"the pattern {name!r} is not a regular expression: {err}") from err


def find(wanted: Sequence[Watch], lines: Sequence[str]) -> Iterator[Tuple[Watch, str]]:
    """Yield (watch, line) for each line, in order, with the first watch that it matches."""
    text = "\n".join(lines)
    live = [watch for watch in wanted if not watch.needles or any(needle in text for needle in watch.needles)]
    for line in lines if live else ():
        seen = line[:_WIDTH]
        found = next((watch for watch in live if watch.regex.search(seen)), None)
        if found is not None:
            yield found, line


def describe(wanted: Sequence[Watch]) -> List[Dict[str, str]]:
    """Return the patterns as a user gives them."""
    return [{"name": watch.name, "regex": watch.regex.pattern, "severity": watch.severity} for watch in wanted]
