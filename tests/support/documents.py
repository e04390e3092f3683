# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The code blocks of guides and of the README, in their order, so that tests can do what a reader does.

A block of YAML with a file's name (the caption in a guide, the last such word of the line before it in the README) is a
file to write; a block of shell is to be run; a block of text right behind it is what it prints, ``...`` for anything.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.paths import CHECKOUT

GUIDES = CHECKOUT / "docs" / "docsite" / "rst"
README = CHECKOUT / "README.md"
_NOT_RUN = ".. not run:"


@dataclass(frozen=True)
class Block:
    """One block of code."""

    document: str
    line: int
    language: str
    text: str
    name: str = ""
    section: str = ""
    run: bool = True

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def guides() -> list[Path]:
    """List the guides, by name."""
    return sorted(GUIDES.glob("guide_*.rst"))


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a document."""
    read = _of_markdown if path.suffix == ".md" else _of_rst
    return list(read(path.name, path.read_text().splitlines()))


def examples(plugin: Path) -> str:
    """Return the examples of a plugin; empty if there are none."""
    match = re.search(r'^EXAMPLES = r"""\n(.*?)"""', plugin.read_text(), re.DOTALL | re.MULTILINE)
    return match.group(1) if match else ""


def said(expected: str, output: str) -> str:
    """Return the first line of the expected ones that is not in the output, in their order; empty if all are.

    What `ansible` prints for a host is looked for by itself: hosts answer in any order.
    """
    return next(filter(None, (_missing(part, output) for part in _by_host(expected))), "")


def _by_host(text: str) -> list[str]:
    return re.split(r"^(?=\S+ \| )", text, flags=re.MULTILINE)


def _missing(expected: str, output: str) -> str:
    left = [_words(line) for line in output.splitlines()]
    for line in filter(_words, expected.splitlines()):
        pattern = _pattern(_words(line))
        index = next((index for index, each in enumerate(left) if pattern.fullmatch(each)), None)
        if index is None:
            return line
        del left[: index if line.strip() == "..." else index + 1]
    return ""


def _words(line: str) -> str:
    return " ".join(line.split())


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, line.split("..."))))


def _of_rst(document: str, lines: list[str]) -> Iterator[Block]:
    for index, line in enumerate(lines):
        match = re.fullmatch(r"( *)\.\. code-block:: ([a-z0-9+-]+)", line)
        if match is None:
            continue
        body = _indented(lines[index + 1 :], len(match.group(1)))
        options = [each for each in body[: body.index("")] if each.strip().startswith(":")] if "" in body else []
        caption = next((each.split(":caption:")[1].strip() for each in options if ":caption:" in each), "")
        text = textwrap.dedent("\n".join(body[len(options) :])).strip("\n") + "\n"
        run = not any(each.strip().startswith(_NOT_RUN) for each in lines[max(0, index - 2) : index])
        yield Block(document, index + 1, match.group(2), text, caption.strip("`"), run=run)


def _indented(lines: list[str], outer: int) -> list[str]:
    end = next((n for n, line in enumerate(lines) if line and len(line) - len(line.lstrip()) <= outer), len(lines))
    return lines[:end]


def _of_markdown(document: str, lines: list[str]) -> Iterator[Block]:
    section, start = "", None
    for index, line in enumerate(lines):
        if start is None and line.startswith("#"):
            section = line.strip("# ")
        if line.startswith("```"):
            if start is None:
                start = index
                continue
            text = "\n".join(lines[start + 1 : index]) + "\n"
            yield Block(document, start + 1, lines[start][3:], text, _named(lines[:start]), section)
            start = None


def _named(before: list[str]) -> str:
    paragraph = next((line for line in reversed(before) if line), "")
    names = re.findall(r"`([\w.-]+\.(?:yml|cfg))`", paragraph)
    return names[-1] if names else ""
