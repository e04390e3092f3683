# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw console commands on each kernel: sent in order, none if one is invalid, and no change in check mode."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, kernels, processes, uml
from support.run_operation import BadArguments, operate

HERE = {"here": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}}
Request = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=kernels.wanted())
def kernel(request):
    """Return each kernel under test in turn."""
    return kernels.path(request.param)


@pytest.fixture(scope="module")
def machine(kernel) -> Iterator[uml.Instance]:
    """Yield one instance of each kernel to the tests that leave it as it is."""
    with tempfile.TemporaryDirectory(prefix="uml.req.") as folder:
        instance = uml.launch("guest", Path(folder), kernel=kernel)
        yield instance
        instance.close()


@pytest.fixture
def request_of(machine) -> Iterator[Request]:
    """Run the operation on the instance, and put con5 back."""
    yield lambda *commands, check=False, **params: send(machine, *commands, check=check, **params)
    machine.request("config con5=null")


def send(instance: uml.Instance, *commands: str, check: bool = False, **params: Any) -> dict[str, Any]:
    """Return the result of raw commands to an instance."""
    where = {"umid": instance.umid, "uml_dir": str(instance.uml_dir)}
    return operate("request", check, commands=list(commands), **where, **params)


def texts(result: dict[str, Any]) -> list[str]:
    """Return what was answered to each command."""
    return [reply["text"] for reply in result["replies"]]


# What was answered.


def test_queries_are_answered_in_their_order_and_change_nothing(machine, request_of):
    result = request_of("version", "config con5", "proc sys/kernel/ostype")
    release = machine.guest("uname -r").strip()
    assert [reply["command"] for reply in result["replies"]] == ["version", "config con5", "proc sys/kernel/ostype"]
    assert result["replies"][0]["text"].startswith(f"Linux guest {release} #")
    assert texts(result)[1:] == ["null", "\nLinux\n"]
    assert result["stdout_lines"][1:] == ["null", "Linux"]
    assert result["changed"] is False


def test_a_command_that_changes_something_is_a_change_each_time(machine, request_of):
    for _each in range(2):
        result = request_of("config con5=pts")
        assert (result["changed"], result["commands"]) == (True, ["config con5=pts"])
    assert machine.request("config con5") == (0, "pts")


def test_a_comma_stays_in_the_one_command(machine):
    where = {"umid": "guest", "uml_dir": str(machine.uml_dir)}
    result = operate("request", command="config ubd3=/nonexistent/cow,/nonexistent/image", **where)
    assert result["commands"] == ["config ubd3=/nonexistent/cow,/nonexistent/image"]
    assert result["error"]["err"] < 0


def test_a_long_answer_is_whole(machine, request_of):
    machine.guest("i=0; while [ $i -lt 4000 ]; do echo line $i of a long file; i=$((i+1)); done > /tmp/long")
    result = request_of("proc 1/root/tmp/long")
    assert result["replies"][0]["truncated"] is False
    assert result["stdout_lines"] == [f"line {number} of a long file" for number in range(4000)]


def test_bytes_that_are_no_text_can_be_returned(machine, request_of):
    machine.guest("printf 'a\\377b\\033[31m' > /tmp/odd")
    assert texts(request_of("proc 1/root/tmp/odd")) == ["\na\ufffdb\033[31m"]


# What is refused.


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("nonsense", "'nonsense' is not a console command; expected one of cad, config,"),
        ("halt_me", "'halt_me' is not a console command"),
        ("Version", "'Version' is not a console command"),
        (" version", "'' is not a console command"),
        ("", "'' is not a console command"),
        ("version now", "'version now' is incomplete or too long; expected 'version' alone"),
        ("config", "'config' is incomplete or too long; expected 'config DEVICE[=SETTING]'"),
        ("config con5=pts\nhalt", "holds a newline; send one command at a time"),
        ("config con5=pts\0", "holds a NUL"),
        ("log " + "x" * 600, "bytes long, and the kernel takes at most 511"),
    ],
)
def test_one_bad_command_and_none_is_sent(machine, request_of, bad, said):
    result = request_of("config con5=pts", bad)
    assert said in result["msg"]
    assert result["failed"]
    assert result["error"]["kind"] == "input"
    assert result["commands"] == []
    assert machine.request("config con5") == (0, "null")


def test_the_kernels_no_ends_the_task_and_keeps_what_was_answered(machine, request_of):
    result = request_of("version", "config con5=pts", "remove ubd9", "config con5=null")
    assert result["failed"]
    assert result["msg"].startswith("guest refused 'remove ubd9': Device doesn't exist")
    assert result["error"]["err"] == -19
    assert [reply["ok"] for reply in result["replies"]] == [True, True, False]
    assert result["commands"] == ["version", "config con5=pts", "remove ubd9"]
    assert result["changed"] is True
    assert machine.request("config con5") == (0, "pts")


def test_a_refused_command_changed_nothing(request_of):
    result = request_of("remove ubd9")
    assert (result["failed"], result["changed"]) == (True, False)


@pytest.mark.parametrize("command", ["sysrq c", "sysrq o", "proc 1/root/dev/tty0", "proc kcore", "remove ubd0"])
@pytest.mark.parametrize("check", [False, True])
def test_what_would_harm_the_instance_is_not_sent(machine, request_of, command, check):
    result = request_of("version", command, check=check)
    assert result["error"]["kind"] == "danger"
    assert result["commands"] == ["version"]
    assert f"{command!r} was not sent to guest" in result["msg"]
    assert machine.guest("echo alive") == "alive\n"


@pytest.mark.parametrize("params", [{}, {"command": "version", "commands": ["version"]}])
def test_one_way_to_say_what_to_send_is_needed(machine, params):
    with pytest.raises(BadArguments):
        operate("request", umid="guest", uml_dir=str(machine.uml_dir), **params)


@pytest.mark.parametrize("umid", [".", "..", "a/b", "a\0b", "x" * 70, "nobody"])
def test_an_instance_that_is_none_is_named(machine, umid):
    result = operate("request", umid=umid, uml_dir=str(machine.uml_dir), command="version")
    assert result["failed"]
    assert repr(umid) in result["msg"]


# Check mode.


def test_in_check_mode_queries_alone_are_sent(machine, request_of):
    result = request_of("config con5=pts", "config con5", check=True)
    assert result["changed"] is True
    assert result["commands"] == ["config con5=pts", "config con5"]
    assert [reply["sent"] for reply in result["replies"]] == [False, True]
    assert result["replies"][0]["ok"] is None
    assert result["msg"] == "not sent in check mode, because it changes something: config con5=pts"
    assert result["stdout"] == "null"
    assert machine.request("config con5") == (0, "null")


CHANGES = ["halt", "reboot", "cad", "stop", "go", "log x", "config con5=pts", "remove con5", "sysrq s", "sysrq e"]


def test_in_check_mode_no_command_that_changes_something_reaches_the_kernel(machine, request_of):
    for command in CHANGES:
        request_of(command, check=True, force=True)
    assert machine.request("config con5") == (0, "null")
    assert machine.request("go") == (1, "Not stopped")
    assert "sysrq: Emergency Sync" not in machine.console_log()
    assert machine.guest("echo alive") == "alive\n"


# Instances that are paused, hang, or end.


def test_a_paused_instance_takes_what_is_safe_and_nothing_else(kernel, launch_guest):
    instance = launch_guest("still", kernel=kernel)
    assert send(instance, "stop")["replies"][0]["text"] == "stopped"
    assert send(instance, "version", "config con1")["replies"][1]["text"] == "null"
    for command in ("config con5=null", "proc meminfo", "remove con5"):
        assert send(instance, command)["error"]["danger"] == "guest-while-paused"
    assert "Already stopped" in send(instance, "stop")["msg"]
    assert send(instance, "go")["changed"] is True
    assert instance.guest("echo alive") == "alive\n"


def test_no_answer_to_a_change_may_be_a_change(kernel, launch_guest):
    instance = launch_guest("hung", kernel=kernel)
    processes.stop(instance.pid)
    asked = send(instance, "version", timeout=0.3)
    assert (asked["error"]["kind"], asked["changed"]) == ("unanswered", False)
    result = send(instance, "config con5=pts", "version", timeout=0.3)
    assert (result["error"]["kind"], result["changed"]) == ("unanswered", True)
    assert "it may have happened" in result["msg"]
    assert result["replies"] == []


def test_force_means_it(kernel, launch_guest):
    instance = launch_guest("doomed", kernel=kernel)
    result = send(instance, "sysrq c", force=True)
    instance.wait_dead()
    assert result["changed"] is True
    assert "Kernel panic" in instance.console_log()


def test_halt_is_answered_and_the_instance_gone(kernel, launch_guest):
    instance = launch_guest("ended", kernel=kernel)
    result = send(instance, "halt", "version")
    assert result["changed"] is True
    instance.wait_dead()


def test_many_instances_answer_each_for_itself(kernel, launch_guest, uml_dir):
    for umid in ("one", "two"):
        launch_guest(umid, kernel=kernel)
    result = operate("request", umids=["*"], uml_dir=str(uml_dir), command="config con1")
    assert {umid: each["stdout"] for umid, each in result["instances"].items()} == {"one": "null", "two": "null"}
    assert result["changed"] is False


# As a user types it.


def test_as_an_ad_hoc_command(machine):
    where = f"umid=guest uml_dir={machine.uml_dir}"
    asked = ansible.adhoc("here", "uml.mconsole.request", f"{where} command=version", HERE).ok().only("here")
    assert asked.result["stdout"].startswith("Linux guest ")
    told = f"{where} command='config con5=fd:1,pts'"
    extra = ["--check", "--diff"]
    planned = ansible.adhoc("here", "uml.mconsole.request", told, HERE, extra_args=extra).ok().only("here")
    assert planned.changed
    assert "not sent in check mode" in planned.result["msg"]
    assert machine.request("config con5") == (0, "null")
