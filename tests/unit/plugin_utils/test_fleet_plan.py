# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a declared fleet: what is refused, who goes when, and what a look at the instances calls for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fleet_plan
from support import ansible

RESTART = {"restart": "when_required"}


def turns(*fleet: dict[str, Any], **defaults: Any) -> list[list[str]]:
    found = _fleet_plan.plan(fleet, defaults)
    assert found["errors"] == []
    return [group["umids"] for group in found["groups"]]


def test_instances_start_as_declared_and_neighbours_that_are_alike_at_once() -> None:
    assert turns({"umid": "z"}, {"umid": "b"}, {"umid": "a", "memory": "96M"}, {"umid": "c"}) == [
        ["z", "b"],
        ["a"],
        ["c"],
    ]
    assert turns({"umid": "z", "memory": "96M"}, {"umid": "b"}, memory="96M") == [["z", "b"]]


def test_what_ends_goes_first_and_in_reverse() -> None:
    fleet = [
        {"umid": "a"},
        {"umid": "b", "state": "absent"},
        {"umid": "c", "state": "stopped"},
        {"umid": "d", "state": "absent"},
    ]
    assert turns(*fleet) == [["d"], ["c"], ["b"], ["a"]]
    assert turns({"umid": "a"}, {"umid": "b"}, state="absent") == [["b", "a"]]


def test_what_depends_on_another_starts_behind_it_and_ends_before_it() -> None:
    fleet = [{"umid": "web", "depends_on": ["db", "log"]}, {"umid": "db", "depends_on": ["log"]}, {"umid": "x"}]
    assert turns(*fleet, {"umid": "log"}) == [["x", "log"], ["db"], ["web"]]
    assert turns(*fleet, {"umid": "log"}, state="absent") == [["web"], ["db"], ["log", "x"]]
    assert turns({"umid": "a"}, {"umid": "b", "depends_on": ["a"]}, {"umid": "c"}) == [["a"], ["b", "c"]]
    assert turns({"umid": 1}, {"umid": "b", "depends_on": [1]}) == [["1"], ["b"]]


@pytest.mark.parametrize(
    ("depends_on", "complaint"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, "depends_on of a is a circle, a -> b -> c -> a; expected an order"),
        ({"x": ["a"], "a": ["a"]}, "depends_on of a is a circle, a -> a; expected"),
        ({"a": ["z"]}, "a depends on 'z', which is not declared; expected one of a"),
        ({"a": "b", "b": []}, "depends_on of a is 'b'; expected a list of umids"),
    ],
)
def test_a_dependency_that_cannot_be_met_is_refused(depends_on: dict[str, Any], complaint: str) -> None:
    found = _fleet_plan.plan([{"umid": umid, "depends_on": others} for umid, others in depends_on.items()], {})
    assert complaint in found["errors"][0]
    assert found["groups"] == []


def test_what_runs_does_not_depend_on_what_ends() -> None:
    fleet = [{"umid": "a", "depends_on": ["b"]}, {"umid": "b", "state": "stopped"}]
    assert "a depends on b, which is declared as stopped" in _fleet_plan.plan(fleet, {})["errors"][0]


def test_a_number_is_text_from_there_on() -> None:
    assert turns({"umid": 101}) == [["101"]]


def test_a_range_stands_for_an_instance_each_with_its_own_address() -> None:
    assert turns({"umid": "a[8:10]"}, {"umid": "b[08:10:2]", "memory": "96M"}) == [["a8", "a9", "a10"], ["b08", "b10"]]
    device = {"vec0": "transport=tap,ifname=tap-{umid},mac={mac}"}
    found = _fleet_plan.plan([{"umid": "a[1:2]"}], {"devices": device})
    options = [row["options"]["devices"]["vec0"].partition("mac=") for row in found["instances"]]
    assert [before for before, _mac, _address in options] == [
        f"transport=tap,ifname=tap-{name}," for name in ("a1", "a2")
    ]
    assert len({address for _before, _mac, address in options}) == 2
    assert found["groups"][0]["options"]["devices"] == device, "shared by all, as declared"


@pytest.mark.parametrize(
    ("fleet", "defaults", "complaint"),
    [
        ([{"umid": False}], {}, "for YAML reads it as False; write it in quotes"),
        ([{"umid": 1.1}], {}, "for YAML reads it as 1.1; write it in quotes"),
        ([{"umid": None}], {}, "YAML reads it as None; write it in quotes"),
        ([{}], {}, "YAML reads it as None"),
        ([{"umid": ".."}], {}, "is not a name for an instance"),
        ([{"umid": "a" * 64}], {}, "is not a name for an instance"),
        ([{"umid": "a[2:x]"}], {}, "is not a name for an instance"),
        ([{"umid": "a[1:2]"}, {"umid": "a2"}], {}, "umid a2 is declared twice"),
        ([{"umid": "web1\r"}], {}, "umid 'web1\\r' is not a name for an instance"),
        ([{"umid": 7}, {"umid": "7"}], {}, "umid 7 is declared twice"),
        ([{"umid": "a", "memroy": "1G"}], {}, "instance a has the unknown option 'memroy'; did you mean 'memory'?"),
        ([], {"memroy": "1G"}, "instances_defaults has the unknown option 'memroy'; did you mean 'memory'?"),
        ([], {"umid": "a"}, "instances_defaults has the unknown option 'umid'"),
    ],
)
def test_what_is_refused(fleet: list[dict[str, Any]], defaults: dict[str, Any], complaint: str) -> None:
    found = _fleet_plan.plan(fleet, defaults)
    assert complaint in "; ".join(found["errors"])
    assert (found["instances"], found["groups"]) == ([], [])


@pytest.mark.parametrize("written", ["007", "12:30", "1_0", "0x10", "1.10", "no"])
def test_what_yaml_reads_otherwise_is_refused_as_it_was_written(tmp_path: Path, written: str) -> None:
    """By the real loader: until ansible-core 2.18 it does not say how a number was written."""
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [str(tmp_path / "fleet.yml")]}
    task = {"ansible.builtin.debug": {"msg": "{{ (fleet | uml.mconsole.fleet_plan).errors }}"}}
    (tmp_path / "fleet.yml").write_text(f"fleet:\n  - {{umid: {written}, memory: 1G}}\n  - umid: {written} # a name\n")
    run = ansible.run_playbook(
        [{**play, "tasks": [{"name": "Plan", **task}]}], {"localhost": {"ansible_connection": "local"}}
    )
    said = run.ok().result("localhost", "Plan")["msg"]
    value = yaml.safe_load(written)
    if _fleet_plan.Origin is None and isinstance(value, int) and not isinstance(value, bool):
        assert said == [f"umid {value} is declared twice; expected each umid once"]
    else:
        known = _fleet_plan.Origin is not None and value is not False
        quoted = f'in quotes, umid: "{written}"' if known else "in quotes, such as"
        assert [quoted in text for text in said] == [True, True, False]


# Looked at


def answer(**rows: dict[str, Any]) -> dict[str, Any]:
    return {"instances": rows}


def row(**more: Any) -> dict[str, Any]:
    return {"state": "running", "changed": False, "differences": {}, **more}


MEMORY = {"memory": {"running": ["mem=64M"], "wanted": ["mem=96M"]}}
DEVICES = {"devices": {"running": [], "wanted": ["con1=pts"]}}


def test_those_that_may_be_restarted_are_in_batches() -> None:
    groups = [{"umids": list("abc"), "options": RESTART}, {"umids": ["d"], "options": RESTART}]
    results = [answer(**dict.fromkeys("abc", row(differences=MEMORY))), answer(d=row(differences=DEVICES))]
    found = _fleet_plan.changes(results, groups, 2)
    assert [batch["umids"] for batch in found["restarts"]] == [["a", "b"], ["c"]]
    assert (found["warnings"], found["left_running"]) == ([], ["d"])


def test_those_that_may_not_are_warned_of() -> None:
    found = _fleet_plan.changes(
        [answer(a=row(differences={**MEMORY, **DEVICES}))], [{"umids": ["a"], "options": {}}], 1
    )
    assert found["restarts"] == []
    assert found["warnings"] == [
        "a runs otherwise than declared: memory mem=64M -> mem=96M. Set restart to have it restarted"
    ]
    assert found["left_running"] == ["a"]


def test_what_was_started_or_failed_is_not_left_running() -> None:
    results = [answer(a=row(changed=True), b={"failed": True, "msg": "x"}, c=row(state="paused"))]
    assert _fleet_plan.changes(results, [{"umids": list("abc"), "options": {}}], 1)["left_running"] == []
    assert _fleet_plan.changes([{"failed": True}], [{"umids": ["a"], "options": {}}], 1)["restarts"] == []
