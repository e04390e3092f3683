# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks of scale and endurance measure: processes, and tables of docs/limits.md."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.paths import CHECKOUT

PAGE = CHECKOUT / "docs" / "limits.md"


@dataclass(frozen=True)
class Use:
    """What processes have together.

    ``memory`` (kB) counts what several share once, and so depends on what else runs; ``own`` (kB) is what they have
    allocated themselves.
    """

    memory: int
    own: int
    descriptors: int
    threads: int


def use(pids: Iterable[int]) -> Use:
    """Add up processes; one that ended meanwhile has nothing."""
    spaces: set[str] = set()  # the helpers of an old kernel share its memory, and so say the same of it
    descriptors = threads = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            spaces.add(Path(f"/proc/{pid}/smaps_rollup").read_text())
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            threads += _number(Path(f"/proc/{pid}/status").read_text(), "Threads")
    memory, own = (sum(_number(each, name) for each in spaces) for name in ("Pss", "Anonymous"))
    return Use(memory, own, descriptors, threads)


def _number(text: str, name: str) -> int:
    """Return the number of a line `Name:  123 kB`."""
    match = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else 0


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as a table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def tell(name: str, text: str) -> None:
    """Print a table, and with UML_WRITE_DOCS put it into its place in docs/limits.md."""
    print(f"\n{text}", end="")  # noqa: T201  # the benchmarks' own output
    if os.environ.get("UML_WRITE_DOCS"):
        place = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = place.subn(lambda match: match[1] + text + match[2], PAGE.read_text())
        if count != 1:
            raise SystemExit(f"{PAGE} has {count} places for {name}")
        PAGE.write_text(page)
