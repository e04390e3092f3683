# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The instance that a task is about: delegated, in loops, once for all, in every kind of task and over both transports.

The hosts qa and qb are static and say nothing of their umids; the hostname in each guest is its umid.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import ansible, uml
from support.vmhost import VmHost

pytestmark = pytest.mark.smoke
HOSTNAME = {"uml.mconsole.proc_info": {"paths": ["sys/kernel/hostname"]}}
RAW_HOSTNAME = {"ansible.builtin.raw": "proc sys/kernel/hostname"}


@pytest.fixture
def pair(launch_guest: Callable[..., uml.Instance], uml_dir: Path) -> list[uml.Instance]:
    """Return the instances qa and qb."""
    guests = [launch_guest(umid, uml_dir=uml_dir / "uml") for umid in ("qa", "qb")]
    for guest in guests:
        guest.guest(f"hostname {guest.umid}")
    return guests


@pytest.fixture(params=["ssh", "local"])
def inventory(request: pytest.FixtureRequest, pair: list[uml.Instance], vm_host: VmHost) -> dict[str, Any]:
    """Return an inventory of qa, qb and their VM host, over each transport."""
    reach = vm_host.inventory_vars() if request.param == "ssh" else {"ansible_uml_transport": "local"}
    shared = {**reach, "ansible_connection": "uml.mconsole.mconsole", "ansible_uml_dir": str(pair[0].uml_dir)}
    return {"qa": shared, "qb": shared, "here": vm_host.inventory_vars()}


def run(inventory: dict[str, Any], *tasks: dict[str, Any], hosts: str = "qa", **words: Any) -> ansible.Result:
    """Run a play of tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    return ansible.run_playbook([{"hosts": hosts, "gather_facts": False, "tasks": named, **words}], inventory)


def hostname(done: ansible.Result, host: str, task: str) -> str:
    """Return the hostname that a task read."""
    result = done.result(host, task)
    text = result["stdout"] if "stdout" in result else result["contents"]["sys/kernel/hostname"]["text"]
    return str(text).strip()


def test_a_delegated_task_is_about_the_other_instance(inventory: dict[str, Any]) -> None:
    there = {"delegate_to": "qb"}
    tasks = (
        {**HOSTNAME, **there},
        {**RAW_HOSTNAME, **there},
        {"uml.mconsole.request": {"commands": ["proc sys/kernel/hostname"]}, **there},
        {"ansible.builtin.setup": {}, **there, "delegate_facts": True},
        {"ansible.builtin.debug": {"msg": "{{ hostvars.qb.ansible_facts.uml.umid }}"}},
        {"ansible.builtin.debug": {"msg": "{{ ansible_facts.uml.umid | default('none') }}"}},
        {"uml.mconsole.instance_facts": {}, **there, "delegate_facts": True},
        {"ansible.builtin.debug": {"msg": "{{ hostvars.qb.ansible_facts.nodename }}"}},
        RAW_HOSTNAME,
        {"uml.mconsole.request": {"commands": ["version"], "umid": "qa"}, **there, "ignore_errors": True},
    )
    done = run(inventory, *tasks).ok()
    assert [hostname(done, "qa", f"T{number}") for number in (0, 1)] == ["qb", "qb"], str(done)
    assert done.result("qa", "T2")["stdout"].strip() == "qb"
    assert done.result("qa", "T2")["umid"] == "qb"
    assert [done.result("qa", f"T{number}")["msg"] for number in (4, 5, 7)] == ["qb", "none", "qb"]
    assert hostname(done, "qa", "T8") == "qa"
    assert "itself an instance" in done.result("qa", "T9")["msg"]


def test_a_delegated_pause_pauses_the_other_instance(inventory: dict[str, Any], pair: list[uml.Instance]) -> None:
    task = {"uml.mconsole.instance": {"state": "paused"}, "delegate_to": "qb"}
    done = run(inventory, task, {"uml.mconsole.instance_info": {}, "delegate_to": "here"}).ok()
    found = done.result("qa", "T1")["instances"]
    states = {row["umid"]: row["state"] for row in (found.values() if isinstance(found, dict) else found)}
    pair[1].request("go")
    assert {umid: states[umid] for umid in ("qa", "qb")} == {"qa": "running", "qb": "paused"}


def test_each_item_of_a_loop_has_its_own_instance(inventory: dict[str, Any]) -> None:
    items = [{"to": "qb"}, {}, {"to": "qa"}, {"to": "qb"}, {}]
    loop = {"loop": items, "delegate_to": "{{ item.to | default(omit) }}"}
    done = run(inventory, {**RAW_HOSTNAME, **loop}, {**HOSTNAME, **loop}).ok()
    expected = ["qb", "qa", "qa", "qb", "qa"]
    assert [item["stdout"].strip() for item in done.result("qa", "T0")["results"]] == expected
    assert [item["umid"] for item in done.result("qa", "T1")["results"]] == expected


def test_run_once_and_every_instance_by_delegation(inventory: dict[str, Any]) -> None:
    everywhere = {"loop": ["qa", "qb"], "delegate_to": "{{ item }}", "run_once": True}
    done = run(inventory, {**RAW_HOSTNAME, **everywhere}, {**RAW_HOSTNAME, "run_once": True}, hosts="qa,qb").ok()
    assert [item["stdout"].strip() for item in done.result("qa", "T0")["results"]] == ["qa", "qb"]
    assert hostname(done, "qa", "T1") == "qa"


def test_a_play_on_the_vm_host_delegates_to_an_instance(inventory: dict[str, Any]) -> None:
    tasks = (
        {**RAW_HOSTNAME, "delegate_to": "qb"},
        {**HOSTNAME, "delegate_to": "qb"},
        {"ansible.builtin.setup": {}, "delegate_to": "qb", "delegate_facts": True},
        {"ansible.builtin.debug": {"msg": "{{ hostvars.qb.ansible_facts.uml.umid }}"}},
        {"ansible.builtin.command": "echo {{ inventory_hostname }}"},
    )
    done = run(inventory, *tasks, hosts="here").ok()
    assert [hostname(done, "here", f"T{number}") for number in (0, 1)] == ["qb", "qb"]
    assert done.result("here", "T3")["msg"] == "qb"
    assert done.result("here", "T4")["stdout"] == "here"


def test_a_named_instance_counts_for_a_delegated_task_too(inventory: dict[str, Any]) -> None:
    named = {
        "first": {**inventory["qa"], "ansible_uml_umid": "qa"},
        "second": {**inventory["qb"], "ansible_uml_umid": "qb"},
        "number": {**inventory["qb"], "ansible_uml_umid": 101},
    }
    tasks = (
        {**RAW_HOSTNAME, "delegate_to": "second"},
        {**RAW_HOSTNAME, "delegate_to": "number", "ignore_errors": True},
    )
    done = run(named, *tasks, hosts="first").ok()
    assert hostname(done, "first", "T0") == "qb"
    assert "ansible_uml_umid is 101, which is not text" in done.result("first", "T1")["msg"]
