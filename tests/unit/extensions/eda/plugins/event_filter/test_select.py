# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event filter for Event-Driven Ansible, loaded by its path as a rulebook does it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import yaml

from support.paths import CHECKOUT

FILTER = CHECKOUT / "extensions" / "eda" / "plugins" / "event_filter" / "select.py"
SPEC = importlib.util.spec_from_file_location("select_filter", FILTER)
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
PANIC = {"type": "panic", "severity": "critical", "vm_host": "vm1.example.org", "umid": "web1"}
LOST = {"type": "source_lost", "severity": "warning", "vm_host": "vm1.example.org", "umid": None}


@pytest.mark.parametrize(
    ("event", "options", "kept"),
    [
        (PANIC, {}, True),
        (PANIC, {"severity": "critical", "types": ["panic"], "vm_hosts": ["vm*"], "umids": ["web?"]}, True),
        (PANIC, {"types": ["boot"]}, False),
        (PANIC, {"vm_hosts": ["test*"]}, False),
        (PANIC, {"umids": ["db1"]}, False),
        (LOST, {"severity": "error"}, False),
        (LOST, {"umids": ["web1"]}, True),
        (LOST, {"vm_hosts": []}, False),
        ({"payload": 1}, {"severity": "critical", "umids": ["web1"]}, True),
        ({"severity": 5, "umid": "web1"}, {"umids": ["db1"]}, True),
    ],
)
def test_what_is_kept(event: dict[str, Any], options: dict[str, Any], kept: bool) -> None:
    assert MODULE.main(dict(event), **options) == (event if kept else [])


@pytest.mark.parametrize("options", [{"severity": "bad"}, {"umids": "web1"}, {"vm_hosts": 1}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected (one of|a list)"):
        MODULE.main(PANIC, **options)


def test_the_options_are_those_of_the_documentation() -> None:
    documented = yaml.safe_load(MODULE.DOCUMENTATION)["options"]
    code = MODULE.main.__code__
    assert list(documented) == list(code.co_varnames[1 : code.co_argcount])
    assert documented["severity"]["choices"] == list(MODULE._SEVERITIES)
