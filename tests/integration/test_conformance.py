# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-core asks of its own connection plugins, as far as it applies to a console (see docs/conformance.md)."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible
from support.vmhost import VmHost

TEXT = "汉语"
SECRET = "sesame-9d1f"
OURS = "uml.mconsole.mconsole"
VERSION: dict[str, Any] = {"uml.mconsole.request": {"commands": ["version"]}}


def hosts(vm_host: VmHost, guest: Any, **variables: Any) -> dict[str, Any]:
    """Return an inventory of one instance, called `guest`."""
    place = {"ansible_connection": OURS, "ansible_uml_umid": guest.umid, "ansible_uml_dir": str(guest.uml_dir)}
    return {"guest": {**vm_host.inventory_vars(), **place, **variables}}


def play(*tasks: dict[str, Any], **words: Any) -> list[dict[str, Any]]:
    """Return a play on the instance, its tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    return [{"hosts": "guest", "gather_facts": False, **words, "tasks": named}]


def ping(inventory: dict[str, Any], **options: Any) -> ansible.TaskResult:
    """Return the answer of the instance to a ping."""
    return ansible.adhoc("guest", "ansible.builtin.ping", "", inventory, **options).only("guest")


@pytest.fixture
def door(make_user: Any, make_vm_host: Any) -> Iterator[VmHost]:
    """Yield a VM host that lets in one user, who has a password and no rights."""
    user = make_user("door")
    subprocess.run(["chpasswd"], input=f"{user}:{SECRET}", text=True, check=True)
    return make_vm_host(user=user, extra_config=(f"Match User {user}", "PasswordAuthentication yes"))


# The target `connection`, which is run for every connection plugin of core


@pytest.mark.parametrize("pipelining", [True, False])
def test_raw_with_unicode_and_waiting(vm_host: VmHost, guest: Any, pipelining: bool) -> None:
    guest.guest(f"hostname {TEXT}")
    tasks = (
        {"ansible.builtin.raw": f"log {TEXT}"},
        {"ansible.builtin.raw": "proc sys/kernel/hostname"},
        {"ansible.builtin.wait_for_connection": {"timeout": 60}},
        {"ansible.builtin.wait_for_connection": {"foo": "bar"}, "ignore_errors": True},
        VERSION,
    )
    inventory = hosts(vm_host, guest, ansible_pipelining=pipelining)
    run = ansible.run_playbook(play(*tasks), inventory, extra_args=["-vvvv"]).ok()
    assert TEXT in guest.guest("dmesg")
    assert TEXT in run.result("guest", "T1")["stdout"]
    assert run.task("guest", "T0").changed
    assert run.task("guest", "T1").changed
    assert run.task("guest", "T3").result["msg"].endswith("wait_for_connection: foo")
    assert " PUT " not in run.stdout


def test_variables_of_the_connection_are_not_shown(vm_host: VmHost, guest: Any) -> None:
    run = ansible.adhoc("guest", "ansible.builtin.set_fact", "testing=value", hosts(vm_host, guest), extra_args=["-v"])
    assert "testing" in run.ok().stdout
    assert "ansible_host" not in run.stdout
    assert "ansible_uml" not in run.stdout


def test_reset(vm_host: VmHost, guest: Any) -> None:
    reset = {"ansible.builtin.meta": "reset_connection"}
    inventory = {
        "plain": hosts(vm_host, guest)["guest"],
        "templated": hosts(vm_host, guest, ansible_ssh_executable="{{ 'ssh' | trim }}")["guest"],
    }
    run = ansible.run_playbook(play(reset, VERSION, reset, VERSION, hosts="all"), inventory).ok()
    assert all(run.result(name, "T3")["replies"][0]["ok"] for name in inventory)


def test_a_template_in_an_error_stays_text(vm_host: VmHost, guest: Any) -> None:
    guest.guest("touch '/tmp/{{ 6 * 7 }}'")
    tasks = (
        {
            "ansible.builtin.raw": "{% raw %}proc 1/root/tmp/{{ 6 * 7 }}/x{% endraw %}",
            "register": "said",
            "ignore_errors": True,
        },
        {"ansible.builtin.debug": {"msg": "ok"}, "when": "said is failed"},
        {"ansible.builtin.debug": {"var": "said"}},
    )
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, guest)).ok()
    assert run.task("guest", "T0").failed
    assert not run.task("guest", "T1").skipped
    assert "42" not in str(run.result("guest", "T0"))


# The target `connection_ssh`


TERMINALS = ("ansible_ssh_extra_args", "ansible_ssh_common_args", "ansible_ssh_args")


@pytest.mark.parametrize("kept", ["true", "false"])
def test_neither_a_terminal_nor_kept_files_stand_in_the_way(vm_host: VmHost, guest: Any, kept: str) -> None:
    given = vm_host.inventory_vars()
    forced = {name: {name: f"{given.get(name, '')} -o RequestTTY=force"} for name in TERMINALS}
    inventory = {name: hosts(vm_host, guest, **words)["guest"] for name, words in forced.items()}
    inventory["short"] = hosts(vm_host, guest, ansible_ssh_extra_args="-tt")["guest"]
    run = ansible.adhoc("all", "ansible.builtin.ping", "", inventory, env={"ANSIBLE_KEEP_REMOTE_FILES": kept}).ok()
    assert [run.only(name).result["ping"] for name in inventory] == ["pong"] * 4


def test_exit_status(vm_host: VmHost, guest: Any) -> None:
    tasks = ({"ansible.builtin.raw": "version"}, {"ansible.builtin.raw": "go", "ignore_errors": True})
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, guest)).ok()
    assert [run.result("guest", f"T{number}")["rc"] for number in range(2)] == [0, 1]
    assert not run.task("guest", "T1").unreachable


def test_settings_of_the_configuration_file(vm_host: VmHost, guest: Any, ansible_home: Path) -> None:
    inventory = hosts(vm_host, guest)
    words = inventory["guest"].pop("ansible_ssh_common_args")
    port = inventory["guest"].pop("ansible_port")
    config = ansible_home / "my.cfg"
    config.write_text(f"[ssh_connection]\nssh_common_args = {words}\nssh_extra_args = -p {port}\n")
    assert ping(inventory, env={"ANSIBLE_CONFIG": str(config)}).result["ping"] == "pong"


def test_another_file_of_settings_for_ssh(vm_host: VmHost, guest: Any, tmp_path: Path) -> None:
    (tmp_path / "ssh.cfg").write_text("Host *\n  Port 1\n")
    inventory = hosts(vm_host, guest, ansible_ssh_common_args=f"-F {tmp_path / 'ssh.cfg'}")
    del inventory["guest"]["ansible_port"]
    answer = ping(inventory)
    assert answer.unreachable
    assert "port 1:" in answer.result["msg"]


def test_a_control_path_with_spaces(vm_host: VmHost, guest: Any, ansible_home: Path) -> None:
    path = ansible_home / "ssh cp with spaces"
    assert ping(hosts(vm_host, guest), env={"ANSIBLE_SSH_CONTROL_PATH": str(path)}).result["ping"] == "pong"
    assert path.is_socket()
    ansible.close_master(path)


def test_a_password_of_the_vm_host(door: VmHost, launch_guest: Any, uml_dir: Path) -> None:
    guest = launch_guest("behind", uml_dir=uml_dir / "behind", user=door.user)
    inventory = hosts(door, guest, ansible_password=SECRET)
    del inventory["guest"]["ansible_ssh_private_key_file"]
    assert ping(inventory).result["ping"] == "pong"
    answer = ping(hosts(door, guest, ansible_password="wrong", ansible_ssh_private_key_file="/dev/null"))
    assert answer.unreachable
    assert SECRET not in str(answer)


# The targets `async` and `delegate_to`


def test_what_shall_run_in_the_background(vm_host: VmHost, guest: Any) -> None:
    tasks = (
        {**VERSION, "async": 30, "poll": 1, "ignore_errors": True},
        {"ansible.builtin.ping": {}, "async": 30, "poll": 1, "ignore_errors": True},
    )
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, guest)).ok()
    assert run.result("guest", "T0")["msg"] == "This action (uml.mconsole.request) does not support async."
    assert "remove async from the task" in run.result("guest", "T1")["msg"]
    assert not any(task.unreachable for task in run.tasks)


def test_a_task_can_go_to_the_vm_host(vm_host: VmHost, guest: Any) -> None:
    inventory = {**hosts(vm_host, guest), "there": vm_host.inventory_vars()}
    tasks = (
        {"ansible.builtin.command": "cat /proc/sys/kernel/hostname", "delegate_to": "there"},
        {"ansible.builtin.raw": "proc sys/kernel/hostname"},
    )
    run = ansible.run_playbook(play(*tasks), inventory).ok()
    assert run.result("guest", "T0")["stdout"] == Path("/proc/sys/kernel/hostname").read_text().strip()
    assert run.result("guest", "T1")["stdout"].strip() == "guest"


# Time-outs


def test_a_console_that_does_not_answer_is_given_up(vm_host: VmHost, guest: Any) -> None:
    guest.process.send_signal(signal.SIGSTOP)
    try:
        answer = ping(hosts(vm_host, guest, ansible_uml_timeout=1))
        tasks = ({"ansible.builtin.wait_for_connection": {"timeout": 2, "sleep": 1}, "ignore_errors": True},)
        run = ansible.run_playbook(play(*tasks), hosts(vm_host, guest, ansible_uml_timeout=1))
    finally:
        guest.process.send_signal(signal.SIGCONT)
    assert answer.unreachable
    assert "guest" in answer.result["msg"]
    assert "timed out waiting for" in run.result("guest", "T0")["msg"]


def test_the_time_of_a_task_is_kept(vm_host: VmHost, guest: Any) -> None:
    guest.process.send_signal(signal.SIGSTOP)
    try:
        tasks = ({"ansible.builtin.raw": "version", "timeout": 3, "ignore_errors": True},)
        run = ansible.run_playbook(play(*tasks), hosts(vm_host, guest, ansible_uml_timeout=600))
    finally:
        guest.process.send_signal(signal.SIGCONT)
    assert "3 second" in run.result("guest", "T0")["msg"]


def test_nobody_listens(door: VmHost, guest: Any) -> None:
    inventory = hosts(door, guest, ansible_port=1)
    tasks = ({**VERSION, "ignore_unreachable": True}, {"ansible.builtin.debug": {"msg": "on"}})
    run = ansible.run_playbook(play(*tasks), inventory)
    assert run.task("guest", "T0").unreachable
    assert run.result("guest", "T1")["msg"] == "on"
