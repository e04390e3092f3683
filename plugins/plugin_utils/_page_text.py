# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepare the words of a page: text of guests that is harmless to look at, sizes and times that people read.

The template escapes everything. This file removes what escaping does not help against: characters that turn the
direction of writing, hide, or pile up marks on one letter. Numbers are rounded to what a reader can use, so that an
idle fleet gives an identical page.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable
from typing import Any

from ansible_collections.uml.mconsole.plugins.module_utils._guest.console_log import harmless

_MOST_MARKS = 2  # on one letter
_STEP = 5  # per cent
_UNSEEN = "\ufffd"


def clean(value: Any, longest: int = 200) -> str:
    """Return any text as one line that shows all its characters."""
    return shorten(" | ".join(_visible(value).replace("\t", " ").splitlines()), longest)


def clean_lines(value: Any, longest: int = 1500) -> str:
    """Return any text with its lines."""
    return shorten("\n".join(_visible(value).splitlines()), longest)


def shorten(text: str, longest: int) -> str:
    """Return the text, or the start of it."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _visible(value: Any) -> str:
    text = str("" if value is None else value).encode("utf-8", "replace").decode("utf-8")
    return "".join(_shown(harmless(text)))


def _shown(text: str) -> Iterable[str]:
    marks = 0
    for char in text:
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if kind.startswith("C") and char not in "\n\t":
            yield _UNSEEN
        elif marks <= _MOST_MARKS:
            yield char


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts web2 before web10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", text)]


def size(number: float) -> str:
    """Return bytes in the largest unit of which there is at least one."""
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if number < 1024 or unit == "TB":
            break
        number /= 1024
    return f"{number:.1f} {unit}" if number < 10 and number != int(number) else f"{number:.0f} {unit}"


def percent(part: float, whole: float) -> int:
    """Return a share in per cent, to the next five."""
    return max(0, min(100, round(part / whole * 100 / _STEP) * _STEP)) if whole > 0 else 0


def when(seconds: Any, form: str = "%Y-%m-%d %H:%M") -> dict[str, str]:
    """Return seconds since 1970 as a local time, for people and for programs; empty texts when they are not a time."""
    try:
        moment = float(seconds)
        iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        return {"text": time.strftime(form, time.localtime(moment)), "iso": iso}
    except (TypeError, ValueError, OverflowError, OSError):
        return {"text": "", "iso": ""}


def count(number: int, word: str, plural: str = "") -> str:
    """Return a number with its word: 1 instance, 2 instances."""
    return f"{number} {word if number == 1 else plural or word + 's'}"


def listing(words: list[str], most: int) -> str:
    """Return words with commas, of many the first ones."""
    rest = len(words) - most
    return ", ".join(words) if rest <= 1 else f"{', '.join(words[:most])} and {rest} more"
