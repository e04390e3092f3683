# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a crash report, made of what the tasks of the playbook returned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Answers = Mapping[str, Any]
# What a terminal would obey, for reports are read on one.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def files(answers: Answers, size: int) -> dict[str, str]:
    """Return the text of each file by its name, of at most so many bytes."""
    return {name: bounded(write(answers), size) for name, write in _FILES.items()}


def bounded(text: str, size: int) -> str:
    """Return the end of a text, without anything that a terminal would obey."""
    clean = _UNPRINTABLE.sub("?", text.replace("\r\n", "\n"))
    return clean.encode("utf-8", "replace")[-size:].decode("utf-8", "ignore") + "\n"


def _answer(answers: Answers, name: str) -> Mapping[str, Any]:
    found = answers.get(name)
    return found if isinstance(found, Mapping) else {}


def _json(name: str, part: str) -> Callable[[Answers], str]:
    def write(answers: Answers) -> str:
        answer = _answer(answers, name)
        return json.dumps(answer.get(part, answer), indent=4, sort_keys=True, default=str)

    return write


def _sysrq(answers: Answers) -> str:
    rows = _answer(answers, "sysrq").get("results", ())
    return "".join(_section(f"sysrq {row.get('item')}", row.get("text") or row.get("msg")) for row in rows)


def _stack(answers: Answers) -> str:
    answer = _answer(answers, "stack")
    return "".join(str(row.get("text", "")) for row in answer.get("stacks") or ()) or str(answer.get("msg", ""))


def _proc(answers: Answers) -> str:
    answer = _answer(answers, "proc")
    rows = answer.get("contents") or {}
    sections = [_section(path, row.get("text") or row.get("error")) for path, row in rows.items()]
    return "".join([*sections, str(answer.get("msg", ""))])


def _section(title: str, text: Any) -> str:
    return f"=== {title}\n{text or ''}\n"


def _console(answers: Answers) -> str:
    answer = _answer(answers, "console")
    return str(answer.get("stdout") or answer.get("stderr") or answer.get("msg", ""))


_FILES: Mapping[str, Callable[[Answers], str]] = {
    "instance.json": _json("info", "instances"),
    "facts.json": _json("facts", "ansible_facts"),
    "sysrq.txt": _sysrq,
    "stack.txt": _stack,
    "proc.txt": _proc,
    "console.txt": _console,
}
