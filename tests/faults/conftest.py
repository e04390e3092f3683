# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab of a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.lab import Lab, lab


@pytest.fixture(scope="session")
def faulty(make_user: Callable[..., str]) -> Iterator[Lab]:
    """Lend a lab, in which every row ends as it began."""
    with lab(make_user("faults")) as made:
        yield made
