# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Console commands as modules send them, against a fake console that notes what reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake import FakeConsole
from support.fake_kernel import Kernel
from support.run_operation import operate

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def fake(uml_dir: Path) -> Iterator[FakeConsole]:
    """Yield a fake console called `fake`."""
    with FakeConsole(uml_dir) as console:
        yield console


@pytest.fixture
def run(fake: FakeConsole, uml_dir: Path) -> Run:
    """Run an operation on it."""
    return lambda name, check=False, **params: operate(name, check, umid="fake", uml_dir=str(uml_dir), **params)


def test_commands_are_sent_in_their_order(fake, run):
    run("request", commands=["version", "config con5=pts", "config con5"])
    assert fake.received == ["version", "config con5=pts", "config con5"]


def test_no_command_is_sent_when_one_is_none(fake, run):
    assert run("request", commands=["version", "config con5=pts", "nonsense"])["failed"]
    assert fake.received == []


def test_no_command_is_sent_after_a_refused_one(fake, run):
    result = run("request", commands=["remove ubd9", "version"])
    assert fake.received[-1] == "remove ubd9"
    assert result["replies"] == [
        {
            "command": "remove ubd9",
            "sent": True,
            "ok": False,
            "err": -19,
            "text": "Device doesn't exist",
            "packets": 1,
            "truncated": False,
        }
    ]


def test_no_commands_at_all_are_no_failure(fake, run):
    result = run("request", commands=[])
    assert (result["changed"], result["replies"], result["stdout"]) == (False, [], "")
    assert fake.received == []


CHANGES = [
    (
        "request",
        {"commands": ["halt", "reboot", "cad", "stop", "go", "log x", "config con5=pts", "remove con5", "sysrq s"]},
    ),
    ("sysrq", {"key": "s"}),
    ("sysrq", {"key": "9"}),
    ("sysrq", {"key": "o"}),
    ("kernel_log", {"text": "one\ntwo"}),
]


@pytest.mark.parametrize(("name", "params"), CHANGES)
def test_in_check_mode_nothing_that_changes_something_is_sent(fake, run, name, params):
    force = {} if name == "kernel_log" else {"force": True}
    result = run(name, True, **params, **force)
    assert result["changed"] is True
    assert not result.get("failed"), result
    assert [text for text in fake.received if not text.startswith(("version", "proc "))] == []


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("request", {"commands": ["version", "help", "config con5", "proc uptime", "stack 1", "sysrq h"]}),
        ("sysrq", {"key": "h"}),
        ("stack_info", {"pids": [1]}),
        ("proc_info", {"paths": ["uptime"]}),
        ("instance_facts", {"gather_subset": ["all"]}),
    ],
)
def test_what_only_asks_is_never_a_change_in_either_mode(fake, run, name, params):
    results = [run(name, check, **params) for check in (False, True)]
    assert [result["changed"] for result in results] == [False, False]
    assert results[0]["commands"] == results[1]["commands"]
    half = len(fake.received) // 2
    assert fake.received[:half] == fake.received[half:]


def test_a_log_ends_its_lines(fake, run):
    run("kernel_log", text="one\r\n  two\n")
    assert fake.received == ["log one\n", "log two\n"]


def test_a_second_line_that_gets_no_answer_leaves_a_change(fake, run):
    def silent_after_the_first(packets: list[bytes]) -> list[bytes]:
        return packets if len(fake.received) < 2 else []

    fake.manner = silent_after_the_first
    result = run("kernel_log", text="one\ntwo", timeout=0.2)
    assert (result["failed"], result["changed"], result["commands"]) == (True, True, ["log one"])
    assert result["error"]["kind"] == "unanswered"


@pytest.mark.parametrize("silent", [False, True])
def test_a_restart_is_asked_for_first_unless_nobody_answers(fake, run, silent):
    fake.kernel.files["sys/kernel/sysrq"] = b"0\n"
    fake.kernel.wedged = silent
    result = run("sysrq", key="b", force=True, timeout=0.3)
    assert ("sysrq b" in fake.received) is silent
    assert bool(result.get("failed")) is not silent


def test_a_guest_path_is_taken_from_pid_one(fake, run):
    fake.kernel.files["1/root/etc/hostname"] = b"x\n"
    assert run("proc_info", paths=["/etc/hostname"])["contents"]["/etc/hostname"]["text"] == "x\n"


def test_facts_come_from_whatever_is_there(uml_dir):
    files = {"meminfo": b"MemTotal: 2048 kB\n\xff\n", "1/mounts": b"sysfs /sys sysfs rw 0 0\n", "interrupts": b""}
    with FakeConsole(uml_dir, kernel=Kernel(nodename="fake", files=files)):
        result = operate("instance_facts", umid="fake", uml_dir=str(uml_dir))
    facts = result["ansible_facts"]
    assert facts["ansible_memtotal_mb"] == 2
    assert facts["ansible_interfaces"] == ["lo"]
    assert "ansible_processor" not in facts
    assert {"query": "proc cpuinfo", "reason": "Failed to open file"} in facts["uml"]["unavailable"]


def test_an_answer_that_came_cut_is_said_to_be(fake, run):
    fake.kernel.files["meminfo"] = b"MemTotal: 2048 kB\n" + b"x" * 600

    def cut(packets: list[bytes]) -> list[bytes]:
        return packets[:-1] if fake.received[-1] == "proc meminfo" else packets

    fake.manner = cut
    facts = run("instance_facts", gather_subset=["memory"], timeout=0.3)["ansible_facts"]
    assert facts["uml"]["truncated"] == ["proc meminfo"]
    assert facts["ansible_memtotal_mb"] == 2


def test_an_instance_paused_in_the_middle_is_read_no_further(fake, run):
    def pause(packets: list[bytes]) -> list[bytes]:
        if fake.received[-1] == "proc cmdline":
            fake.kernel.paused = True
            fake._socket.setblocking(True)  # seen by the host before the answer is sent
        return packets

    fake.manner = pause
    facts = run("instance_facts", gather_subset=["default"])["ansible_facts"]
    assert fake.received[-1] == "proc cmdline"
    assert not fake.kernel.frozen
    assert facts["ansible_cmdline"] == {"con": "null"}
    assert "paused" in facts["uml"]["unavailable"][-1]["reason"]


def test_no_more_than_the_start_of_an_endless_file_is_looked_at(fake, run):
    fake.kernel.files["1/root/etc/os-release"] = b"ID=debian\n" + b"A='\n" * 100_000
    facts = run("instance_facts", gather_subset=["distribution"])["ansible_facts"]
    assert facts["uml"]["truncated"] == ["proc 1/root/etc/os-release"]
    assert facts["ansible_distribution"] == "Debian"
