# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inside of instances as inventory hosts: real kernels behind real sshd, with a shell or a prompt on a line."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import ansible, guest, kernels, parity, uml
from support.wait import wait_until

OURS = "uml.mconsole.guest"
LINE = ("ssl1=pts", "line=ttyS1")
PYTHON = (*LINE, "usr=host")


def hosts(vm_host: Any, *instances: uml.Instance, **variables: Any) -> dict[str, Any]:
    """Return an inventory of the insides of instances."""
    shared = {**vm_host.inventory_vars(), "ansible_connection": OURS, **variables}
    return {each.umid: {**shared, "ansible_uml_dir": str(each.uml_dir)} for each in instances}


def play(*tasks: dict[str, Any], **words: Any) -> list[dict[str, Any]]:
    """Return a play on all hosts, its tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    return [{"hosts": "all", "gather_facts": False, **words, "tasks": named}]


def raw(instance: uml.Instance, inventory: dict[str, Any], text: str, **options: Any) -> ansible.TaskResult:
    """Return the answer of a guest to a command."""
    return ansible.adhoc(instance.umid, "ansible.builtin.raw", text, inventory, **options).only(instance.umid)


def readers(instance: uml.Instance) -> str:
    """Return what of ours runs in a guest."""
    return instance.guest(
        "ps -o pid,args | grep -e '[w]hile IFS= read' -e '[.]uml-'; ls -d /*/.uml-* 2>/dev/null; true"
    )


def mailboxes() -> list[Path]:
    """Return the folders of the VM host that guests see."""
    return list(Path("/tmp").glob(".uml-guest-*"))


def disks(instance: uml.Instance) -> dict[int, str]:
    """Return the disks that an instance has, without its root."""
    found = {unit: instance.request(f"config ubd{unit}")[1] for unit in range(1, 16)}
    return {unit: config for unit, config in found.items() if config}


@pytest.fixture(scope="module")
def bare(make_module_guest: Callable[..., uml.Instance]) -> uml.Instance:
    """Return a busybox guest without Python, with a root shell on a line."""
    return make_module_guest("bare", *LINE)


@pytest.fixture(scope="module")
def full(make_module_guest: Callable[..., uml.Instance]) -> uml.Instance:
    """Return a guest that has the machine's own programs, with a root shell on a line."""
    return make_module_guest("full", *PYTHON, memory="256M")


@pytest.fixture(scope="module")
def make_module_guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., uml.Instance]]:
    """Yield `make(umid, *words)`: an instance until the end of the file."""
    import contextlib
    import shutil
    import tempfile

    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="uml."))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)

        def make(umid: str, *words: str, **options: Any) -> uml.Instance:
            made = uml.launch(umid, folder, *words, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.mark.smoke
def test_a_command_runs_in_the_guest(vm_host: Any, bare: uml.Instance) -> None:
    said = raw(bare, hosts(vm_host, bare), "cat /proc/sys/kernel/hostname; echo wrong >&2; exit 3")
    assert said.result["stdout"] == "bare\n"
    assert said.result["stderr"] == "wrong\n"
    assert said.result["rc"] == 3
    assert not said.unreachable


@pytest.mark.parametrize("way", ["hostfs", "line"])
def test_bytes_come_out_as_they_are(vm_host: Any, bare: uml.Instance, way: str) -> None:
    inventory = hosts(vm_host, bare, ansible_uml_transfer=way)
    said = raw(bare, inventory, r"printf 'a\033[31m\r\n\tb\303\244 @@ \001'; echo; seq 3000")
    assert said.result["stdout"].startswith("a\x1b[31m\r\n\tb\u00e4 @@ \x01")
    assert said.result["stdout"].splitlines()[-3000:] == [str(number) for number in range(1, 3001)]


@pytest.mark.parametrize("way", ["hostfs", "line"])
def test_a_script_needs_no_python(vm_host: Any, bare: uml.Instance, tmp_path: Path, way: str) -> None:
    script = tmp_path / "say.sh"
    script.write_text('#!/bin/sh\necho "$(cat /proc/sys/kernel/hostname): $*"\nexit 4\n')
    inventory = hosts(vm_host, bare, ansible_uml_transfer=way)
    run = ansible.adhoc(bare.umid, "ansible.builtin.script", f"{script} one 'two three'", inventory)
    assert run.only(bare.umid).result["stdout"] == "bare: one two three\n"
    assert run.only(bare.umid).result["rc"] == 4
    assert bare.guest("ls /root/.ansible/tmp").strip() == ""


def test_a_guest_without_python_can_be_waited_for(vm_host: Any, bare: uml.Instance) -> None:
    tasks = (
        {"ansible.builtin.wait_for_connection": {"timeout": 60}},
        {"ansible.builtin.meta": "reset_connection"},
        {"ansible.builtin.raw": "echo on"},
    )
    inventory = hosts(vm_host, bare, ansible_python_interpreter="/usr/bin/python3")
    assert ansible.run_playbook(play(*tasks), inventory).ok().result(bare.umid, "T2")["stdout"] == "on\n"


def test_nothing_stays_behind(vm_host: Any, bare: uml.Instance, tmp_path: Path) -> None:
    before = mailboxes()
    tasks = [{"ansible.builtin.raw": "true"}, {"ansible.builtin.meta": "reset_connection"}]
    for way in ("hostfs", "line"):
        ansible.run_playbook(play(*tasks), hosts(vm_host, bare, ansible_uml_transfer=way)).ok()
        wait_until(lambda: readers(bare) == "", 30, lambda: f"nothing left in the guest: {readers(bare)}")
        assert bare.guest("grep hostfs /proc/mounts | grep -v /agent; true") == ""
    wait_until(lambda: set(mailboxes()) <= set(before), 30, "the folders of the VM host are gone")


def test_a_module_of_ours_is_about_the_instance(vm_host: Any, bare: uml.Instance) -> None:
    tasks = ({"uml.mconsole.request": {"command": "version"}}, {"ansible.builtin.raw": "uname -r"})
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, bare)).ok()
    assert run.result(bare.umid, "T1")["stdout"].strip() in run.result(bare.umid, "T0")["stdout"]


@pytest.mark.smoke
def test_modules_run_in_the_guest(vm_host: Any, full: uml.Instance, tmp_path: Path) -> None:
    (tmp_path / "page.j2").write_text("{{ ansible_facts.hostname }}\n")
    tasks = (
        {"ansible.builtin.setup": {"gather_subset": ["!all", "platform", "mounts"]}},
        {"ansible.builtin.command": {"cmd": "hostname", "chdir": "/tmp"}},
        {"ansible.builtin.copy": {"content": "a\nb\n", "dest": "/tmp/copied", "mode": "0640"}},
        {"ansible.builtin.copy": {"content": "a\nb\n", "dest": "/tmp/copied", "mode": "0640"}},
        {"ansible.builtin.template": {"src": str(tmp_path / "page.j2"), "dest": "/tmp/page"}},
        {"ansible.builtin.slurp": {"src": "/tmp/page"}},
        {"ansible.builtin.fetch": {"src": "/tmp/copied", "dest": f"{tmp_path}/", "flat": True}},
        {"ansible.builtin.shell": "cat; echo $0", "args": {"stdin": "given"}},
        {"ansible.builtin.ping": {}},
    )
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, full)).ok()
    assert run.result("full", "T0")["ansible_facts"]["ansible_nodename"] == "full"
    assert run.result("full", "T1")["stdout"] == "full"
    assert [run.task("full", name).changed for name in ("T2", "T3", "T4")] == [True, False, True]
    assert run.result("full", "T5")["content"] == "ZnVsbAo="
    assert (tmp_path / "copied").read_text() == "a\nb\n"
    assert run.result("full", "T7")["stdout"].startswith("given")
    assert full.guest("stat -c %a /tmp/copied").strip() == "640"


def test_setup_inside_says_what_the_console_says_outside(vm_host: Any, full: uml.Instance) -> None:
    tasks = play({"uml.mconsole.instance_facts": {"gather_subset": ["all"]}}, {"ansible.builtin.setup": {}})
    run = ansible.run_playbook(tasks, hosts(vm_host, full), timeout=200).ok()
    ours, theirs = (parity.plain(run.result("full", task)["ansible_facts"]) for task in ("T0", "T1"))
    # A guest with the VM host's /usr has its lsb_release, which has this word for a release without a code name.
    assert parity.differences(ours, theirs) in ({}, {"distribution_release": ("NA", "n/a")})
    assert set(ours) >= {"distribution", "mounts", "devices", "interfaces", "lo", "kernel"}


SIZES = {"hostfs": 9_000_001, "disk": 9_000_001, "line": 300_001}


@pytest.mark.parametrize("way", SIZES)
def test_large_files_come_through_whole(vm_host: Any, full: uml.Instance, tmp_path: Path, way: str) -> None:
    (tmp_path / "large").write_bytes(os.urandom(SIZES[way]))
    tasks = (
        {"ansible.builtin.copy": {"src": str(tmp_path / "large"), "dest": "/tmp/large"}},
        {"ansible.builtin.fetch": {"src": "/tmp/large", "dest": f"{tmp_path}/back", "flat": True}},
    )
    ansible.run_playbook(play(*tasks), hosts(vm_host, full, ansible_uml_transfer=way)).ok()
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
    assert disks(full) == {}


def test_a_prompt_is_answered(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("asks", "ssl1=pts", "line=ttyS1,login")
    user = {"ansible_uml_guest_user": "lab"}
    given = hosts(vm_host, instance, ansible_uml_guest_password=guest.PASSWORD, **user)
    wrong = raw(instance, hosts(vm_host, instance, ansible_uml_guest_password="wrong", **user), "true")
    assert wrong.unreachable
    assert "refused the login of lab on ssl1 of asks" in wrong.result["msg"]
    none = raw(instance, hosts(vm_host, instance, **user), "true")
    assert none.unreachable
    assert "asks for the password of lab" in none.result["msg"]
    assert raw(instance, given, "id -un; pwd").result["stdout"] == "lab\n/home/lab\n"


def test_nobody_is_there(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("empty", "ssl1=pts")
    said = raw(instance, hosts(vm_host, instance, ansible_uml_guest_timeout=2), "true")
    assert said.unreachable
    assert (
        "ssl1 of empty has no program at its other end: nothing in the guest has /dev/ttyS1 open" in said.result["msg"]
    )
    null = launch_guest("null")
    said = raw(null, hosts(vm_host, null, ansible_uml_guest_timeout=2), "true")
    assert "ssl1 of null is a null channel" in said.result["msg"]


def test_any_line_with_a_getty_will_do(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("other", "con1=pts", "line=tty1")
    assert raw(instance, hosts(vm_host, instance), "echo here").result["stdout"] == "here\n"


def test_one_at_a_time_uses_a_line(vm_host: Any, bare: uml.Instance, ansible_home: Path) -> None:
    inventory = {
        f"{name}": {**hosts(vm_host, bare)["bare"], "ansible_uml_umid": "bare", "ansible_uml_guest_timeout": 60}
        for name in ("a", "b", "c")
    }
    tasks = (
        {"ansible.builtin.raw": "mkdir /tmp/alone && sleep 0.3 && rmdir /tmp/alone && echo {{ inventory_hostname }}"},
    )
    run = ansible.run_playbook(play(*tasks), inventory).ok()
    assert [run.result(name, "T0")["stdout"] for name in inventory] == ["a\n", "b\n", "c\n"]


def test_who_has_the_line_is_said(vm_host: Any, bare: uml.Instance) -> None:
    ansible.run_playbook(play({"ansible.builtin.meta": "reset_connection"}), hosts(vm_host, bare)).ok()
    path = wait_until(lambda: re.search(r"pts:(\S+)", bare.request("config ssl1")[1]), 30, "the line is open").group(1)
    holder = (
        f"import fcntl,os,time;f=os.open({path!r},os.O_RDWR|os.O_NOCTTY);fcntl.flock(f,2);print('has',flush=True);"
        "time.sleep(60)"
    )
    import subprocess
    import sys

    with subprocess.Popen([sys.executable, "-c", holder, "uml.mconsole test"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        said = raw(bare, hosts(vm_host, bare, ansible_uml_guest_timeout=1), "true")
        process.kill()
    assert said.unreachable
    assert f"is in use by process {process.pid} of root (uml.mconsole test)" in said.result["msg"]


@pytest.mark.parametrize("way", ["hostfs", "line"])
def test_messages_of_the_kernel_on_the_line_do_no_harm(vm_host: Any, launch_guest: Any, way: str) -> None:
    """The first console= that a kernel of User-Mode Linux knows is its only one: its log stays empty."""
    words = ("con1=pts", "line=tty1", "console=tty1", "console=tty0", "loglevel=8")
    instance = launch_guest("noisy", *words, wait=False)
    instance.guest("(while :; do echo '<1>@@ a message @1 0' >/dev/kmsg; sleep 0.02; done) >/dev/null 2>&1 &")
    inventory = hosts(vm_host, instance, ansible_uml_transfer=way, ansible_uml_guest_timeout=60)
    tasks = [{"ansible.builtin.raw": "seq 4000"} for _number in range(3)]
    run = ansible.run_playbook(play(*tasks), inventory).ok()
    wanted = "".join(f"{number}\n" for number in range(1, 4001))
    assert [run.result("noisy", f"T{number}")["stdout"] == wanted for number in range(3)] == [True] * 3


@pytest.mark.parametrize("series", kernels.wanted())
def test_each_kernel(vm_host: Any, launch_guest: Any, series: str, tmp_path: Path) -> None:
    instance = launch_guest("each", *LINE, kernel=kernels.path(series))
    (tmp_path / "script").write_bytes(b"#!/bin/sh\nsha256sum <$0\nexit\n" + os.urandom(300_000))
    wanted = hashlib.sha256((tmp_path / "script").read_bytes()).hexdigest()
    for way in SIZES:
        inventory = hosts(vm_host, instance, ansible_uml_transfer=way)
        said = ansible.adhoc("each", "ansible.builtin.script", str(tmp_path / "script"), inventory).only("each")
        assert said.result["stdout"].split()[0] == wanted


# What breaks


def client_of(home: Path) -> int:
    """Return the process of the local client that the runs of a home lead to."""
    return int(ansible.clients(home)[0]["pid"])


def test_a_killed_client_leaves_nothing_and_the_next_task_works(
    vm_host: Any, bare: uml.Instance, ansible_home: Path
) -> None:
    before = set(mailboxes())
    inventory = hosts(vm_host, bare)
    assert raw(bare, inventory, "echo 1", home=ansible_home).result["stdout"] == "1\n"
    os.kill(client_of(ansible_home), signal.SIGKILL)
    wait_until(lambda: set(mailboxes()) <= before, 30, "the folder is gone with the client")
    assert raw(bare, inventory, "echo 2", home=ansible_home).result["stdout"] == "2\n"


@pytest.mark.parametrize("series", kernels.wanted()[::2])
def test_a_disk_is_taken_back_from_the_guest_of_a_killed_client(
    vm_host: Any, launch_guest: Any, ansible_home: Path, series: str
) -> None:
    """The guest has the disk open for a while, so it can only be taken back later."""
    instance = launch_guest("each", *LINE, kernel=kernels.path(series))
    inventory = hosts(vm_host, instance, ansible_uml_transfer="disk")
    assert raw(instance, inventory, "echo 1", home=ansible_home).result["stdout"] == "1\n"
    instance.guest("(until sleep 3 </dev/ubdp; do sleep 0.1; done) >/dev/null 2>&1 &")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(raw, instance, inventory, "head -c 40000000 /dev/zero", home=ansible_home)
        wait_until(lambda: disks(instance), 60, "the guest has a disk")
        os.kill(client_of(ansible_home), signal.SIGKILL)
        running.result()
    wait_until(lambda: not disks(instance), 60, "the disk is taken back")
    assert raw(instance, inventory, "head -c 400000 /dev/zero | tr '\\0' a", home=ansible_home).result["rc"] == 0
    assert disks(instance) == {}


def test_a_client_that_is_killed_in_a_command_is_said_to_be_lost(
    vm_host: Any, bare: uml.Instance, ansible_home: Path
) -> None:
    inventory = hosts(vm_host, bare)
    assert raw(bare, inventory, "echo 1", home=ansible_home).result["stdout"] == "1\n"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(raw, bare, inventory, "touch /tmp/begun; exec sleep 50", home=ansible_home)
        wait_until(lambda: bare.guest_status("test -e /tmp/begun")[0] == 0, 30, "the command has begun")
        os.kill(client_of(ansible_home), signal.SIGKILL)
        said = running.result()
    assert said.failed or said.unreachable
    assert "it may have happened" in said.result["msg"]
    assert raw(bare, inventory, "echo 2", home=ansible_home).result["stdout"] == "2\n"


def test_what_a_task_has_started_ends_with_its_time(vm_host: Any, bare: uml.Instance) -> None:
    tasks = (
        {"ansible.builtin.raw": "exec sleep 4711", "timeout": 5, "ignore_errors": True},
        {"ansible.builtin.raw": "echo on"},
    )
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, bare, ansible_uml_guest_timeout=60)).ok()
    assert "5 second" in run.result("bare", "T0")["msg"]
    assert run.result("bare", "T1")["stdout"] == "on\n"
    wait_until(lambda: bare.guest("ps | grep '[s]leep 4711'; true") == "", 30, "the command is ended")


def test_a_guest_that_ends_in_a_command_is_said_to_be_gone(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("ends", *LINE)
    said = raw(instance, hosts(vm_host, instance), "poweroff -f; sleep 60")
    assert said.unreachable
    assert "was hung up while the command ran" in said.result["msg"]


def test_what_a_hostile_guest_puts_into_the_folder_is_not_followed(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("bad", *LINE)
    inventory = hosts(vm_host, instance)
    text = (
        "cd /proc/$PPID/cwd && for n in $(seq 1 40); do for s in out err rc; do"
        " ln -s /etc/passwd $n.$s 2>/dev/null; done; done; ls"
    )
    raw(instance, inventory, text)
    said = raw(instance, inventory, "echo fine")
    assert "root:" not in str(said.result)


def test_forged_framing_is_output(vm_host: Any, bare: uml.Instance) -> None:
    inventory = hosts(vm_host, bare)
    text = (
        r"S=$(tr '\0' '\n' </proc/$PPID/cmdline | sed -n 's/.*;S=\([0-9a-f]*\);.*/\1/p');"
        ' for n in $(seq 1 99); do echo "@$S $n" >/dev/ttyS1; done; sleep 1; echo end; exit 7'
    )
    said = raw(bare, inventory, text)
    assert said.result["stdout"].endswith("end\n")
    assert said.result["rc"] == 7
