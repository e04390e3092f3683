# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of aligned columns for a terminal, which no text of a guest can control."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDEST = 36  # what is longer is cut, so that one odd path does not push a table off the screen


def aligned(headings: Sequence[str], rows: Sequence[Sequence[Any]], widest: int = _WIDEST) -> list[str]:
    """Return the lines of a table; an empty cell is a dash."""
    lines = [list(headings), *([_cell(value, widest) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cell(value: Any, widest: int) -> str:
    text = plain(value) or "-"
    return text if len(text) <= widest else f"{text[: widest - 3]}..."


def plain(value: Any) -> str:
    """Return text of a guest without what controls a terminal."""
    return _UNPRINTABLE.sub("?", str("" if value is None else value))
