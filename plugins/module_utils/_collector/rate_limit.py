# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How many events one instance may write, so that it cannot crowd out the events of others."""

from __future__ import annotations

import time

_BURST = 20  # seconds' worth of events that an instance may write at once


class RateLimit:
    """A limit of ``rate`` events a second on average, with bursts; 0 means no limit."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate * _BURST
        self._at = time.monotonic()
        self.refused = 0

    def take(self) -> bool:
        """Return whether one more event may be written; count those that may not."""
        if not self._rate:
            return True
        if self._left < 1 and not self._refill():
            self.refused += 1
            return False
        self._left -= 1
        return True

    def pop_suppressed(self, is_over: bool) -> int:
        """Return how many events were refused, once events may be written again or none will follow."""
        if not self.refused or not (is_over or self._refill()):
            return 0
        count, self.refused = self.refused, 0
        return count

    def _refill(self) -> bool:
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * self._rate, self._rate * _BURST)
        self._at = now
        return self._left >= 1
