# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows: each is a fault, how it is made and mended, and how the tasks end that are run under it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from faults import makers
from faults.lab import Lab

Expected = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One fault.

    ``expected`` are the tasks under it and how they end, ``says`` what a message must match, ``within`` the seconds
    that all of it may take, ``warm`` whether there is a way to the VM host already, ``state`` what instance_info finds,
    ``is_done`` whether what was wished is there already when the next run begins.
    """

    name: str
    fault: Callable[[Lab], AbstractContextManager[Any]]
    expected: Expected
    says: str | Mapping[str, str] = ""
    within: float = 30
    warm: bool = True
    state: str = "running"
    is_done: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False

    @property
    def slug(self) -> str:
        """Return the name as a file's."""
        return re.sub(r"\W+", "-", self.name)


BOTH_OK = {"read": "ok", "change": "ok, changed"}
BOTH_FAIL = {"read": "failed", "change": "failed"}
UNREACHABLE = {"read": "unreachable", "change": "unreachable"}

ROWS = [
    Row(
        "the instance is killed", makers.killed_instance, {"info": "ok", **BOTH_FAIL}, "'guest' is gone", state="stale"
    ),
    Row(
        "the instance is stopped by a signal",
        makers.stopped_instance,
        {"info": "ok", **BOTH_FAIL},
        "guest did not answer .*within .*it may have happened",
        state="hung",
    ),
    Row("the instance is paused", makers.paused_instance, {"info": "ok", **BOTH_FAIL}, "paused", state="paused"),
    Row("the local client is killed", makers.killed_client, BOTH_OK, is_done=True),
    Row("the local client is stopped by a signal", makers.stopped_client, BOTH_OK, is_done=True),
    Row("the local client's socket is removed", makers.removed_socket, BOTH_OK, is_done=True),
    Row("the ssh master on the controller is killed", makers.killed_master, BOTH_OK, is_done=True),
    Row("the network of the VM host is cut for good", makers.cut_network, UNREACHABLE, "vm1|198.18"),
]
