# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A collector of the tests' own, with its own journal, that covers the instances of one uml_dir alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.uml.mconsole.plugins.module_utils._journal.journal import Reader
from support.run_operation import operate
from support.wait import wait_until

Event = dict[str, Any]


class Collecting:
    """A collector as its module runs it, and the journal that it writes."""

    def __init__(self, uml_dir: Path) -> None:
        self.uml_dir = uml_dir
        self.directory = uml_dir / "journal"

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the module's arguments that every call needs."""
        return {"journal_dir": str(self.directory), "uml_dirs": [str(self.uml_dir)]}

    def __call__(self, state: str = "started", check: bool = False, **more: Any) -> dict[str, Any]:
        """Run the module, which must not fail."""
        result = operate("collector", check, state=state, **{**self.arguments, **more})
        if result.get("failed"):
            raise AssertionError(result["msg"])
        return result

    @property
    def notify(self) -> Path:
        """Return the socket that all instances share."""
        return self.uml_dir / ".notify"

    def events(self, *types: str, umid: str | None = None, after: int = 0) -> list[Event]:
        """Return what is in the journal, of some types, of one instance."""
        return [
            each
            for each in Reader(str(self.directory), after).read()
            if (not types or each["type"] in types) and umid in (None, each["umid"])
        ]

    def wait(self, kind: str, umid: str | None = None, data: str = "", timeout: float = 60, after: int = 0) -> Event:
        """Return the first event of a type that holds a text."""
        return wait_until(
            lambda: next((each for each in self.events(kind, umid=umid, after=after) if data in each["data"]), None),
            timeout,
            lambda: f"{kind} {umid} {data!r} in\n" + "\n".join(map(str, self.events()[-12:])),
        )

    def lines(self) -> list[Event]:
        """Return every line of the journal's files, each of which must be JSON."""
        files = sorted(self.directory.glob("events-*.jsonl"))
        return [json.loads(line) for path in files for line in path.read_bytes().splitlines()]

    def size(self) -> int:
        """Return the bytes that the journal takes."""
        return sum(path.stat().st_size for path in self.directory.glob("events-*"))


@contextmanager
def collecting(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that is not started yet; it ends with the test."""
    found = Collecting(uml_dir)
    try:
        yield found
    finally:
        found("stopped")
