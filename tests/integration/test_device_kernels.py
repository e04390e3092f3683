# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of docs/kernels.md are what the kernels do; UML_WRITE_DOCS=1 writes them."""

from __future__ import annotations

import os
import re

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._devices import classes, transports
from support import devices, kernel_facts, kernels
from support.paths import CHECKOUT

PAGE = CHECKOUT / "docs" / "kernels.md"
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, str]]:
    """Return every fact of every kernel."""
    found = {}
    for series in kernels.SERIES:
        with devices.machine(series) as instance:
            found[series] = kernel_facts.measure(instance)
    return found


def test_the_page_says_what_the_kernels_do(measured):
    tables = {
        "classes": kernel_facts.table(measured, kernel_facts.CLASSES),
        "behaviour": kernel_facts.table(measured, kernel_facts.BEHAVIOUR),
    }
    text = PAGE.read_text()
    written = MARKED.sub(lambda match: match[1] + tables[match[2]] + match[4], text)
    if os.environ.get("UML_WRITE_DOCS"):
        PAGE.write_text(written)
    assert {match[2] for match in MARKED.finditer(text)} == set(tables)
    assert written == text, "docs/kernels.md is not what was measured:\n" + "\n".join(tables.values())


def test_the_table_of_transports_is_the_kernels_own(measured):
    for series, facts in measured.items():
        taken = facts["transports of `eth`"].replace("-", "").split()
        number = tuple(map(int, series.split(".")))
        rows = transports.ETH.items()
        ours = [name for name, row in rows if row.since <= number < row.until] if taken else []
        assert sorted(ours) == sorted(taken)


def test_every_class_is_measured():
    text = " ".join(kernel_facts.CLASSES)
    assert [name for name in classes.CLASSES if f"`{name}`" not in text] == []
