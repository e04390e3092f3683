# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sysrq, kernel_log, stack_info and proc_info on each kernel: what happened is what was said."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, kernels, uml
from support.run_operation import BadArguments, operate
from support.wait import wait_until

HERE = {"here": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}}
Run = Callable[..., dict[str, Any]]


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
def run(machine) -> Run:
    """Run an operation on the instance."""
    return on(machine)


def on(instance: uml.Instance) -> Run:
    """Return what runs an operation on an instance."""
    where = {"umid": instance.umid, "uml_dir": str(instance.uml_dir)}
    return lambda name, check=False, **params: operate(name, check, **where, **params)


def new_kernel(instance: uml.Instance) -> bool:
    """Return whether it is 6.12 or later."""
    major, minor = instance.guest("uname -r").split(".")[:2]
    return (int(major), int(minor)) >= (6, 12)


# sysrq


def test_a_key_that_prints_is_no_change(run):
    result = run("sysrq", key="m")
    assert result["lines"][0] == "sysrq: Show Memory"
    assert any(line.startswith("Free swap") for line in result["lines"])
    assert (result["changed"], result["truncated"]) == (False, False)


def test_a_key_that_prints_is_sent_in_check_mode_too(run):
    assert run("sysrq", True, key="h")["text"].startswith("sysrq: HELP")


def test_sync_is_a_change_and_not_sent_in_check_mode(machine, run):
    planned = run("sysrq", True, key="s")
    assert (planned["changed"], planned["text"], planned["commands"]) == (True, "", ["sysrq s"])
    assert "Emergency Sync" not in machine.guest("dmesg")
    assert run("sysrq", key="s")["text"].startswith("sysrq: Emergency Sync")
    assert "Emergency Sync" in machine.guest("dmesg")


def test_the_key_that_replays_the_log_is_told_from_one_that_is_not_there(machine, run):
    result = run("sysrq", key="R")
    if new_kernel(machine):
        assert any(line.endswith("as init process") for line in result["lines"])
    else:
        assert result["msg"] == "guest did nothing for 'sysrq R': this kernel has no such key"
        assert result["commands"] == ["sysrq R"]


@pytest.mark.parametrize(("allowed", "key"), [("0", "m"), ("0", "s"), ("16", "m"), ("0", "b"), ("16", "b")])
def test_a_key_that_the_guest_does_not_allow_is_an_error(machine, run, allowed, key):
    machine.guest(f"echo {allowed} > /proc/sys/kernel/sysrq")
    try:
        result = run("sysrq", key=key, force=True)
    finally:
        machine.guest("echo 1 > /proc/sys/kernel/sysrq")
    assert "guest did nothing for" in result["msg"]
    assert "kernel.sysrq" in result["msg"]
    assert result["changed"] is False


@pytest.mark.parametrize("key", list("bcefijo"))
@pytest.mark.parametrize("check", [False, True])
def test_deadly_keys_need_force(machine, run, key, check):
    result = run("sysrq", check, key=key)
    assert result["error"]["danger"] == "deadly-key"
    assert machine.guest("echo alive") == "alive\n"


def test_the_task_list_needs_force_where_it_crashes(machine, run):
    result = run("sysrq", key="t")
    if machine.guest("uname -r").startswith("6."):
        assert result["error"]["danger"] == "task-list"
    else:
        assert any("task:" in line for line in result["lines"])
    assert machine.guest("echo alive") == "alive\n"


def test_a_restart_happens_or_is_warned_of(kernel, launch_guest):
    instance = launch_guest("twice", kernel=kernel)
    old = instance.guest("uname -r").startswith("6.")
    result = on(instance)("sysrq", key="b", force=True)
    assert result["changed"] is True
    if old:  # it may hang now, or not
        assert "mostly hangs" in result["warnings"][0]
    else:
        assert "warnings" not in result
        instance.wait_up(boots=2)


def test_power_off_happens(kernel, launch_guest):
    instance = launch_guest("off", kernel=kernel)
    assert on(instance)("sysrq", key="o", force=True)["text"].startswith("sysrq: Power Off")
    instance.wait_dead()


def test_power_off_is_the_way_out_of_a_wedged_console(kernel, launch_guest):
    instance = launch_guest("wedged", kernel=kernel)
    with pytest.raises(TimeoutError):
        instance.request("proc 1/root/dev/tty0", timeout=0.5)
    result = on(instance)("sysrq", key="o", force=True, timeout=2)
    assert not result.get("failed"), result
    instance.wait_dead()


@pytest.mark.parametrize("key", ["", "l", "ss", "S", " ", "B"])
def test_what_is_no_key_is_refused(run, key):
    with pytest.raises(BadArguments, match="value of key must be one of"):
        run("sysrq", key=key)


# kernel_log


def logged(instance: uml.Instance) -> list[str]:
    """Return the guest's kernel log with levels."""
    return instance.guest("dmesg -r -s 1000000").splitlines()


def test_lines_are_logged_one_by_one_and_at_once(machine, run):
    result = run("kernel_log", text="first %s%n {{ 1 }}\n\nsecond é $(id)\r\n")
    assert result["changed"] is True
    assert result["commands"] == ["log first %s%n {{ 1 }}", "log second é $(id)"]
    assert logged(machine)[-2:] == ["<4>first %s%n {{ 1 }}", "<4>second é $(id)"]


def test_in_check_mode_nothing_is_logged(machine, run):
    before = logged(machine)
    result = run("kernel_log", True, text="not yet")
    assert (result["changed"], result["commands"]) == (True, ["log not yet"])
    assert logged(machine) == before


def test_no_level_can_be_chosen(machine, run):
    run("kernel_log", text="<3>three")
    assert logged(machine)[-1] == "<4><3>three"


def test_the_longest_line_is_logged_whole(machine, run):
    run("kernel_log", text="x" * 506)
    assert logged(machine)[-1] == "<4>" + "x" * 506


@pytest.mark.parametrize("text", ["", "\n \n", "fine\n" + "x" * 507, "fine\nnul\0"])
def test_text_that_cannot_be_logged_is_refused_whole(machine, run, text):
    before = logged(machine)
    result = run("kernel_log", text=text)
    assert result["error"]["kind"] == "input"
    assert logged(machine) == before


# stack_info


def test_stacks_are_those_of_the_processes(run):
    """In the first second of a guest, kernels 6.x say that their own handler faulted, and show none."""
    ask = functools.partial(run, "stack_info", pids=[1, 2, 1, 99999])
    wait_until(lambda: "handler, aborting stack trace!" not in str(ask()["stacks"]), 60, "stacks are shown")
    result = ask()
    assert [stack["pid"] for stack in result["stacks"]] == [1, 2, 99999]
    assert [stack["found"] for stack in result["stacks"]] == [True, True, False]
    assert "Call Trace:" in result["stacks"][0]["lines"]
    assert any("kthreadd" in line for line in result["stacks"][1]["lines"])
    assert not any(stack["truncated"] for stack in result["stacks"])
    assert result["stacks"][2]["error"] == "Couldn't find that pid"
    assert result["changed"] is False


@pytest.mark.parametrize("pid", [0, -1])
def test_a_number_that_is_no_process_is_refused(run, pid):
    result = run("stack_info", pids=[1, pid])
    assert result["msg"] == f"{pid} is not a process id; expected 1 or more"
    assert result["commands"] == []


# proc_info


def test_files_of_proc_and_of_the_guest_are_read(machine, run):
    machine.guest("printf 'two\\nlines' > '/tmp/a file'")
    paths = ["version", "/proc/sys/kernel/ostype", "/tmp/a file", "1/root/etc/os-release"]
    contents = run("proc_info", paths=paths)["contents"]
    assert contents["version"]["text"] == machine.guest("cat /proc/version")
    assert contents["/proc/sys/kernel/ostype"] == {"readable": True, "text": "Linux\n", "truncated": False}
    assert contents["/tmp/a file"]["text"] == "two\nlines"
    assert contents["1/root/etc/os-release"]["text"] == machine.guest("cat /etc/os-release")


def test_what_cannot_be_read_is_said_for_each_file(run):
    result = run("proc_info", paths=["uptime", "net/dev", "/nonexistent", "sys"])
    assert not result.get("failed")
    said = {path: each.get("error") for path, each in result["contents"].items()}
    assert said["uptime"] is None
    assert said["net/dev"] == said["sys"] == "Read of file failed"
    assert said["/nonexistent"] == "Failed to open file"


@pytest.mark.parametrize(
    "path", ["/dev/tty0", "1/root/dev/urandom", "kcore", "1/fd/0", "/proc/kmsg", "/tmp/../dev/tty0"]
)
def test_paths_that_harm_are_refused_before_any_is_read(machine, run, path):
    result = run("proc_info", paths=["uptime", path])
    assert result["error"]["danger"] == "endless-file"
    assert result["commands"] == []
    assert machine.request("version")[0] == 0


@pytest.mark.parametrize("path", ["", "/", "  ", "a\nb", "a\0b", "x" * 600])
def test_what_is_no_path_is_refused(run, path):
    result = run("proc_info", paths=["uptime", path])
    assert result["error"]["kind"] == "input"
    assert result["commands"] == []


def test_a_paused_instance_is_not_read(kernel, launch_guest):
    instance = launch_guest("still", kernel=kernel)
    instance.request("stop")
    result = on(instance)("proc_info", paths=["uptime"])
    assert result["error"]["danger"] == "guest-while-paused"
    assert instance.request("go") == (0, "")


# As a user types it.


@pytest.mark.parametrize(
    ("module", "arguments", "changed"),
    [
        ("sysrq", "key=s", True),
        ("sysrq", "key=m", False),
        ("kernel_log", "text='never seen'", True),
        ("stack_info", "pids=1,2", False),
        ("proc_info", "path=meminfo,/etc/os-release", False),
    ],
)
def test_as_ad_hoc_commands_in_check_mode(machine, module, arguments, changed):
    text = f"umid=guest uml_dir={machine.uml_dir} {arguments}"
    done = ansible.adhoc("here", f"uml.mconsole.{module}", text, HERE, extra_args=["--check", "--diff"]).ok()
    assert done.only("here").changed is changed
    wait_until(lambda: machine.request("version")[0] == 0, 60, "the console answers")
    assert "never seen" not in machine.guest("dmesg")
