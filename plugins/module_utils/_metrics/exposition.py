# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Metrics as text: names and units as OpenMetrics wants them, in the format that node_exporter's textfiles have."""

from __future__ import annotations

import functools
from typing import Dict, Iterator, NamedTuple, Sequence, Set, Tuple

from .._guest.console_log import harmless

_WIDTH = 200  # characters of a label: other users of a VM host choose names of instances
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
Labels = Dict[str, str]


class Family(NamedTuple):
    """One metric: its whole name, ``gauge`` or ``counter``, its help, and (labels, value) of each series."""

    name: str
    kind: str
    help: str
    samples: Sequence[Tuple[Labels, float]]


def text_of(families: Sequence[Family]) -> str:
    """Return the text of metrics; of series with the same labels the first counts, because a file may hold one only."""
    return "".join(line + "\n" for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    seen: Set[str] = set()
    for labels, value in family.samples:
        series = family.name + _labels(labels)
        if series not in seen:
            seen.add(series)
            yield f"{series} {value:.15g}"


def _labels(labels: Labels) -> str:
    words = [f'{name}="{label_value(value)}"' for name, value in labels.items()]
    return "{" + ",".join(words) + "}" if words else ""


@functools.lru_cache(maxsize=4096)  # each instance has dozens of series with the same labels
def label_value(text: str) -> str:
    """Return a label's value: bounded, valid UTF-8, without terminal escapes and control characters, escaped."""
    plain = harmless(text[: 2 * _WIDTH].encode("utf-8", "replace").decode("utf-8"))
    return " ".join(plain.split())[:_WIDTH].translate(_ESCAPES)
