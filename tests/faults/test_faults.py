# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault of the matrix, on a real instance behind a real ssh server."""

from __future__ import annotations

import pytest

from faults.lab import Lab
from faults.rows import ROWS, Row
from faults.verdict import judge


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.slug)
def test_fault(row: Row, faulty: Lab) -> None:
    judge(faulty, row)
