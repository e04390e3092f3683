# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The text of all metrics of a collector, made when it is wanted, and not more often than each second."""

from __future__ import annotations

import os
import time
from typing import Callable, Dict, Optional

from .._metrics import usage
from .._metrics.exposition import text_of
from . import metric_families
from .metric_families import Snapshot
from .sampler import Sampler

_FRESH = 1.0  # seconds that a text is given again: those who ask without end cost nothing


class Metrics:
    """``read`` returns the snapshot of a collector; its numbers about itself are added here."""

    def __init__(self, read: Callable[[], Snapshot], sampler: Optional[Sampler]) -> None:
        self._read = read
        self._sampler = sampler
        self._began = time.time()
        self._text = ""
        self._made = -_FRESH
        self._seconds = 0.0

    def text(self) -> str:
        """Return the metrics as they are now, or were a moment ago."""
        now = time.monotonic()
        if now - self._made >= _FRESH:
            found = self._read()
            found.counters = {**found.counters, **self._own()}
            self._text = text_of(metric_families.families(found))
            self._made = time.monotonic()
            self._seconds = self._made - now
        return self._text

    def _own(self) -> Dict[str, float]:
        asked = {"ask_seconds": self._sampler.seconds} if self._sampler is not None else {}
        return {
            "began": self._began,
            "now": time.time(),
            "make_seconds": self._seconds,
            "cpu_seconds": sum(os.times()[:2]),
            "resident": usage.own(),
            **asked,
        }
