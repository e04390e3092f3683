# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Have a guest write out its disks, and see whether it has.

The kernel reports each sync in its log ("Emergency Sync complete"). A guest that stores its log, such as one with
journald, then has dirty pages again. Those pages do not count: the sync wrote all that was dirty before it.
"""

from __future__ import annotations

from typing import Dict

from .._mconsole.console import Console

_OWN_PAGES = 64  # pages that the log of one sync dirties at most; measured with journald: 4 to 20


class DiskSync:
    """One sync of the disks of an instance; ``is_done`` asks the guest how far it is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._dirtied = 0

    def request(self) -> bool:
        """Ask for a sync and return whether the kernel said OK."""
        self._dirtied = _pages(self._console).get("nr_dirtied", 0)
        return self._console.request("sysrq s").ok

    def is_clean(self) -> bool:
        """Return whether no page at all waits to be written."""
        pages = _pages(self._console)
        return bool(pages) and not pages["nr_dirty"] and not pages["nr_writeback"]

    def is_done(self) -> bool:
        """Return whether no page waits to be written, other than those that the sync itself dirtied."""
        pages = _pages(self._console)
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
