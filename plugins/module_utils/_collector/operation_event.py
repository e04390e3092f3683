# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The event of an operation: each field is of its kind, on one line and bounded, also when a stranger sent it."""

from __future__ import annotations

import functools
import pwd
from typing import Any, Dict, List, Mapping, Optional

from .._guest.console_log import harmless

KIND = "operation"
_WIDTH = 300  # characters of one field
_MOST = 32  # commands
_ROOM = 4000  # characters of all commands
_TEXTS = ("umid", "uml_dir", "operation", "state", "error", "login_user", "controller_user", "controller_host")
Fields = Dict[str, Any]


def fields_of(entry: Mapping[str, Any], uid: int) -> Fields:
    """Return the fields of the event of an entry; ``uid`` is the user who runs the operation, as the host says."""
    given = entry.get("commands")
    sent = given if isinstance(given, list) else []
    commands = _commands(sent)
    fields: Fields = {name: _text(entry.get(name)) for name in _TEXTS}
    fields.update(
        user=user_name(uid),
        changed=entry.get("changed") is True,
        failed=entry.get("failed") is True,
        no_log=entry.get("no_log") is True,
        commands=commands,
        commands_left_out=len(sent) - len(commands),
    )
    return {**fields, "severity": "warning" if fields["failed"] else "info"}


def sentence(fields: Fields) -> str:
    """Return an event's text: who did what, and what came of it."""
    outcome = "changed" if fields["changed"] else "not changed"
    if fields["failed"]:
        outcome = f"failed ({fields['error'] or 'error'}), {outcome}"
    what = " ".join(filter(None, (fields["operation"], fields["state"])))
    more = [f"and {fields['commands_left_out']} more"] if fields["commands_left_out"] else []
    listed = "; ".join([*fields["commands"], *more])
    return f"{_who(fields)}: {what}: {outcome}{': ' if listed else ''}{listed}"


def _who(fields: Fields) -> str:
    user, login = fields["user"], fields["login_user"]
    local = f"{user}, logged in as {login}" if login not in (None, user) else str(user)
    if fields["controller_user"] is None and fields["controller_host"] is None:
        return local
    return f"{local}, for {fields['controller_user'] or '?'}@{fields['controller_host'] or '?'}"


@functools.lru_cache(maxsize=64)
def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _commands(given: List[Any]) -> List[str]:
    """Return the first commands, as many as there is room for."""
    found: List[str] = []
    room = _ROOM
    for command in given[:_MOST]:
        text = _text(command) or ""
        room -= len(text)
        if room < 0:
            break
        found.append(text)
    return found


def _text(value: Any) -> Optional[str]:
    """Return text on one line that a terminal shows and does not obey, or None if it is not text."""
    if not isinstance(value, str):
        return None
    plain = harmless(value[: 2 * _WIDTH].encode("utf-8", "replace").decode("utf-8"))
    return " ".join(plain.split())[:_WIDTH]
