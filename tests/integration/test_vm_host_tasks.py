# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks whose inventory host is the VM host: through the local client where that can be, else as modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import ansible, uml
from support.vmhost import VmHost

pytestmark = pytest.mark.smoke
SESSION = "Starting session: command"


def run(host: VmHost, *tasks: dict[str, Any], home: Path, **variables: Any) -> ansible.Result:
    """Run a play on a VM host, its tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    inventory = {"here": {**host.inventory_vars(), **variables}}
    return ansible.run_playbook([{"hosts": "here", "gather_facts": False, "tasks": named}], inventory, home=home)


def bulk(guest: uml.Instance, module: str = "request", **options: Any) -> dict[str, Any]:
    """Return a task on all instances of a directory."""
    given = options or {"command": "version"}
    return {f"uml.mconsole.{module}": {"umids": ["*"], "uml_dir": str(guest.uml_dir), **given}}


def test_one_client_serves_all_tasks(
    make_vm_host: Callable[..., VmHost], guest: uml.Instance, ansible_home: Path
) -> None:
    host = make_vm_host(extra_config=("LogLevel VERBOSE",))
    tasks = [
        bulk(guest),
        bulk(guest, "device", name="con5", channel="pts"),
        {**bulk(guest, "device", name="con6", channel="pts"), "check_mode": True, "diff": True},
        {"uml.mconsole.instance_facts": {"umid": "guest", "uml_dir": str(guest.uml_dir)}},
        {"uml.mconsole.request": {"umid": "nobody", "command": "version"}, "ignore_errors": True},
        {"uml.mconsole.request": {"command": "version"}, "ignore_errors": True},
    ]
    done = run(host, *tasks, home=ansible_home).ok()
    assert host.log_text().count(SESSION) == 1
    assert len(ansible.clients(ansible_home)) == 1
    assert done.result("here", "T0")["instances"]["guest"]["replies"][0]["ok"]
    assert [done.task("here", f"T{number}").changed for number in range(4)] == [False, True, True, False]
    assert guest.request("config con5")[1].startswith("pts")
    assert not guest.request("config con6")[1].startswith("pts")
    assert done.result("here", "T2")["diff"]
    assert done.result("here", "T3")["ansible_facts"]["uml"]["umid"] == "guest"
    assert done.result("here", "T3")["invocation"]["module_args"]["umid"] == "guest"
    assert "nobody" in done.result("here", "T4")["msg"]
    assert "set umid or umids" in done.result("here", "T5")["msg"]


@pytest.mark.parametrize("config", ["AllowStreamLocalForwarding no", "DisableForwarding yes"])
def test_without_forwarding_the_module_runs(
    make_vm_host: Callable[..., VmHost], guest: uml.Instance, ansible_home: Path, config: str
) -> None:
    done = run(make_vm_host(extra_config=(config,)), bulk(guest), bulk(guest), home=ansible_home).ok()
    assert [done.result("here", task)["instances"]["guest"]["umid"] for task in ("T0", "T1")] == ["guest", "guest"]


def test_the_environment_of_a_task_is_that_of_its_client(
    vm_host: VmHost, launch_guest: Callable[..., uml.Instance], uml_dir: Path, ansible_home: Path
) -> None:
    for name in ("one", "two"):
        launch_guest(name, uml_dir=uml_dir / name / ".uml")
    tasks = [
        {"uml.mconsole.request": {"umid": name, "command": "version"}, "environment": {"HOME": f"{uml_dir}/{name}"}}
        for name in ("one", "two")
    ]
    listing = {"uml.mconsole.instance": {"umid": "three", "state": "absent"}, "environment": {"HOME": f"{uml_dir}/one"}}
    done = run(vm_host, *tasks, {**listing, "check_mode": True}, home=ansible_home).ok()
    assert [done.result("here", task)["umid"] for task in ("T0", "T1")] == ["one", "two"]
    assert len(ansible.clients(ansible_home)) == 2


def test_become_is_that_of_the_task(
    launch_guest: Callable[..., uml.Instance],
    make_user: Callable[..., str],
    make_vm_host: Callable[..., VmHost],
    uml_dir: Path,
    ansible_home: Path,
) -> None:
    owner = make_user("bulkowner")
    login = make_user("bulklogin", may_become=(owner,))
    guest = launch_guest("owned", uml_dir=uml_dir / "owned", user=owner)
    task = {"uml.mconsole.request": {"umid": "owned", "uml_dir": str(guest.uml_dir), "command": "version"}}
    become = {"become": True, "become_user": owner}
    password = {**become, "vars": {"ansible_become_password": "not needed"}}
    tasks = ({**task, "ignore_errors": True}, {**task, **become}, {**task, **password}, {**task, "ignore_errors": True})
    done = run(make_vm_host(user=login), *tasks, home=ansible_home).ok()
    assert [done.task("here", f"T{number}").failed for number in range(4)] == [True, False, False, True]
    assert done.result("here", "T3")["error"]["kind"] == "not_allowed"


@pytest.mark.parametrize("python", ["auto", "/usr/bin/env python3", "{{ 'python3' }}"])
def test_the_python_is_that_of_the_task(vm_host: VmHost, guest: uml.Instance, ansible_home: Path, python: str) -> None:
    done = run(vm_host, bulk(guest), home=ansible_home, ansible_python_interpreter=python).ok()
    assert done.result("here", "T0")["instances"]["guest"]["replies"][0]["ok"]
    assert len(ansible.clients(ansible_home)) == 1


def test_a_python_that_is_not_there_fails_as_for_each_module(
    vm_host: VmHost, guest: uml.Instance, ansible_home: Path
) -> None:
    done = run(vm_host, bulk(guest), home=ansible_home, ansible_python_interpreter="/nonexistent/python9")
    assert done.task("here", "T0").failed
    assert "/nonexistent/python9" in str(done.result("here", "T0"))


def test_a_vm_host_that_is_down_is_unreachable(
    make_vm_host: Callable[..., VmHost], guest: uml.Instance, ansible_home: Path
) -> None:
    host = make_vm_host()
    host.stop()
    assert run(host, bulk(guest), home=ansible_home).task("here", "T0").unreachable
