# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users of Ansible do without a thought of consoles: setup, ping, a misspelt option, a task that needs a shell."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from support import ansible, uml
from support.vmhost import VmHost

pytestmark = pytest.mark.smoke
# In this order, because socket itself looks at what select has.
PRELUDE = """\
MISSING = {
    "select": ("epoll", "EPOLLIN"),
    "os": ("O_PATH", "O_TMPFILE", "pidfd_open", "posix_fadvise", "posix_fallocate", "copy_file_range", "setns",
           "unshare", "memfd_create", "eventfd", "SEEK_DATA", "SEEK_HOLE"),
    "signal": ("pidfd_send_signal", "sigtimedwait"),
    "socket": ("SO_PEERCRED", "SCM_CREDENTIALS", "SO_PASSCRED", "SOCK_CLOEXEC", "SOCK_NONBLOCK"),
}
for module, names in MISSING.items():
    found = __import__(module)
    for name in names:
        if hasattr(found, name):
            delattr(found, name)
"""


def static(vm_host: VmHost, guest: uml.Instance, **variables: Any) -> dict[str, Any]:
    """Return the static inventory of the README: one host, no variable about facts."""
    reach = vm_host.inventory_vars()
    del reach["ansible_python_interpreter"]
    place = {"ansible_connection": "uml.mconsole.mconsole", "ansible_uml_dir": str(guest.uml_dir)}
    return {guest.umid: {**reach, **place, **variables}}


def play(*tasks: dict[str, Any], **words: Any) -> list[dict[str, Any]]:
    """Return a play with the defaults of Ansible, its tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    return [{"hosts": "all", **words, "tasks": named}]


def test_a_play_without_a_word_about_facts_has_those_of_the_instance(vm_host: VmHost, guest: uml.Instance) -> None:
    tasks = (
        {"ansible.builtin.debug": {"msg": "{{ ansible_facts.uml.umid }} {{ ansible_facts.kernel }}"}},
        {"ansible.builtin.setup": {"gather_subset": ["!all", "memory", "env"], "filter": ["ansible_mem*", "uml"]}},
        {"ansible.builtin.setup": {"gather_subset": ["!all"], "filter": "ansible_kernel"}},
        {"ansible.builtin.gather_facts": {}},
    )
    done = ansible.run_playbook(play(*tasks), static(vm_host, guest)).ok()
    release = guest.guest("uname -r").strip()
    assert done.result("guest", "T0")["msg"] == f"guest {release}"
    assert "Python interpreter" not in done.stdout + done.stderr
    assert done.result("guest", "T2")["ansible_facts"] == {"ansible_kernel": release}
    assert done.result("guest", "T3")["ansible_facts"]["uml"]["umid"] == "guest"
    assert any("facts of memory, env" in text for text in done.result("guest", "T1")["warnings"])


def test_a_play_may_choose_its_subset(vm_host: VmHost, guest: uml.Instance) -> None:
    task = {"ansible.builtin.debug": {"msg": "{{ ansible_facts.uml.gather_subset | join(' ') }}"}}
    done = ansible.run_playbook(play(task, gather_subset=["!all", "uptime"]), static(vm_host, guest)).ok()
    assert set(done.result("guest", "T0")["msg"].split()) == {"platform", "cmdline", "distribution", "uptime"}


@pytest.mark.parametrize("mode", ["auto", "auto_legacy", None])
def test_nothing_is_discovered_in_a_guest(vm_host: VmHost, guest: uml.Instance, mode: str | None) -> None:
    variables = {"ansible_python_interpreter": mode} if mode else {}
    done = ansible.adhoc("guest", "ansible.builtin.ping", "data=hello", static(vm_host, guest, **variables)).ok()
    assert done.only("guest").result["ping"] == "hello"
    assert "discovered" not in done.stdout + done.stderr


@pytest.mark.parametrize("how", ["dead", "hung", "unknown"])
def test_ping_of_an_instance_that_does_not_answer_is_unreachable(
    vm_host: VmHost, guest: uml.Instance, how: str
) -> None:
    inventory = static(vm_host, guest, ansible_uml_timeout=1)
    if how == "dead":
        guest.kill()
    elif how == "unknown":
        inventory = {"guest": {**inventory["guest"], "ansible_uml_umid": "nobody"}}
    else:
        guest.process.send_signal(signal.SIGSTOP)
    try:
        answer = ansible.adhoc("guest", "ansible.builtin.ping", "", inventory).only("guest")
        facts = ansible.run_playbook(play({"ansible.builtin.debug": {}}), inventory)
    finally:
        if how == "hung":
            guest.process.send_signal(signal.SIGCONT)
    assert answer.unreachable
    assert ("nobody" if how == "unknown" else "guest") in answer.result["msg"]
    assert "start of json" not in str(answer.result)
    gathered = facts.task("guest", "Gathering Facts")
    assert gathered.unreachable
    assert answer.result["msg"].split(":")[0] in gathered.result["msg"]


def test_a_misspelt_option_is_answered_alike_over_both_connections(vm_host: VmHost, guest: uml.Instance) -> None:
    inventory = {**static(vm_host, guest), "here": vm_host.inventory_vars()}
    tasks = [
        {"uml.mconsole.device": {"name": "ubd1", "fiel": "/x"}, "ignore_errors": True},
        {"uml.mconsole.device": {"name": "ubd1", "state": "gone"}, "ignore_errors": True},
        {"uml.mconsole.request": {"umid": 101, "command": "version"}, "ignore_errors": True},
    ]
    done = ansible.run_playbook(play(*tasks, gather_facts=False), inventory)
    for number in range(len(tasks)):
        one, other = (done.result(host, f"T{number}") for host in ("guest", "here"))
        assert one["msg"] == other["msg"]
    assert done.result("here", "T0")["msg"] == "uml.mconsole.device has no option 'fiel'; did you mean 'file'?"
    assert "gone" in done.result("here", "T1")["msg"]
    assert "write the umid in quotes" in done.result("here", "T2")["msg"]


REFUSED = {
    "ansible.builtin.script": ({"cmd": "/bin/true"}, "uml.mconsole.request"),
    "ansible.builtin.package": ({"name": "vim"}, "guest's image"),
    "ansible.builtin.reboot": ({}, "uml.mconsole.instance with state=restarted"),
    "ansible.builtin.service": ({"name": "x", "state": "started"}, "delegate the task to the VM host"),
    "ansible.builtin.command": ({"cmd": "id"}, "uml.mconsole.request"),
    "ansible.builtin.template": ({"src": "play.yml", "dest": "/tmp/x"}, "delegate the task to the VM host"),
    "ansible.builtin.slurp": ({"src": "/etc/passwd"}, "delegate the task to the VM host"),
}


@pytest.mark.parametrize("kept", ["false", "true"])
def test_a_refusal_says_what_was_refused_and_what_to_do(vm_host: VmHost, guest: uml.Instance, kept: str) -> None:
    tasks = [{action: options, "ignore_errors": True} for action, (options, _advice) in REFUSED.items()]
    tasks += [{"ansible.builtin.command": "id", "async": 10, "poll": 1, "ignore_errors": True}]
    done = ansible.run_playbook(
        play(*tasks, gather_facts=False), static(vm_host, guest), env={"ANSIBLE_KEEP_REMOTE_FILES": kept}
    )
    for number, (action, (_options, advice)) in enumerate(REFUSED.items()):
        said = done.result("guest", f"T{number}")["msg"]
        assert f"{action} was refused and nothing was done" in said, said
        assert advice in said, said
    assert "command with async was refused" in done.result("guest", f"T{len(REFUSED)}")["msg"]


def test_a_controller_without_what_only_linux_has(vm_host: VmHost, guest: uml.Instance, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(PRELUDE)
    tasks = (
        {"uml.mconsole.request": {"command": "version"}},
        {"uml.mconsole.device": {"name": "con5", "channel": "null"}},
        {"ansible.builtin.ping": {}},
    )
    done = ansible.run_playbook(play(*tasks), static(vm_host, guest), env={"PYTHONPATH": str(tmp_path)}).ok()
    assert done.result("guest", "T2")["ping"] == "pong"
