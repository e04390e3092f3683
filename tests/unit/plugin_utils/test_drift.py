# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is called drift, and what its reports look like."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.uml.mconsole.plugins.plugin_utils import _drift


def kinds(options: dict[str, Any], state: str = "running", **more: Any) -> list[str]:
    """Return the kinds of drift of an instance that was found so."""
    instance = {
        "diff": {"before": {"state": state}},
        "differences": more.get("differences", {}),
        **more.get("said", {}),
    }
    row = {"state": state, "state_reason": "why", "declaration": more.get("declaration", {})}
    found = _drift.findings("a", options, _drift.Answers(instance, more.get("devices", {}), row))
    return [finding.kind for finding in found]


@pytest.mark.parametrize(
    ("wanted", "state", "kind"),
    [
        ("running", "running", []),
        ("running", "absent", ["missing"]),
        ("running", "stale", ["crashed"]),
        ("running", "orphaned", ["crashed"]),
        ("running", "hung", ["hung"]),
        ("running", "paused", ["paused"]),
        ("paused", "paused", []),
        ("paused", "running", ["running"]),
        ("stopped", "stale", []),
        ("absent", "absent", []),
        ("absent", "running", ["not ended"]),
        ("stopped", "running", ["not ended"]),
    ],
)
def test_the_state(wanted: str, state: str, kind: list[str]) -> None:
    assert kinds({"state": wanted}, state) == kind


def test_options_devices_and_what_the_next_restart_loses() -> None:
    sides = {"running": ["mem=64M"], "wanted": ["mem=96M"]}
    assert kinds({}, differences={"memory": sides, "disk0": sides}) == ["memory", "root"]
    assert kinds({}, differences={"devices": sides}) == ["next restart"]
    changed = {"changed": True, "diff": {"before": {"con1": {"config": "null"}}, "after": {"con1": {"config": "pts"}}}}
    assert kinds({}, differences={"devices": sides}, devices=changed) == ["devices"]
    declaration = {"runtime_only": ["con1", "con2"], "replaced": ["/i"], "options": {"devices": {"con2": "pts"}}}
    assert kinds({"devices": {"con1": "pts"}}, declaration=declaration) == ["next restart", "replaced"]
    assert kinds({}, said={"failed": True, "msg": "no"}) == ["failed"]


def test_extra_ones_run_in_the_directories_of_the_declared_ones() -> None:
    rows = [
        {"umid": umid, "uml_dir": folder, "state": "running", "pid": pid}
        for umid, folder, pid in (("a", "/u", 1), ("b", "/u", 2), ("c", "/v", 3), ("d", "/u", None))
    ]
    assert [finding.umid for finding in _drift.extra(rows, [("/u", "a")])] == ["b"]


def test_the_reports() -> None:
    row = {"host": "vm1", **_drift.Finding("a", "memory", "memory", "mem=96M", "mem=64M\x1b[2J")._asdict()}
    assert "mem=64M?[2J" in _drift.table([row])
    assert "No drift" in _drift.table([])
    suite = ElementTree.fromstring(_drift.junit([("vm1", "a"), ("vm1", "b")], [row]))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite if len(case)] == ["a"]
