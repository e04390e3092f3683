# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault of the matrix, on a real instance behind a real ssh server.

Those that take long are left out unless ``UML_FAULTS=all``; with that and ``UML_WRITE_DOCS=1`` the page
docs/reliability.md is written again from the measured results.
"""

from __future__ import annotations

import os

import pytest

from faults import page
from faults.check_row import check_row
from faults.lab import Lab
from faults.rows import ROWS, Row

WANTED = [row for row in ROWS if not row.slow or os.environ.get("UML_FAULTS") == "all"]


@pytest.mark.parametrize("row", WANTED, ids=lambda row: row.slug)
def test_fault(row: Row, faulty: Lab) -> None:
    try:
        line = check_row(faulty, row)
    except BaseException:
        faulty.repair()
        raise
    line.keep(row.slug)
    if not os.environ.get("UML_WRITE_DOCS"):
        assert page.same(line), f"docs/reliability.md says {page.written().get(row.name)}, and it was {line.cells()}"


def test_the_page_has_every_row_and_no_other() -> None:
    if not os.environ.get("UML_WRITE_DOCS"):
        assert list(page.written()) == ["fault", *(row.name for row in ROWS)]
