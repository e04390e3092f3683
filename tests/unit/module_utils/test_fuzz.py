# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some thousands of inputs for each part, others in each run; `tests/fuzz/run.py` gives any number of the same."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from fuzz import invariants
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import ProtocolError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.wire import Request

INPUTS = 100


@pytest.mark.parametrize("part", invariants.PARTS)
@given(seed=st.integers(0, 1 << 48))
@settings(max_examples=25, deadline=None)
def test_what_must_hold_holds_for_any_input(part: str, seed: int) -> None:
    many(invariants.PARTS[part], random.Random(seed), INPUTS)


def many(check: Callable[[random.Random], None], source: random.Random, count: int) -> None:
    """Give a part so many inputs."""
    for _each in range(count):
        check(source)


def test_a_fault_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that believes what a header says is caught."""

    def believe(datagram: bytes) -> Request:
        if len(datagram) < 12:
            raise ProtocolError("short")
        return Request("x" * (datagram[8] + 1))

    monkeypatch.setattr(Request, "from_bytes", staticmethod(believe))
    with pytest.raises(AssertionError, match="a request is what its bytes say"):
        many(invariants.wire, random.Random(1), 1000)
