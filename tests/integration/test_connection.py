# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances as inventory hosts: real kernels behind real sshd."""

from __future__ import annotations

import json
import os
import pwd
import signal
from pathlib import Path
from typing import Any

import pytest

from support import ansible
from support.wait import wait_until

OURS = "uml.mconsole.mconsole"


def hosts(vm_host: Any, *guests: Any, **variables: Any) -> dict[str, Any]:
    """Return an inventory of instances on a VM host."""
    shared = {
        **vm_host.inventory_vars(),
        "ansible_connection": OURS,
        "ansible_facts_modules": "uml.mconsole.instance_facts",
        **variables,
    }
    return {guest.umid: {**shared, "ansible_uml_dir": str(guest.uml_dir)} for guest in guests}


def play(*tasks: dict[str, Any], **words: Any) -> list[dict[str, Any]]:
    """Return a play on all hosts, its tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    return [{"hosts": "all", "gather_facts": False, **words, "tasks": named}]


@pytest.mark.smoke
def test_raw_is_a_console_command(vm_host, guest):
    run = ansible.adhoc("guest", "ansible.builtin.raw", "version", hosts(vm_host, guest)).ok()
    assert run.only("guest").result["stdout"].startswith("Linux ")


def test_what_the_kernel_refuses_fails_with_its_words(vm_host, guest):
    run = ansible.adhoc("guest", "ansible.builtin.raw", "go", hosts(vm_host, guest))
    assert run.only("guest").failed
    assert "Not stopped" in run.only("guest").result["stderr"]


def test_ping_means_that_the_console_answers(vm_host, guest):
    inventory = hosts(vm_host, guest)
    assert ansible.adhoc("guest", "ansible.builtin.ping", "", inventory).ok().only("guest").result["ping"] == "pong"
    guest.kill()
    assert ansible.adhoc("guest", "ansible.builtin.ping", "", inventory).only("guest").unreachable


REFUSED = [
    {"ansible.builtin.command": "touch /tmp/{mark}"},
    {"ansible.builtin.shell": "touch /tmp/{mark}"},
    {"ansible.builtin.file": {"path": "/tmp/{mark}", "state": "touch"}},
    {"ansible.builtin.copy": {"content": "x", "dest": "/tmp/{mark}"}},
    {"ansible.builtin.reboot": {}},
    {"ansible.builtin.service_facts": {}},
    {"ansible.builtin.raw": "touch /tmp/{mark}"},
    {"ansible.builtin.script": "/bin/true"},
    {"ansible.builtin.fetch": {"src": "/etc/hostname", "dest": "/tmp/{mark}"}},
]


@pytest.mark.smoke
def test_what_would_hit_the_vm_host_is_refused(vm_host, guest):
    mark = f"uml-mark-{os.getpid()}"
    tasks = [json.loads(json.dumps(task).replace("{mark}", mark)) for task in REFUSED]
    run = ansible.run_playbook(
        play(*[{**task, "ignore_errors": True} for task in tasks]),
        hosts(vm_host, guest, ansible_python_interpreter="auto"),
    )
    for number, task in enumerate(tasks):
        answer = run.task("guest", f"T{number}")
        assert answer.failed, f"{task} was not refused"
        assert "User-Mode Linux instance" in answer.result["msg"], f"{task}: {answer.result['msg']}"
        assert not answer.unreachable
    assert not Path(f"/tmp/{mark}").exists()


@pytest.mark.smoke
def test_gather_facts_wait_and_reset_work(vm_host, guest):
    tasks = (
        {"ansible.builtin.wait_for_connection": {"timeout": 120}},
        {"ansible.builtin.meta": "reset_connection"},
        {"ansible.builtin.debug": {"msg": "{{ ansible_facts.uml.umid }} {{ ansible_facts.kernel }}"}},
    )
    run = ansible.run_playbook(play(*tasks, gather_facts=True), hosts(vm_host, guest)).ok()
    umid, release = run.result("guest", "T2")["msg"].split()
    assert umid == "guest"
    assert guest.guest("uname -r").strip() == release


@pytest.mark.smoke
def test_an_operation_runs_on_the_instance(vm_host, guest):
    tasks = (
        {"uml.mconsole.request": {"commands": ["version", "config con1"]}},
        {"uml.mconsole.request": {"commands": ["log hello"]}, "check_mode": True},
        {"uml.mconsole.request": {"commands": ["version"], "umid": "other"}, "ignore_errors": True},
        {"uml.mconsole.request": {"commands": 7, "nonsense": 1}, "ignore_errors": True},
    )
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, guest))
    assert len(run.result("guest", "T0")["replies"]) == 2
    assert "hello" not in guest.guest("dmesg")
    assert "itself an instance" in run.result("guest", "T2")["msg"]
    assert "nonsense" in run.result("guest", "T3")["msg"]


@pytest.mark.smoke
def test_one_client_and_no_ssh_session_serve_many_tasks(vm_host, launch_guest, ansible_home):
    guests = [launch_guest(f"g{number}") for number in range(3)]
    tasks = [{"uml.mconsole.request": {"commands": ["version"]}}] * 4
    before = vm_host.log_text().count("Starting session: command")
    ansible.run_playbook(play(*tasks), hosts(vm_host, *guests), forks=3, home=ansible_home).ok()
    assert len({client["pid"] for client in ansible.clients(ansible_home)}) == 1
    assert vm_host.log_text().count("Starting session: command") - before <= 1


def test_a_killed_client_is_replaced(vm_host, guest, ansible_home):
    inventory = hosts(vm_host, guest)
    tasks = play({"uml.mconsole.request": {"commands": ["version"]}})
    ansible.run_playbook(tasks, inventory, home=ansible_home).ok()
    (client,) = ansible.clients(ansible_home)
    os.kill(client["pid"], signal.SIGKILL)
    ansible.run_playbook(tasks, inventory, home=ansible_home).ok()
    (other,) = ansible.clients(ansible_home)
    assert other["pid"] != client["pid"]


def test_a_killed_ssh_master_is_replaced(vm_host, guest, ansible_home):
    inventory = hosts(vm_host, guest)
    tasks = play({"uml.mconsole.request": {"commands": ["version"]}})
    ansible.run_playbook(tasks, inventory, home=ansible_home).ok()
    ansible.close_connections(ansible_home)
    ansible.run_playbook(tasks, inventory, home=ansible_home).ok()


def test_a_stopped_client_does_not_hang_the_task(vm_host, guest, ansible_home):
    inventory = hosts(vm_host, guest, ansible_timeout=10)
    tasks = play({"uml.mconsole.request": {"commands": ["version"]}})
    ansible.run_playbook(tasks, inventory, home=ansible_home).ok()
    (client,) = ansible.clients(ansible_home)
    os.kill(client["pid"], signal.SIGSTOP)
    try:
        ansible.run_playbook(tasks, inventory, home=ansible_home).ok()
    finally:
        os.kill(client["pid"], signal.SIGKILL)


def test_an_instance_that_is_gone_is_named(vm_host, guest, ansible_home):
    inventory = hosts(vm_host, guest)
    tasks = play({"uml.mconsole.request": {"commands": ["version"]}})
    ansible.run_playbook(tasks, inventory, home=ansible_home).ok()
    guest.kill()
    run = ansible.run_playbook(tasks, inventory, home=ansible_home)
    answer = run.task("guest", "T0")
    assert answer.failed
    assert not answer.unreachable
    assert "guest" in answer.result["msg"]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("config", "variables"),
    [
        (("AllowStreamLocalForwarding no",), {}),
        (("DisableForwarding yes",), {}),
        ((), {"ansible_ssh_args": "-o ControlMaster=no"}),
    ],
    ids=["no-stream-forwarding", "no-forwarding", "no-control-persist"],
)
def test_without_forwarding_each_task_is_one_exec(make_vm_host, guest, config, variables):
    inventory = hosts(make_vm_host(extra_config=config), guest, **variables)
    run = ansible.run_playbook(play(*[{"uml.mconsole.request": {"commands": ["version"]}}] * 3), inventory).ok()
    assert all(run.result("guest", f"T{number}")["replies"][0]["ok"] for number in range(3))


@pytest.mark.smoke
def test_the_vm_host_can_be_the_controller(vm_host, guest):
    variables = {"ansible_connection": OURS, "ansible_uml_transport": "local", "ansible_uml_dir": str(guest.uml_dir)}
    run = ansible.adhoc("guest", "uml.mconsole.request", {"commands": ["version"]}, {"guest": variables}).ok()
    assert run.only("guest").result["replies"][0]["ok"]


@pytest.mark.smoke
@pytest.mark.parametrize("forward", ["yes", "no"])
def test_the_instance_may_belong_to_another_user(launch_guest, make_user, make_vm_host, uml_dir, forward):
    owner = make_user("owner")
    login = make_user("login", may_become=(owner,))
    guest = launch_guest("owned", uml_dir=uml_dir / "owned", user=owner)
    host = make_vm_host(user=login, extra_config=(f"AllowStreamLocalForwarding {forward}",))
    inventory = hosts(host, guest)
    become = {"become": True, "become_user": owner}
    tasks = (
        {"uml.mconsole.request": {"commands": ["version"]}, "ignore_errors": True},
        {"uml.mconsole.request": {"commands": ["version", "proc uptime"]}, **become},
        {"ansible.builtin.raw": "version", **become},
        {"ansible.builtin.ping": {}, **become},
    )
    run = ansible.run_playbook(play(*tasks), inventory)
    assert run.task("owned", "T0").failed
    assert run.result("owned", "T0")["error"]["kind"] == "not_allowed"
    assert len(run.result("owned", "T1")["replies"]) == 2
    assert run.result("owned", "T2")["stdout"].startswith("Linux ")
    assert run.result("owned", "T3")["ping"] == "pong"


def test_become_with_a_password_that_is_not_given_says_so(guest, make_user, make_vm_host):
    login = make_user("nosudo")
    inventory = hosts(make_vm_host(user=login), guest)
    run = ansible.adhoc("guest", "uml.mconsole.request", {"commands": ["version"]}, inventory, extra_args=["--become"])
    assert run.only("guest").unreachable
    assert "password" in run.only("guest").result["msg"]


def test_an_unreachable_vm_host_is_unreachable(make_vm_host, guest):
    host = make_vm_host()
    host.stop()
    run = ansible.adhoc("guest", "uml.mconsole.request", {"commands": ["version"]}, hosts(host, guest))
    assert run.only("guest").unreachable


@pytest.mark.smoke
def test_a_missing_python_is_named(vm_host, guest, ansible_home):
    order = {"commands": ["version"]}
    ansible.adhoc("guest", "uml.mconsole.request", order, hosts(vm_host, guest), home=ansible_home).ok()
    inventory = hosts(vm_host, guest, ansible_python_interpreter="/nonexistent/python9")
    run = ansible.adhoc("guest", "uml.mconsole.request", order, inventory, home=ansible_home)
    assert run.only("guest").unreachable
    assert "/nonexistent/python9" in run.only("guest").result["msg"]


def test_a_wrong_name_lists_what_there_is(vm_host, guest):
    inventory = hosts(vm_host, guest, ansible_uml_umid="web9")
    run = ansible.adhoc("guest", "uml.mconsole.request", {"commands": ["version"]}, inventory)
    assert "web9" in run.only("guest").result["msg"]
    assert "guest" in run.only("guest").result["msg"]


def test_many_instances_behind_one_sshd_with_default_limits(vm_host, launch_guest, ansible_home):
    """MaxSessions is 10 and MaxStartups 10:30:100, and no host is lost at twenty forks."""
    guests = [launch_guest(f"n{number}", agent=False, wait=False) for number in range(20)]
    for each in guests:
        each.wait_up()
    tasks = [{"uml.mconsole.request": {"commands": ["version"]}}] * 5
    for _run in range(10):
        run = ansible.run_playbook(play(*tasks), hosts(vm_host, *guests), forks=20, home=ansible_home)
        lost = [task for task in run.tasks if task.failed or task.unreachable]
        assert not lost, f"lost {[(task.host, task.task, task.result.get('msg')) for task in lost]}"
        assert len(run.tasks) == 100


def test_nothing_of_the_client_stays(make_user, make_vm_host, launch_guest, uml_dir):
    login = make_user("tidy")
    guest = launch_guest("tidy", uml_dir=uml_dir / "tidy", user=login)
    host = make_vm_host(user=login)
    ansible.adhoc("tidy", "uml.mconsole.request", {"commands": ["version"]}, hosts(host, guest)).ok()
    folder = Path(f"/tmp/.uml-mconsole-{pwd.getpwnam(login).pw_uid}")
    for path in folder.glob("c-*"):
        os.kill(ansible.greeting(path)["pid"], signal.SIGTERM)
    wait_until(lambda: not folder.exists(), 60, "the client is gone with its folder")
