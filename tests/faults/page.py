# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/reliability.md: what was measured, one line for each row; written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from support.paths import CACHE, CHECKOUT

PAGE = CHECKOUT / "docs" / "reliability.md"
MEASURED = CACHE / "faults"
MARKED = re.compile(r"(<!-- measured -->\n)(.*?)(<!-- end -->)", re.DOTALL)
HEAD = "| fault | tasks under it | what they say | within | the next run |\n|---|---|---|---|---|\n"
TIME = 3  # the column that is another on another machine


@dataclass(frozen=True)
class Line:
    """What came of a row: the outcome of each task, what failed tasks said, how long the slowest took."""

    name: str
    outcomes: Mapping[str, str]
    messages: list[str]
    time: str
    next: str

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        outcomes = "<br>".join(f"{task}: {how}" for task, how in self.outcomes.items())
        return [self.name, outcomes, "<br>".join(map(_text, self.messages)) or "-", self.time, self.next]

    def keep(self, slug: str) -> None:
        """Write down for the page what was measured."""
        MEASURED.mkdir(parents=True, exist_ok=True)
        (MEASURED / f"{slug}.json").write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def _text(message: str) -> str:
    return message.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("*", "&#42;")


def written() -> dict[str, list[str]]:
    """Return the cells of each line of the page."""
    match = MARKED.search(PAGE.read_text())
    rows = (line.strip("| ").split(" | ") for line in (match[2] if match else "").splitlines())
    return {cells[0]: cells for cells in rows if len(cells) == len(HEAD.splitlines()[0].strip("| ").split(" | "))}


def same(line: Line) -> bool:
    """Return whether the page says of a row what was measured; time aside, because this machine may be another."""
    return _timeless(written().get(line.name, [])) == _timeless(line.cells())


def _timeless(cells: list[str]) -> list[str]:
    return [cell for column, cell in enumerate(cells) if column != TIME]


def forget() -> None:
    """Forget what earlier runs measured."""
    shutil.rmtree(MEASURED, ignore_errors=True)


def write(parts: Mapping[str, Iterable[str]]) -> None:
    """Write the tables from what was measured: ``{title: slug of each row}``.

    :raises FileNotFoundError: when a row was not
    """
    tables = "\n".join(f"### {title}\n\n{HEAD}{_rows(rows)}" for title, rows in parts.items())
    PAGE.write_text(MARKED.sub(lambda match: f"{match[1]}\n{tables}\n{match[3]}", PAGE.read_text()))


def _rows(slugs: Iterable[str]) -> str:
    lines = (Line(**json.loads((MEASURED / f"{slug}.json").read_text())) for slug in slugs)
    return "".join(f"| {' | '.join(line.cells())} |\n" for line in lines)
