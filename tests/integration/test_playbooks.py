# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks by their names, over real ssh, on fleets with something wrong in them.

UML_ROLLING says how many instances are restarted in turn.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ansible, mconsole, processes, uml
from support import guest as guests
from support.run_operation import operate
from support.wait import wait_until

FLEET = list("abcdefghij"[: int(os.environ.get("UML_ROLLING", "4"))])


@pytest.fixture
def play(vm_host, uml_dir, ansible_home):
    """Yield `play(name, *umids, **variables)`: a playbook of the collection, with instances as inventory hosts."""

    def play(name: str, *umids: str, more: dict[str, Any] | None = None, **options: Any) -> ansible.Result:
        reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(uml_dir), "ansible_uml_timeout": 4}
        instance = {**reach, "ansible_connection": "uml.mconsole.mconsole"}
        hosts = {umid: dict(instance) for umid in umids}
        for host, variables in (more or {}).items():
            hosts[host] = {**reach, **hosts.get(host, {}), **variables}
        words = [
            word
            for key in list(options)
            if key not in ("check", "diff", "env")
            for word in ("-e", f"{key}={options.pop(key)}")
        ]
        return ansible.run_playbook(f"uml.mconsole.{name}", hosts, home=ansible_home, extra_args=words, **options)

    return play


def flat(run: ansible.Result) -> str:
    """Return what was printed on one line: some versions of Ansible wrap what they print."""
    return " ".join(str(run).split())


def table(run: ansible.Result) -> dict[str, str]:
    """Return the lines of the table by their first two columns."""
    lines = run.stdout.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("---"))
    end = next(index for index in range(start, len(lines)) if not lines[index] or lines[index].startswith("ok: "))
    rows = lines[start + 1 : end]
    return {" ".join(row.split()[:2]): " ".join(row.split()[2:]) for row in rows}


# status


@pytest.mark.smoke
def test_the_table_tells_how_each_instance_is(play, launch_guest, uml_dir):
    disk = guests.ext4_image(uml_dir / "disk")
    launch_guest("well", f"ubd1={disk}", "con3=pts", "vec0:transport=raw,ifname=lo")
    launch_guest("paused").request("stop")
    hung = launch_guest("hung")
    processes.stop(hung.pid)
    try:
        more = {"vm1": {}, "gone": {"ansible_port": 1}}
        run = play("status", more=more).ok()
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    rows = table(run)
    assert sorted(rows) == ["gone -", "vm1 hung", "vm1 paused", "vm1 well"]
    shown = r"running \d+\.\d+\.\d+ \S+\.gz \d+/\d+ MB \d+s \d+\.\d\d ubd0\S* ubd1\(8M\) vec0=lo con3=pts"
    assert re.fullmatch(shown, rows["vm1 well"])
    assert rows["vm1 paused"].startswith("paused ")
    assert rows["vm1 hung"].startswith("hung ")
    assert rows["gone -"].startswith("unreachable ")
    assert re.search(r"^vm1 hung: .*stopped", run.stdout, re.MULTILINE)
    assert re.search(r"^gone -: .*Connection refused", run.stdout, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("strategy", ["linear", "free", "host_pinned"])
def test_programs_get_a_file_of_json_whatever_the_strategy(play, launch_guest, tmp_path, strategy):
    """Instance hosts have the VM host's name as their host; variables of other playbooks do nothing."""
    launch_guest("here")
    dest = tmp_path / "fleet.json"
    others = {"format": "table", "target": "nobody", "dest": str(tmp_path / "other")}
    hosts = {"here": {**others, "uml_vm_host": "vm9"}, "nowhere": others}
    options = {"status_format": "json", "status_dest": dest, "env": {"ANSIBLE_STRATEGY": strategy}}
    run = play("status", "here", "nowhere", more=hosts, **options).ok()
    rows = {row["umid"]: row for row in json.loads(dest.read_text())}
    assert (rows["here"]["state"], rows["nowhere"]["state"]) == ("running", "absent")
    assert (rows["here"]["host"], rows["here"]["inventory_hostname"]) == ("vm9", "here")
    assert rows["here"]["facts"]["hostname"] == "here"
    assert run.task("here", "Show them").changed
    assert not (tmp_path / "other").exists()


def test_the_table_in_a_file_and_what_cannot_be_one(play, launch_guest, tmp_path):
    launch_guest("here")
    dest = tmp_path / "fleet.txt"
    play("status", "here", status_dest=dest, check=True).ok()
    assert not dest.exists()
    play("status", "here", status_dest=dest).ok()
    assert dest.read_text().startswith("HOST ")
    run = play("status", "here", status_dest=tmp_path)
    assert f"{tmp_path} is a directory; expected the name of a file" in " ".join((run.stdout + run.stderr).split())


@pytest.mark.smoke
def test_the_inventorys_directory_is_where_status_looks(launch_guest, vm_host, uml_dir, ansible_home, tmp_path):
    """Another directory of the VM host also has an instance; with --limit, HOST is still the VM host."""
    launch_guest("mine")
    other = uml_dir / "other"
    other.mkdir()
    launch_guest("theirs", uml_dir=other)
    config = tmp_path / "lab.uml.yml"
    vm_hosts = {"vm1": vm_host.inventory_vars()}
    options = {"plugin": "uml.mconsole.instances", "vm_hosts": vm_hosts, "uml_dir": str(uml_dir)}
    config.write_text(yaml.safe_dump(options))
    run = ansible.run_playbook("uml.mconsole.status", str(config), home=ansible_home).ok()
    assert list(table(run)) == ["vm1 mine"]
    run = ansible.run_playbook("uml.mconsole.status", str(config), home=ansible_home, extra_args=["-l", "mine"]).ok()
    assert list(table(run)) == ["vm1 mine"]


def test_a_guest_cannot_write_to_the_terminal_by_its_name(play, launch_guest):
    guest = launch_guest("evil")
    guest.guest("hostname \"$(printf 'a\\033[31mb')\"")
    assert "\x1b" not in play("status", "evil").ok().stdout


# reconfigure


@pytest.mark.smoke
def test_reconfigure_gives_each_its_devices_once(play, launch_guest):
    guest = launch_guest("one")
    launch_guest("bare")
    declared = {"one": {"reconfigure_devices": {"con4": "pts", "ubd1": str(guests.ext4_image(guest.scratch / "d"))}}}
    told = play("reconfigure", "one", "bare", more={**declared, "vm1": {}}, check=True, diff=True).ok()
    assert told.task("one", "Set the devices").changed
    assert guest.request("config con4") == (0, "null")
    run = play("reconfigure", "one", "bare", more={**declared, "vm1": {}}).ok()
    assert run.result("one", "Set the devices")["commands"] == told.result("one", "Set the devices")["commands"]
    assert guest.request("config con4") == (0, "pts")
    assert "changed=0" in play("reconfigure", "one", more=declared).ok().stdout


# rolling_restart


@pytest.fixture
def fleet(uml_dir):
    """Yield instances, each with its own initrd, and end what takes their place."""
    for umid in FLEET:
        shutil.copy(guests.initrd(), uml_dir / f"{umid}.gz")
    root = {"initrd": f"{uml_dir}/{{umid}}.gz"}
    started = operate(
        "instance", umids=FLEET, uml_dir=str(uml_dir), root=root, kernel=str(uml.kernel_path()), memory="128M"
    )
    assert not started.get("failed"), started
    yield lambda: {path.parent.name: boot_id(path) for path in uml_dir.glob("*/mconsole")}
    pids = [int(path.read_text()) for path in uml_dir.glob("*/pid")]
    processes.kill_all(lambda: [each for pid in pids for each in processes.of_session(pid)], "an instance")


def boot_id(console: Path) -> str:
    """Return what names this boot; a console answers before its kernel has anything to show."""

    def asked() -> str:
        err, said = mconsole.request(console, "proc sys/kernel/random/boot_id")
        return said.strip() if err == 0 else ""

    return wait_until(asked, 60, "the boot's name")


def test_a_rolling_restart_stops_at_one_that_does_not_come_back(play, fleet, uml_dir):
    before = fleet()
    assert sorted(before) == FLEET
    (uml_dir / "b.gz").write_bytes(b"no initrd")
    run = play("rolling_restart", *FLEET, more={"vm1": {}})
    assert run.rc != 0
    assert "Kernel panic" in str(run)
    after = fleet()
    assert sorted(after) == [umid for umid in FLEET if umid != "b"]
    assert [umid for umid in after if after[umid] != before[umid]] == ["a"]


def test_a_rolling_restart_goes_on_where_some_may_fail(play, fleet, uml_dir):
    before = fleet()
    play("rolling_restart", *FLEET, check=True).ok()
    assert fleet() == before
    (uml_dir / "b.gz").write_bytes(b"no initrd")
    play("rolling_restart", *FLEET, rolling_restart_batch=2, rolling_restart_max_fail_percentage=50)
    after = fleet()
    assert sorted(umid for umid in after if after[umid] != before[umid]) == [umid for umid in FLEET if umid != "b"]


# crash_report


def test_a_crash_report_holds_what_can_be_had_and_no_more_than_asked(play, launch_guest, tmp_path):
    launch_guest("well")
    hung = launch_guest("hung")
    processes.stop(hung.pid)
    try:
        options = {"crash_report_directory": tmp_path, "crash_report_max_size": 2000}
        run = play("crash_report", "well", "hung", more={"vm1": {}}, **options).ok()
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    reports = {path.name.partition("-")[0]: path for path in tmp_path.iterdir()}
    assert sorted(reports) == ["hung", "well"]
    files = ["console.txt", "facts.json", "instance.json", "proc.txt", "stack.txt", "sysrq.txt"]
    for report in reports.values():
        assert sorted(path.name for path in report.iterdir()) == files
        assert all(path.stat().st_size <= 2001 for path in report.iterdir())
        assert guests.UP in (report / "console.txt").read_text()
    assert "Call Trace" in (reports["well"] / "stack.txt").read_text()
    assert "did not answer" in (reports["hung"] / "proc.txt").read_text()
    assert str(reports["well"]) in run.stdout


def test_a_crashed_instance_is_reported_although_the_inventory_does_not_have_it(play, launch_guest, uml_dir, tmp_path):
    """One that was killed leaves its directory, one that panicked its log alone."""
    launch_guest("killed").kill()
    (uml_dir / "panicked.log").write_text("Kernel panic - not syncing\n")
    for umid in ("killed", "panicked"):
        play("crash_report", more={"vm1": {}}, crash_report_umid=umid, crash_report_directory=tmp_path).ok()
    killed, panicked = sorted(tmp_path.iterdir())
    assert (killed.name.partition("-")[0], panicked.name.partition("-")[0]) == ("killed", "panicked")
    assert json.loads((killed / "instance.json").read_text())[0]["state"] == "stale"
    assert "Kernel panic" in (panicked / "console.txt").read_text()
    run = play("crash_report", more={"vm1": {}}, crash_report_umid="other", crash_report_directory=tmp_path)
    assert run.rc != 0
    assert "no instance other in the inventory, nor on a VM host that matches all (looked at: vm1)" in flat(run)
    assert len(list(tmp_path.iterdir())) == 2


# backup


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Return where backups go on the VM host."""
    return tmp_path / "there"


@pytest.mark.smoke
def test_backups_are_made_and_fetched_and_the_oldest_removed(play, launch_guest, uml_dir, copies, ansible_home):
    disk = guests.ext4_image(uml_dir / "disk.img")
    launch_guest("web1", f"ubd1={disk}")
    options = {"backup_directory": copies, "backup_keep": 2, "more": {"vm1": {}}}
    planned = play("backup", "web1", check=True, **options).ok()
    assert planned.task("web1", "Copy the disks").changed
    assert not copies.exists()
    for _number in range(3):
        run = play("backup", "web1", backup_fetch_to="backups", **options).ok()
        time.sleep(1)  # each has its second in its name
    here = ansible_home / "backups" / "web1"  # where ansible-playbook was started, and not where the playbook is
    names = sorted(path.name for path in (copies / "web1").iterdir())
    assert len(names) == 2
    assert sorted(path.name for path in here.iterdir()) == names
    there = [copies / "web1" / name / "web1-ubd1.img" for name in names]
    assert [path.stat().st_size for path in there] == [8 << 20] * 2
    fetched = here / names[1] / "web1-ubd1.img"
    assert fetched.read_bytes() == there[1].read_bytes()
    assert fetched.stat().st_blocks <= there[1].stat().st_blocks < 8 << 20 >> 9
    assert json.loads((here / names[1] / "backup.json").read_text())["copies"][0]["file"] == str(disk)
    assert re.search(r"web1-ubd1\.img;\s+paused for \d+\.\d+ s", run.stdout)


def test_an_instance_without_a_disk_is_skipped_and_named(play, launch_guest, uml_dir, copies):
    launch_guest("bare")
    launch_guest("web1", f"ubd1={guests.ext4_image(uml_dir / 'disk.img')}")
    run = play("backup", "bare", "web1", backup_directory=copies).ok()
    assert "bare has no disk with a file that could be copied" in run.result("bare", "Show what was done")["msg"]
    assert sorted(path.name for path in copies.iterdir()) == ["web1"]


def test_a_backup_that_copies_nothing_fails_and_removes_nothing(play, launch_guest, tmp_path):
    launch_guest("bare")
    (tmp_path / "bare" / "20260101T000000").mkdir(parents=True)
    run = play("backup", "bare", backup_keep=1, backup_directory=tmp_path)
    assert run.rc != 0
    assert "none of the 1 instances has a disk that could be copied" in run.stdout
    assert (tmp_path / "bare" / "20260101T000000").is_dir()


def test_a_backup_says_which_vm_host_could_not_be_asked(vm_host, launch_guest, uml_dir, ansible_home, copies):
    """One that is down has no instances in the inventory; those of the others are copied all the same."""
    launch_guest("web1", f"ubd1={guests.ext4_image(uml_dir / 'disk.img')}")
    reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(uml_dir)}
    fleet = {"plugin": "uml.mconsole.instances", "vm_hosts": {"vm1": reach, "vm2": {**reach, "ansible_port": 1}}}
    (ansible_home / "lab.uml.yml").write_text(yaml.safe_dump(fleet))
    words = ["-e", f"backup_directory={copies}"]
    inventory = str(ansible_home / "lab.uml.yml")
    run = ansible.run_playbook("uml.mconsole.backup", inventory, home=ansible_home, extra_args=words)
    assert run.rc != 0
    assert "vm2 could not be asked for instances; nothing of theirs was backed up" in flat(run)
    assert len(list(copies.glob("web1/*/web1-ubd1.img"))) == 1
    limited = ["--limit", "web1", *words]
    ansible.run_playbook("uml.mconsole.backup", inventory, home=ansible_home, extra_args=limited).ok()


# restore


def test_a_backup_is_restored_in_place_and_the_old_disk_stays(play, launch_guest, uml_dir, copies):
    disk = guests.ext4_image(uml_dir / "disk.img", {"word": "before"})
    options = {"umids": ["web1"], "uml_dir": str(uml_dir), "root": {"initrd": str(guests.initrd())}, "memory": "128M"}
    started = operate("instance", kernel=str(uml.kernel_path()), devices={"ubd1": str(disk)}, **options)
    assert not started.get("failed"), started
    try:
        play("backup", "web1", backup_directory=copies).ok()
        before = boot_id(uml_dir / "web1" / "mconsole")
        guests.ext4_image(uml_dir / "new.img", {"word": "after"})
        disk.write_bytes((uml_dir / "new.img").read_bytes())
        where = {"restore_directory": copies}
        assert play("restore", "web1", **where).rc != 0  # which one, is not said
        told = play("restore", "web1", restore_target="web1", check=True, **where).ok()
        assert "would be as of" in flat(told)
        assert (word(disk), boot_id(uml_dir / "web1" / "mconsole")) == ("after", before)
        run = play("restore", "web1", restore_target="web1", restore_time="20200101T000000", **where)
        assert run.rc != 0
        assert "no backup of web1 as of 20200101T000000" in flat(run)
        play("restore", "web1", restore_target="web1", **where).ok()
        assert (word(disk), word(uml_dir / "disk.img.before-restore")) == ("before", "after")
        assert boot_id(uml_dir / "web1" / "mconsole") != before
    finally:
        operate("instance", umid="web1", uml_dir=str(uml_dir), state="absent", stop_methods=["kill"])


def word(image: Path) -> str:
    """Return what the test's file in an image holds."""
    command = ["/sbin/debugfs", "-R", "cat /word", image]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# All of them


ABOUT_INSTANCES = ["backup", "crash_report", "reconfigure", "restore", "rolling_restart"]
ABOUT_VM_HOSTS = ["fleet", "lab"]


@pytest.mark.parametrize("name", [*ABOUT_INSTANCES, *ABOUT_VM_HOSTS])
def test_a_playbook_that_finds_nothing_to_do_fails(play, name):
    """There are hosts, and none is of the kind that it is about; then no host matches; then there are no hosts."""
    run = play(name, more={"vm1": {}}, **{f"{name}_target": "all"})
    assert run.rc != 0
    assert "none of the 1 hosts that match 'all'" in flat(run)
    run = play(name, more={"vm1": {}}, **{f"{name}_target": "nobody"})
    assert run.rc != 0
    assert "no host of the inventory matches 'nobody'" in flat(run)
    run = play(name, **{f"{name}_target": "all"})
    assert run.rc != 0
    assert "no host of the inventory matches 'all'" in flat(run)


# Names that an inventory may well use for something else.
OTHERS = {
    **dict.fromkeys(
        ["batch", "dest", "disks", "events", "format", "journal", "keep", "last", "seconds", "severity"], "x"
    ),
    **dict.fromkeys(
        ["target", "types", "umids", "umid", "wait_for", "wait_pattern", "title", "directory", "fetch_to"], "x"
    ),
    **dict.fromkeys(
        ["max_size", "max_pause", "at_once", "pause_between", "max_fail_percentage", "hosts", "options"], "x"
    ),
}


@pytest.mark.parametrize("strategy", ["free", "host_pinned"])
def test_no_strategy_and_no_other_variable_changes_a_playbook(play, launch_guest, uml_dir, tmp_path, strategy):
    launch_guest("one", f"ubd1={guests.ext4_image(uml_dir / 'disk.img')}", "cad=reboot")
    launch_guest("two", f"ubd1={guests.ext4_image(uml_dir / 'other.img')}", "cad=reboot")
    mine = {umid: {"reconfigure_devices": {"con4": "pts"}, **OTHERS} for umid in ("one", "two")}
    more = {**mine, "vm1": OTHERS}
    env = {"ANSIBLE_STRATEGY": strategy}
    play("backup", "one", "two", more=more, env=env, backup_directory=tmp_path / "copies").ok()
    assert len(list(tmp_path.glob("copies/*/*/*-ubd1.img"))) == 2
    play("crash_report", "one", "two", more=more, env=env, crash_report_directory=tmp_path / "reports").ok()
    assert len(list(tmp_path.glob("reports/*/console.txt"))) == 2
    run = play("reconfigure", "one", "two", more=more, env=env).ok()
    assert sorted(task.host for task in run.tasks if task.changed) == ["one", "two"]
    run = play("rolling_restart", "one", "two", more=more, env=env, check=True).ok()
    assert [task.host for task in run.tasks if task.changed] == ["one", "two"]


@pytest.mark.parametrize("name", [*ABOUT_INSTANCES, *ABOUT_VM_HOSTS, "demo"])
def test_a_misspelt_option_is_refused(play, name):
    run = play(name, more={"vm1": {}}, **{f"{name}_taget": "web1"})
    assert run.rc != 0
    assert f"no option {name}_taget; did you mean {name}_target?" in flat(run)
    run = play(name, more={"vm1": {}}, target="web1")
    assert run.rc != 0
    assert f"no option target; did you mean {name}_target?" in flat(run)
