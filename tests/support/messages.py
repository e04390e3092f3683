# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages in the source, to compare them with the messages that the troubleshooting page quotes.

The text of a message in the source is a *template*: its fixed text, with a NUL wherever a value is inserted.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

VALUE = "\0"
SHORTEST = 8  # characters of fixed text by which a template can be recognised
SHORTEST_PART = 24  # the same, where it may be a part of a message


@dataclass(frozen=True)
class Message:
    """One message in the source."""

    where: str
    error: str  # the class of the exception; empty for a text that is raised in another way
    template: str

    @property
    def is_specific(self) -> bool:
        """Return whether the message has enough fixed text to be recognised."""
        return max(map(len, self.template.split(VALUE))) >= (SHORTEST if self.error else SHORTEST_PART)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("(?s:.*)".join(map(re.escape, self.template.split(VALUE))))

    def fits(self, quoted: str) -> bool:
        """Return whether a quoted message can be this one; a text that no class is raised with may be a part of it."""
        find = self._pattern.fullmatch if self.error else self._pattern.search
        return self.is_specific and find(quoted) is not None


def alternatives(node: ast.AST) -> list[str]:
    """Return every template that an expression can yield."""
    if isinstance(node, ast.Constant):
        return [" ".join(node.value.split(" "))] if isinstance(node.value, str) else [VALUE]
    if isinstance(node, ast.JoinedStr):
        return _product(node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _product([node.left, node.right])
    if isinstance(node, ast.IfExp):
        return alternatives(node.body) + alternatives(node.orelse)
    if isinstance(node, ast.FormattedValue) and node.format_spec is None and node.conversion == -1:
        return alternatives(node.value)
    return [VALUE]


def _product(nodes: list[ast.expr]) -> list[str]:
    parts = itertools.product(*map(alternatives, nodes))
    return [re.sub(f"{VALUE}+", VALUE, "".join(part)) for part in parts]


def messages(folder: Path, errors: set[str]) -> Iterator[Message]:
    """Yield the messages in a folder: those of the error classes, and every other text with a space."""
    for path in sorted(folder.rglob("*.py")):
        raised = set()
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and name in errors and node.args:
                raised.add(id(node.args[0]))
                yield from _found(path, name, node.args[0])
            elif isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)) and id(node) not in raised:
                yield from _found(path, "", node)


def _found(path: Path, error: str, node: ast.expr) -> Iterator[Message]:
    for template in alternatives(node):
        if " " in template.strip():
            yield Message(f"{path.name}:{node.lineno}", error, template)


def readable(template: str) -> str:
    """Return a template as a page can quote it."""
    return template.replace(VALUE, "VALUE")


def nearest(text: str, candidates: list[str]) -> str:
    """Return the candidate that is most like a text, to repair a quotation with."""
    return next(iter(difflib.get_close_matches(text, candidates, 1, 0.3)), "nothing like it")


def quoted(page: str) -> list[str]:
    """Return the messages that a page quotes: the literals in the first cells of its tables."""
    cells = re.findall(r"^(?:   \* - (?:\| )?|       \| )``(.+)``$", page, re.MULTILINE)
    return [cell for cell in cells if " " in cell]
