# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances and the collector as units of a real systemd, booted for these tests, behind a real sshd."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, guest, kernels, systemd_container
from support.run_operation import validated
from support.vmhost import VmHost
from support.wait import wait_until

UNIT = "uml-mconsole@{}.service"
PROGRAM = "/usr/local/lib/uml-mconsole/instance.py"
UNITS = "/etc/uml-mconsole/instances"
START, PRUNE = "Start and stop", "End what is no longer declared"
NOBODY = {"umid": "nobody", "state": "absent"}  # where none is declared nothing is written
WRITTEN = ["Make the directories", "Write the program", "Write the unit"]


class Lab:
    """A machine that systemd runs, behind its sshd, with one uml_dir."""

    def __init__(self, machine: systemd_container.Machine, host: VmHost, folder: Path) -> None:
        self.machine, self.host, self.uml_dir = machine, host, folder / "u"
        self.home = folder / "home"
        self.root = {"initrd": str(guest.initrd())}

    def play(self, *roles: dict[str, Any], check: bool = False) -> ansible.Result:
        """Run roles there."""
        plays = [{"hosts": "all", "gather_facts": False, "roles": list(roles)}]
        env = {"ANSIBLE_PIPELINING": "true"}
        return ansible.run_playbook(
            plays, {"vm1": self.host.inventory_vars()}, home=self.home, env=env, check=check, diff=True
        )

    def fleet(self, *fleet: dict[str, Any], check: bool = False, **more: Any) -> ansible.Result:
        """Declare instances."""
        defaults = {"memory": "128M", "root": self.root, "wait_timeout": 180}
        given = {"instances_uml_dir": str(self.uml_dir), "instances_defaults": defaults, "instances_fleet": list(fleet)}
        return self.play({"role": "uml.mconsole.instances", **given, **more}, check=check)

    def do(self, check: bool = False, **params: Any) -> dict[str, Any]:
        """Do the operation `instance` by the program that the role has put there, and return its result."""
        given = validated("instance", {"uml_dir": str(self.uml_dir), "wait_timeout": 180, **params})
        order = {"mode": "once", "operation": "instance", "params": given, "check": check}
        said = self.run("python3", "-I", "-S", PROGRAM, json.dumps(order))
        result: dict[str, Any] = json.loads(said.splitlines()[-1])["result"]
        return result

    def run(self, *words: str) -> str:
        """Run a command there and return its output, with any status."""
        return self.machine.run(*words)

    def state(self, umid: str) -> tuple[str, str]:
        """Return whether a unit is active, and whether it starts when the machine boots."""
        name = UNIT.format(umid)
        return self.run("systemctl", "is-active", name), self.run("systemctl", "is-enabled", name)

    def main_pid(self, umid: str) -> str:
        """Return the main process of a unit as systemd sees it; 0 when there is none."""
        return self.run("systemctl", "show", "--property=MainPID", "--value", UNIT.format(umid))

    def pid(self, umid: str) -> str:
        """Return what the pid file says, or nothing."""
        path = self.uml_dir / umid / "pid"
        return path.read_text().strip() if path.exists() else ""

    def is_back(self, umid: str, before: str) -> bool:
        """Return whether a unit has a new main process, which has the instance's name."""
        now = self.main_pid(umid)
        return now == self.pid(umid) and now not in (before, "0", "")

    def cut_power(self) -> None:
        """Boot the machine again, with its sshd."""
        self.machine.cut_power()
        self.host.sshd.wait()
        self.host.inside = tuple(self.machine.inside)
        self.host.start()


def changed(run: ansible.Result) -> list[str]:
    """List the tasks of a good run that changed something."""
    return [task.task.rpartition(" : ")[2] for task in run.ok().tasks if task.changed]


@pytest.fixture(scope="module")
def machine() -> Iterator[Lab]:
    """Yield a machine that systemd runs, with what the role writes there: predicted, written once, then unchanged."""
    folder = Path(tempfile.mkdtemp(prefix="uml."))
    with systemd_container.systemd() as machine, VmHost(inside=machine.inside) as host:
        lab = Lab(machine, host, folder)
        lab.home.mkdir()
        try:
            assert changed(lab.fleet()) == []
            assert changed(lab.fleet(NOBODY, check=True)) == WRITTEN
            assert changed(lab.fleet(NOBODY)) == WRITTEN
            yield lab
        finally:
            ansible.close_connections(lab.home)
    shutil.rmtree(folder)


@pytest.fixture
def lab(machine: Lab) -> Iterator[Lab]:
    """Yield that machine, and end what is started there."""
    yield machine
    gone = machine.do(umids=["web*"], state="absent", stop_methods=["terminate", "kill"])
    gone = machine.do(umids=["web1", "web2"], state="absent")
    assert not gone.get("failed"), gone
    assert machine.run("ls", UNITS) == ""


def test_the_unit_is_good(lab: Lab) -> None:
    """Says systemd's own check, of which a word would be a complaint."""
    assert lab.run("sh", "-c", f"systemd-analyze verify {UNIT.format('web1')} 2>&1; echo $?") == "0"


def test_each_declared_instance_is_a_unit(lab: Lab) -> None:
    """Foretold, made once, started at boot, stopped by its unit in order, and gone when it is no longer declared."""
    fleet = [{"umid": "web1"}, {"umid": "web2"}]
    assert changed(lab.fleet(*fleet, check=True)) == [START]
    assert lab.main_pid("web1") == "0"
    assert changed(lab.fleet(*fleet)) == [START]
    for umid in ("web1", "web2"):
        assert lab.state(umid) == ("active", "enabled")
        assert lab.main_pid(umid) == lab.pid(umid) != ""
    assert changed(lab.fleet(*fleet)) == []

    lab.run("systemctl", "stop", UNIT.format("web1"))
    assert lab.state("web1") == ("inactive", "enabled")
    assert lab.pid("web1") == ""
    assert "Requesting system reboot" in (lab.uml_dir / "web1.log").read_text(errors="replace")

    one = {"umid": "web2"}
    assert changed(lab.fleet(one, instances_prune=True)) == [PRUNE]
    assert lab.state("web1") == ("inactive", "disabled")
    assert (lab.run("ls", UNITS), lab.state("web2")) == ("web2.json", ("active", "enabled"))


def test_a_task_goes_through_the_unit(lab: Lab) -> None:
    """Start, restart, pause, stop, absent: each is as check mode predicted, and the second run changes nothing."""
    for state, steps in (
        ("running", ["start", "enable"]),
        ("restarted", ["stop", "clear", "start"]),
        ("paused", ["pause"]),
        ("running", ["resume"]),
        ("stopped", ["stop", "disable"]),
        ("paused", ["start", "pause", "enable"]),
        ("absent", ["stop", "clear", "disable"]),
    ):
        keeper = {} if state in ("restarted", "absent", "stopped") else {"supervisor": "systemd", "root": lab.root}
        told = lab.do(True, umid="web1", state=state, **keeper)
        done = lab.do(umid="web1", state=state, **keeper)
        assert not done.get("failed"), done
        assert (done["steps"], told["steps"], told["diff"]) == (steps, steps, done["diff"])
        is_up = state in ("running", "restarted", "paused")
        assert lab.state("web1") == (("active", "enabled") if is_up else ("inactive", "disabled"))
        assert lab.main_pid("web1") == (str(done["pid"]) if is_up else "0")
        if state != "restarted":
            assert lab.do(umid="web1", state=state, **keeper)["changed"] is False


def test_an_instance_becomes_a_unit_and_is_one_no_longer(lab: Lab) -> None:
    """Change the supervisor by a restart if the task allows one; otherwise only report the difference."""
    plain, kept = {"umid": "web1", "supervisor": "none"}, {"umid": "web1", "supervisor": "systemd"}
    lab.do(**plain, root=lab.root)
    pid = lab.pid("web1")
    told = lab.do(**kept)
    assert told["differences"] == {"supervisor": {"running": ["none"], "wanted": ["systemd"]}}
    assert (told["changed"], lab.pid("web1"), lab.state("web1")) == (False, pid, ("inactive", "disabled"))
    moved = lab.do(**kept, restart="when_required")
    assert (moved["steps"], moved["differences"]) == (["stop", "clear", "start", "enable"], {})
    assert lab.main_pid("web1") == lab.pid("web1") != pid

    assert lab.do(umid="web1")["changed"] is False
    told = lab.do(**plain)
    assert (told["changed"], lab.state("web1")) == (False, ("active", "enabled"))
    foretold = lab.do(True, **plain, restart="when_required")
    back = lab.do(**plain, restart="when_required")
    assert (back["steps"], back["diff"]) == (["stop", "clear", "start", "disable"], foretold["diff"])
    assert back["diff"]["after"] == {"state": "running", "supervisor": "none", "starts_at_boot": False}
    assert (lab.main_pid("web1"), lab.state("web1")) == ("0", ("inactive", "disabled"))
    assert lab.pid("web1")


def test_limits_hold_at_once_and_are_read_back(lab: Lab) -> None:
    """Set before the start, changed while it runs, taken away, and gone with the unit."""
    given = {"umid": "web1", "supervisor": "systemd", "root": lab.root}
    limits = {"cpu_quota": "150%", "memory_max": "512M", "tasks_max": "200"}
    foretold = lab.do(True, **given, **limits)
    done = lab.do(**given, **limits)
    assert (done["steps"], foretold["steps"]) == (["limit", "start", "enable"],) * 2
    assert foretold["diff"]["after"]["limits"] == done["limits"]
    assert done["limits"] == {"cpu_quota": "150%", "memory_max": 512 << 20, "tasks_max": 200}
    group = lab.run("systemctl", "show", "--property=ControlGroup", "--value", UNIT.format("web1"))
    active = lab.run("cat", f"/sys/fs/cgroup{group}/cgroup.controllers").split()
    missing = [
        option for option in limits if {"cpu_quota": "cpu", "tasks_max": "pids"}.get(option, "memory") not in active
    ]
    assert [text.split()[0] for text in done.get("warnings", []) if "has no effect" in text] == missing
    if "memory" in active:
        assert lab.run("cat", f"/sys/fs/cgroup{group}/memory.max") == str(512 << 20)
    assert lab.do(**given, **limits)["changed"] is False

    changed = lab.do(**given, cpu_quota="50%", memory_max="infinity")
    assert (changed["steps"], changed["pid"]) == (["limit"], done["pid"])
    assert changed["limits"] == {"cpu_quota": "50%", "memory_max": None}
    assert lab.do(**given, cpu_quota="infinity", tasks_max="infinity")["steps"] == ["limit"]
    assert lab.do(**given, cpu_quota="infinity")["changed"] is False

    lab.do(umid="web1", state="absent", **limits)
    assert "No such file" in lab.run("sh", "-c", f"ls /etc/systemd/system.control/{UNIT.format('web1')}.d 2>&1")
    refused = lab.do(umid="web1", supervisor="none", root=lab.root, tasks_max="5")
    assert "expected supervisor=systemd" in refused["msg"]


def test_a_crash_ends_in_a_restart_if_asked_for(lab: Lab) -> None:
    """A panic, and a kernel that was killed, whose helpers hold its socket; if not asked for, in a failed unit."""
    lab.fleet(NOBODY, instances_restart_on_crash=True).ok()
    for series in kernels.wanted():
        options = {"umid": "web1", "root": lab.root, "kernel": str(kernels.path(series))}
        started = lab.do(**options, supervisor="systemd", restart="when_required")
        assert not started.get("failed"), started
        before = lab.pid("web1")
        lab.run("kill", "-KILL", before)
        wait_until(lambda before=before: lab.is_back("web1", before), 120, f"{series} is back after a signal")
        assert lab.do(**options)["changed"] is False
        before = lab.pid("web1")
        panic(lab)
        wait_until(lambda before=before: lab.is_back("web1", before), 120, f"{series} is back after a panic")

    lab.fleet(NOBODY).ok()
    assert lab.do(**options)["changed"] is False
    panic(lab)
    wait_until(lambda: lab.state("web1")[0] == "failed", 120, "web1 has failed")
    assert lab.do(**options)["steps"] == ["clear", "start"]
    assert lab.state("web1") == ("active", "enabled")


def panic(lab: Lab) -> None:
    """Have web1 panic."""
    given = validated("sysrq", {"umid": "web1", "uml_dir": str(lab.uml_dir), "key": "c", "force": True})
    lab.run("python3", "-I", "-S", PROGRAM, json.dumps({"mode": "once", "operation": "sysrq", "params": given}))


def test_a_kernel_that_dies_is_told_and_not_tried_for_ever(lab: Lab) -> None:
    """With what it said, and with nothing of it left running or enabled."""
    result = lab.do(umid="web1", supervisor="systemd", root={**lab.root, "init": "/nothing"})
    assert "the kernel of web1 ended with signal 6 while it booted: Kernel panic" in result["msg"]
    assert (lab.state("web1"), lab.run("ls", UNITS), lab.pid("web1")) == (("inactive", "disabled"), "", "")


def test_a_unit_runs_again_as_before_when_the_new_kernel_dies(lab: Lab) -> None:
    lab.do(umid="web1", supervisor="systemd", root=lab.root)
    before = lab.pid("web1")
    broken = {**lab.root, "init": "/nothing"}
    result = lab.do(umid="web1", root=broken, restart="when_required", rollback=True, stop_methods=["halt", "kill"])
    assert (result["rolled_back"], lab.state("web1")) == (True, ("active", "enabled")), result
    assert lab.main_pid("web1") == lab.pid("web1") != before


def test_what_has_no_unit_is_refused_before_anything_starts(lab: Lab, tmp_path: Path) -> None:
    """Refuse a name that a unit cannot have, and one that an instance of another directory has."""
    options = {"supervisor": "systemd", "root": lab.root}
    for umid in ("web 1", "web@1", "-web"):
        assert "is not a name for a unit" in lab.do(umid=umid, **options)["msg"]
    lab.do(umid="web1", **options)
    other = lab.do(umid="web1", **{**options, "uml_dir": str(tmp_path)})
    assert other["msg"] == f"the unit of web1 is that of the instance of that name in {lab.uml_dir}"
    assert lab.do(umid="web2", **{**options, "uml_dir": str(tmp_path)})["changed"] is True
    assert lab.main_pid("web2") == (tmp_path / "web2" / "pid").read_text().strip()
    assert lab.do(umid="web2", state="absent", uml_dir=str(tmp_path))["steps"] == ["stop", "clear", "disable"]


def test_an_instance_and_the_collector_come_back_with_their_vm_host(lab: Lab) -> None:
    """After its power failed; the collector's role finds it started, and restarts it for a new setting alone."""

    def collector(**more: Any) -> list[str]:
        return changed(lab.play({"role": "uml.mconsole.monitor", "monitor_journal_dir": "/var/lib/uml-events", **more}))

    def active() -> str:
        return lab.run("systemctl", "is-active", "uml-mconsole-collector.service")

    assert "Start or stop it" in collector()
    assert active() == "active"
    assert "Write the settings" in collector(monitor_event_rate=7)
    assert collector(monitor_event_rate=7) == []
    lab.do(umid="web1", supervisor="systemd", root=lab.root, memory="136M")
    before = lab.pid("web1")
    lab.cut_power()
    wait_until(lambda: lab.is_back("web1", before), 120, "web1 is started again")
    wait_until(lambda: active() == "active", 60, "the collector is up")
    words = lab.run("cat", f"/proc/{lab.main_pid('web1')}/cmdline").split("\0")
    assert "mem=136M" in words
