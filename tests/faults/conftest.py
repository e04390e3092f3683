# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab of a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from faults import page
from faults.lab import Lab, lab
from faults.rows import PARTS

# Those that take minutes are not even collected unless all are wanted.
collect_ignore = [] if os.environ.get("UML_FAULTS") == "all" else ["test_adopt.py", "test_restore.py", "test_roll.py"]


@pytest.fixture(scope="session")
def faulty(make_user: Callable[..., str]) -> Iterator[Lab]:
    """Yield a lab, in which every row ends as it began."""
    with lab(make_user("faults")) as made:
        yield made


def pytest_sessionstart(session: pytest.Session) -> None:
    """Forget what was measured before, when a page is to be written; what failed alone is tried a second time."""
    if _writes(session) and not session.config.getoption("lf"):
        page.forget()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, when every row has passed."""
    if _writes(session) and exitstatus == 0:
        page.write({title: [row.slug for row in rows] for title, rows in PARTS.items()})


def _writes(session: pytest.Session) -> bool:
    return bool(os.environ.get("UML_WRITE_DOCS")) and not hasattr(session.config, "workerinput")
