# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/limits.md says what the code has, and holds tables that its commands have written."""

from __future__ import annotations

import re

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._client import server
from ansible_collections.uml.mconsole.plugins.module_utils._collector import patterns, recorder
from ansible_collections.uml.mconsole.plugins.module_utils._devices import disks
from ansible_collections.uml.mconsole.plugins.module_utils._journal import journal
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import preflight
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import (
    long_queue,
    names,
    parallel,
    wire,
)
from ansible_collections.uml.mconsole.plugins.plugin_utils import _channel
from support import limits

MIB = 1 << 20
ROWS = {
    "a umid": f"{names.MAX_UMID} bytes",
    "the path `UML_DIR/UMID/mconsole`": f"{names.MAX_SOCKET_PATH} bytes",
    "one console command": f"{wire.MAX_COMMAND} bytes",
    "one part of a reply": f"{wire.MAX_DATA} bytes",
    "a reply of which no part can be lost": (
        f"{wire.SAFE_BURST} parts where the host lets us make no namespace, else {long_queue.ROOMY_QUEUE + 1}"
    ),
    "a reply altogether": f"{wire.MAX_PACKETS} parts ({wire.MAX_PACKETS * wire.MAX_DATA // MIB} MiB)",
    "an order to the local client": f"{server.MAX_ORDER // MIB} MiB",
    "the instances of one task that are asked at the same time": f"{parallel.MAX_WORKERS}",
    "silence of a local client": f"{_channel.CLIENT_TIMEOUT:.0f} s",
    "a local client without a task": f"{_channel.CLIENT_IDLE} s",
    "disks": f"{disks.UNITS} (`ubd0` to `ubd{disks.UNITS - 1}`)",
    "a guest's memory at the start": f"{preflight.LEAST_MEMORY // MIB} MiB at least",
    "text of one event": f"{recorder._BOUND >> 10} KiB",
    "a line of a console log": f"{patterns._WIDTH} characters are looked at",
    "the journal": f"{journal.LIMIT // MIB} MiB",
}


def test_the_fixed_limits_are_those_of_the_code() -> None:
    section = limits.PAGE.read_text().split("## Fixed limits")[1].split("\n## ")[0]
    written = [line.strip("| ").split(" | ")[:2] for line in section.splitlines() if line.startswith("| ")]
    assert dict(written[1:]) == ROWS


@pytest.mark.parametrize("name", ["hosts", "bulk", "fleet", "endurance"])
def test_what_is_measured_has_its_table(name: str) -> None:
    match = re.search(rf"<!-- measured: {name} -->\n(.*?)<!-- end -->", limits.PAGE.read_text(), re.DOTALL)
    assert match, name
    assert match[1].count("\n| ") >= 3, f"{name}: run the command above its place"
