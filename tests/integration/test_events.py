# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events of real instances in playbooks, over real ssh, with the VM host or the instance as the inventory host."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible
from support.events import Collecting, collecting
from support.vmhost import VmHost
from support.wait import wait_until

Run = Callable[[list[dict[str, Any]]], ansible.Result]


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that is not started yet."""
    with collecting(uml_dir) as found:
        yield found


@pytest.fixture
def run(vm_host: VmHost, ansible_home: Path, collect: Collecting) -> Run:
    """Yield `run(plays)` on the VM host vm1 and its instances web1 and db1."""
    reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(collect.uml_dir)}
    instance = {**reach, "ansible_connection": "uml.mconsole.mconsole"}
    inventory = {"vm1": reach, "web1": instance, "db1": instance}

    def run(plays: list[dict[str, Any]]) -> ansible.Result:
        defaults = {f"uml.mconsole.{each}": {"journal_dir": str(collect.directory)} for each in MODULES}
        shared = {"gather_facts": False, "module_defaults": defaults}
        return ansible.run_playbook([{**shared, **play} for play in plays], inventory, home=ansible_home)

    return run


MODULES = ("collector", "event_info", "event_wait")


def task(name: str, module: str, **args: Any) -> dict[str, Any]:
    """Return a task of this collection whose answer is registered under its module's name."""
    return {"name": name, f"uml.mconsole.{module}": args, "register": module}


def test_a_panic_is_waited_for_from_both_sides(run: Run, collect: Collecting, launch_guest) -> None:
    """What happens between two tasks counts, and each instance sees what is its own."""
    for umid in ("web1", "db1"):
        launch_guest(umid, notify=collect.notify)
    start = [
        task("Collect", "collector", uml_dirs=[str(collect.uml_dir)]),
        task("See them", "event_wait", umids=["web1"], types=["appeared"], after=0, wait_timeout=20),
    ]
    after = "{{ event_info.position }}"
    crash = {
        **task("Crash", "sysrq", key="c", force=True, timeout=1),
        "failed_when": False,
        "when": "inventory_hostname == 'web1'",
    }
    instances = [
        task("Look", "event_info", limit=1),
        crash,
        {
            **task("Wait", "event_wait", types=["panic"], after=after, wait_timeout=20),
            "when": "inventory_hostname == 'web1'",
        },
        task("See its own", "event_info"),
    ]
    host = [
        task("Find", "event_wait", umids=["w*"], severity="critical", search="^sysrq", after=0, wait_timeout=20),
        task(
            "Find by time", "event_info", since="{{ event_wait.event.time }}", types=["panic"], order="oldest", limit=1
        ),
    ]
    done = run(
        [{"hosts": "vm1", "tasks": start}, {"hosts": "web1,db1", "tasks": instances}, {"hosts": "vm1", "tasks": host}]
    )
    done.ok()
    event = done.result("web1", "Wait")["event"]
    assert (event["umid"], event["type"], event["severity"]) == ("web1", "panic", "critical")
    assert event["data"] == "sysrq triggered crash"
    assert event["uml_dir"] == str(collect.uml_dir)
    assert done.result("vm1", "Find")["event"] == event
    assert done.result("vm1", "Find by time")["events"] == [event]
    seen = {name: {each["umid"] for each in done.result(name, "See its own")["events"]} for name in ("web1", "db1")}
    assert seen == {"web1": {"web1"}, "db1": {"db1"}}
    assert not any(done.task(name, each).changed for name, each in (("web1", "Wait"), ("vm1", "Find by time")))


def test_what_a_guest_says_is_no_template_for_the_next_task(run: Run, collect: Collecting, launch_guest) -> None:
    guest = launch_guest("web1", notify=collect.notify)
    trap = collect.uml_dir / "trap"
    collect()
    said = f'{{{{ lookup("pipe","touch {trap}") }}}}{{% if %}}'
    guest.guest(f"printf '%s' '{said}' > /proc/mconsole")
    tasks = [
        task("Wait", "event_wait", types=["message"], search="lookup", after=0, wait_timeout=20),
        {"name": "Tell", "ansible.builtin.debug": {"msg": "{{ event_wait.event.data }}"}},
        {"name": "Keep", "ansible.builtin.set_fact": {"kept": "{{ event_wait.event.data }}"}},
        {"name": "Tell again", "ansible.builtin.debug": {"var": "kept"}},
    ]
    done = run([{"hosts": "web1,vm1", "tasks": tasks}]).ok()
    assert {done.result(host, "Tell")["msg"] for host in ("web1", "vm1")} == {said}
    assert {done.result(host, "Tell again")["kept"] for host in ("web1", "vm1")} == {said}
    assert not trap.exists()


def test_a_wait_in_vain_fails_and_tells_what_came(run: Run, collect: Collecting, launch_guest) -> None:
    guest = launch_guest("web1", notify=collect.notify)
    collect()
    guest.guest("echo ready > /proc/mconsole")
    collect.wait("message", "web1", "ready")
    wait = task("Wait", "event_wait", types=["panic"], after=0, wait_timeout=0.5)
    done = run([{"hosts": "web1,vm1", "tasks": [wait]}])
    assert done.rc != 0
    whose = {
        "web1": f"no event of type panic of web1 in {collect.uml_dir} within 0.5 s; the last that came: ",
        "vm1": "no event of type panic within",
    }
    for host, text in whose.items():
        assert done.result(host, "Wait")["msg"].startswith(text)
        assert "message of web1: ready" in done.result(host, "Wait")["msg"]


def test_the_journal_goes_on_over_a_collector_that_is_killed(run: Run, collect: Collecting, launch_guest) -> None:
    """A playbook with a position misses no event, and gets a gap for the time without a collector."""
    guest = launch_guest("web1", notify=collect.notify)
    pid = collect()["pid"]
    guest.guest("echo one > /proc/mconsole")
    position = collect.wait("message", "web1", "one")["seq"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 20, "the collector is gone")
    guest.guest("echo lost > /proc/mconsole")
    collect()
    guest.guest("echo two > /proc/mconsole")
    tasks = [
        task("Wait", "event_wait", types=["message"], after=position, wait_timeout=20),
        task("Read", "event_info", after=position, order="oldest", limit=100),
    ]
    done = run([{"hosts": "vm1", "tasks": tasks}]).ok()
    assert done.result("vm1", "Wait")["event"]["data"] == "two"
    told = done.result("vm1", "Read")["events"]
    assert [each["seq"] for each in told] == list(range(position + 1, position + 1 + len(told)))
    assert "gap" in [each["type"] for each in told]
