# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Have a guest write out its disks, and see whether it has.

A sync itself makes pages dirty: ext4 commits its journal and then has its blocks to write in their places (9 pages on
6.1), and the kernel reports the sync in its log ("Emergency Sync complete"), which a guest with journald stores. Those
pages do not count: the sync wrote all that was dirty before it, and the journal has the rest.
"""

from __future__ import annotations

import time
from typing import Dict, Tuple

from .._mconsole.console import Console

_QUIET = 0.1  # seconds without a change; see _OWN_PAGES for how long one sync has effects
_OWN_PAGES = 64  # that one sync dirties at most; measured with journald on three kernels: 7 to 15 in 85 ms


class DiskSync:
    """One sync of the disks of an instance; ``is_done`` asks the guest how far it is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._dirtied = 0
        self._settled_at = -1  # the counter of dirtied pages once the sync had no further effect
        self._last: Tuple[float, Dict[str, int]] = (0.0, {})

    def request(self) -> bool:
        """Ask for a sync and return whether the kernel said OK."""
        self._dirtied = _pages(self._console).get("nr_dirtied", 0)
        return self._console.request("sysrq s").ok

    def is_still_done(self) -> bool:
        """Return whether all that was dirtied since the sync is written, or nothing was."""
        pages = _pages(self._console)
        if not pages or pages["nr_writeback"]:
            return False
        return not pages["nr_dirty"] or pages["nr_dirtied"] == self._settled_at

    def is_done(self) -> bool:
        """Return whether no page waits to be written, other than those that the sync itself dirtied."""
        return self._is_done(_pages(self._console))

    def is_settled(self) -> bool:
        """Return whether the sync is done, and no counter has moved for a moment: the journal is committed as well."""
        pages, now = _pages(self._console), time.monotonic()
        if pages != self._last[1]:
            self._last = (now, pages)
        if not self._is_done(pages) or now - self._last[0] < _QUIET:
            return False
        self._settled_at = pages["nr_dirtied"]
        return True

    def _is_done(self, pages: Dict[str, int]) -> bool:
        if not pages or pages["nr_writeback"]:
            return False
        since = pages["nr_dirtied"] - self._dirtied
        return not pages["nr_dirty"] or pages["nr_dirty"] <= since <= _OWN_PAGES


def _pages(console: Console) -> Dict[str, int]:
    """Return the counters of dirty pages; nothing when the guest does not show them."""
    rows = [line.split() for line in (console.proc("vmstat") or "").splitlines()]
    wanted = ("nr_dirty", "nr_writeback", "nr_dirtied")
    found = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[0] in wanted and row[1].isdigit()}
    return found if len(found) == len(wanted) else {}
