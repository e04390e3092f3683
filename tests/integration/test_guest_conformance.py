# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-core asks of its own connection plugins (docs/conformance.md), inside a guest, and hostile guests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import ansible, uml
from support.wait import wait_until

TEXT = "汉语"
LINE = ("ssl1=pts", "line=ttyS1", "usr=host")


def hosts(vm_host: Any, instance: uml.Instance, **variables: Any) -> dict[str, Any]:
    """Return an inventory of the inside of one instance."""
    place = {"ansible_connection": "uml.mconsole.guest", "ansible_uml_dir": str(instance.uml_dir)}
    return {instance.umid: {**vm_host.inventory_vars(), **place, **variables}}


def play(*tasks: dict[str, Any], **words: Any) -> list[dict[str, Any]]:
    """Return a play on all hosts, its tasks named T0, T1, ..."""
    named = [{"name": f"T{number}", **task} for number, task in enumerate(tasks)]
    return [{"hosts": "all", "gather_facts": False, **words, "tasks": named}]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[uml.Instance]:
    """Return a guest that has the machine's own programs, with a root shell on a line."""
    folder = Path(tempfile.mkdtemp(prefix="uml."))
    instance = uml.launch("full", folder, *LINE, memory="256M")
    yield instance
    instance.close()
    shutil.rmtree(folder, ignore_errors=True)


# The targets `connection` and `connection_posix`


@pytest.mark.parametrize("pipelining", [True, False])
def test_the_cases_of_the_target_connection(vm_host: Any, full: uml.Instance, tmp_path: Path, pipelining: bool) -> None:
    source, remote = tmp_path / f"{TEXT}-here", f"/tmp/ansible-{TEXT}"
    source.mkdir()
    (source / f"{TEXT}.txt").write_text(f"{TEXT}\n")
    tasks = (
        {"ansible.builtin.raw": f"echo {TEXT}"},
        {"ansible.builtin.file": {"path": remote, "state": "directory"}},
        {"ansible.builtin.copy": {"src": f"{source}/{TEXT}.txt", "dest": f"{remote}/{TEXT}.txt"}},
        {"ansible.builtin.fetch": {"src": f"{remote}/{TEXT}.txt", "dest": f"{tmp_path}/{TEXT}-back/", "flat": True}},
        {"ansible.builtin.file": {"path": remote, "state": "absent"}},
        {"ansible.builtin.wait_for_connection": {}},
        {"ansible.builtin.wait_for_connection": {"foo": "bar"}, "ignore_errors": True},
    )
    inventory = hosts(vm_host, full, ansible_pipelining=pipelining)
    env = {"ANSIBLE_KEEP_REMOTE_FILES": str(not pipelining)}
    run = ansible.run_playbook(play(*tasks), inventory, env=env).ok()
    assert TEXT in run.result("full", "T0")["stdout"]
    assert run.task("full", "T0").changed
    assert (tmp_path / f"{TEXT}-back" / f"{TEXT}.txt").read_text() == f"{TEXT}\n"
    assert run.task("full", "T6").result["msg"].endswith("wait_for_connection: foo")
    assert full.guest_status(f"test -e {remote}")[0] != 0


def test_variables_of_the_connection_are_not_shown(vm_host: Any, full: uml.Instance) -> None:
    run = ansible.adhoc("full", "ansible.builtin.set_fact", "testing=value", hosts(vm_host, full), extra_args=["-v"])
    assert "testing" in run.ok().stdout
    assert "ansible_host" not in run.stdout
    assert "ansible_uml" not in run.stdout


def test_reset_with_a_template_and_errors_that_hold_one(vm_host: Any, full: uml.Instance) -> None:
    tasks = (
        {"ansible.builtin.meta": "reset_connection"},
        {"ansible.builtin.raw": "{% raw %}echo '{{ 6 * 7 }}' >&2; exit 1{% endraw %}", "ignore_errors": True},
        {"ansible.builtin.meta": "reset_connection"},
        {"ansible.builtin.command": "cat /proc/sys/kernel/hostname"},
    )
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, full, ansible_uml_line="{{ 'ssl1' | trim }}")).ok()
    assert "42" not in str(run.result("full", "T1"))
    assert run.result("full", "T1")["rc"] == 1
    assert run.result("full", "T3")["stdout"] == "full"


# The targets `raw`, `command_shell`, `async`, `become`, `delegate_to` and `setup`


def test_background_become_and_delegation(vm_host: Any, full: uml.Instance) -> None:
    inventory = {**hosts(vm_host, full), "there": vm_host.inventory_vars()}
    name = "cat /proc/sys/kernel/hostname"
    tasks = (
        {"ansible.builtin.command": "sleep 1", "async": 60, "poll": 1},
        {"ansible.builtin.raw": "id -un", "become": True, "become_user": "lab", "become_method": "su"},
        {"ansible.builtin.command": name, "delegate_to": "there"},
        {"ansible.builtin.command": name},
        {"ansible.builtin.shell": "echo out; echo err >&2; exit 255", "ignore_errors": True},
        {"ansible.builtin.command": "/nonexistent", "ignore_errors": True},
    )
    run = ansible.run_playbook(play(*tasks, hosts="full"), inventory).ok()
    assert run.result("full", "T0")["finished"] in (1, True)
    assert run.result("full", "T1")["stdout"].strip() == "lab"
    assert run.result("full", "T2")["stdout"] == Path("/proc/sys/kernel/hostname").read_text().strip()
    assert run.result("full", "T3")["stdout"] == "full"
    failed = run.task("full", "T4")
    assert (failed.result["rc"], failed.result["stdout"], failed.result["stderr"]) == (255, "out", "err")
    assert not failed.unreachable
    assert run.task("full", "T5").failed


# Hostile guests


def test_output_without_an_end_is_cut_off(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("endless", "ssl1=pts", "line=ttyS1")
    tasks = ({"ansible.builtin.raw": "yes", "ignore_errors": True}, {"ansible.builtin.raw": "echo on"})
    run = ansible.run_playbook(play(*tasks), hosts(vm_host, instance), timeout=300)
    assert "the command wrote more than" in run.result("endless", "T0")["msg"]
    assert run.result("endless", "T1")["stdout"] == "on\n"
    assert instance.guest("ps | grep '[y]es$'; true") == ""


TALKER = (
    "cat >/sbin/line <<'END'\n#!/bin/sh\nexec </dev/ttyS1 >/dev/ttyS1 2>&1\n"
    "while :; do printf '\\033[2J\\033]0;title\\007login: @@ @0 1\\r\\n# '; sleep 0.01; done\nEND\nchmod 755 /sbin/line"
)


def test_a_line_that_never_stops_talking_is_given_up(vm_host: Any, launch_guest: Any) -> None:
    instance = launch_guest("talks", "ssl1=pts")
    instance.guest(f"{TALKER}; killall sleep; (setsid /sbin/line &) ; true")
    answer = ansible.adhoc(
        "talks", "ansible.builtin.raw", "true", hosts(vm_host, instance, ansible_uml_guest_timeout=5)
    ).only("talks")
    assert answer.unreachable
    assert "\x1b" not in answer.result["msg"]


MOMENTS = [0.05] if os.environ.get("UML_FAULTS") != "all" else [n / 50 for n in range(50)]  # seconds into a command


@pytest.mark.parametrize("way", ["hostfs", "line"])
def test_a_client_killed_in_a_command(vm_host: Any, launch_guest: Any, ansible_home: Path, way: str) -> None:
    """The task that is hit says so; the next one works."""
    instance = launch_guest("shot", "ssl1=pts", "line=ttyS1")
    inventory = hosts(vm_host, instance, ansible_uml_transfer=way, ansible_uml_guest_timeout=60)

    def raw(text: str) -> ansible.TaskResult:
        return ansible.adhoc("shot", "ansible.builtin.raw", text, inventory, home=ansible_home).only("shot")

    for number, moment in enumerate(MOMENTS):
        assert raw(f"echo {number}").result["stdout"] == f"{number}\n"
        pid = int(ansible.clients(ansible_home)[0]["pid"])
        with ThreadPoolExecutor() as pool:
            running = pool.submit(raw, f"touch /began{number}; seq 2000; sleep 2; seq 2000")
            begun = f"test -e /began{number}"
            wait_until(lambda: instance.guest_status(begun)[0] == 0, 60, "the command began")  # noqa: B023
            time.sleep(moment)  # the moment itself is what varies
            os.kill(pid, signal.SIGKILL)
            said = running.result()
        assert said.failed or said.unreachable
        assert "was lost after the order had been sent" in said.result["msg"]
    assert raw("echo end").result["stdout"] == "end\n"
