# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests without a kernel."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def fakes_are_booted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake console is all there as soon as its socket is, so that nothing waits for what comes late in a boot."""
    from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import exchange, socket_id

    monkeypatch.setattr(exchange, "LISTENING_AFTER", 0.0)
    monkeypatch.setattr(socket_id, "age", lambda _path: 3600.0)
