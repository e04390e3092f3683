# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role monitor over real ssh; and the unit that it writes where systemd runs, verified and its command run."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._journal.journal import Reader, is_written
from support import ansible
from support.paths import CHECKOUT
from support.run_operation import operate
from support.vmhost import VmHost
from support.wait import wait_until

TEMPLATES = CHECKOUT / "roles" / "monitor" / "templates"
PATTERN = {"name": "up", "regex": "is up$", "severity": "info"}
OLD = ("3.8", "3.9", "3.10", "3.11")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    """Name the directory of a journal whose collector ends with the test."""
    yield tmp_path / "events"
    operate("collector", state="stopped", journal_dir=str(tmp_path / "events"))


def test_the_role_keeps_a_collector_running(vm_host: VmHost, journal: Path, uml_dir: Path, ansible_home: Path) -> None:
    """Check mode predicts, the second run changes nothing, a changed setting is reported, and stopped is stopped."""

    def play(check: bool = False, **more: Any) -> ansible.Result:
        given = {"monitor_journal_dir": str(journal), "monitor_uml_dirs": [str(uml_dir)], "monitor_supervisor": "none"}
        role = {"role": "uml.mconsole.monitor", **given, **more}
        plays = [{"hosts": "all", "gather_facts": False, "roles": [role]}]
        return ansible.run_playbook(plays, {"vm1": vm_host.inventory_vars()}, home=ansible_home, check=check).ok()

    def changed(run: ansible.Result) -> list[str]:
        return [task.task for task in run.tasks if task.changed]

    assert changed(play(check=True)) == ["uml.mconsole.monitor : By the module"]
    assert not is_written(str(journal))
    assert changed(play())
    assert is_written(str(journal))
    assert changed(play()) == []
    assert changed(play(check=True)) == []
    assert changed(play(monitor_patterns=[PATTERN]))
    assert changed(play(monitor_state="stopped"))
    assert not is_written(str(journal))


def test_a_unit_where_there_is_no_systemd_is_refused(vm_host: VmHost, ansible_home: Path) -> None:
    """And so is a size that means nothing."""
    if Path("/run/systemd/system").is_dir():
        expected = [("monitor_journal_size", "many", "monitor_journal_size is many; expected a size such as 64M")]
    else:
        expected = [("monitor_supervisor", "systemd", "which needs a VM host that systemd runs")]
    for name, value, said in expected:
        plays = [{"hosts": "all", "gather_facts": False, "roles": [{"role": "uml.mconsole.monitor", name: value}]}]
        run = ansible.run_playbook(plays, {"vm1": vm_host.inventory_vars()}, home=ansible_home)
        assert run.rc != 0
        assert said in " ".join(run.stdout.split())


@pytest.fixture
def files(vm_host: VmHost, ansible_home: Path, journal: Path, uml_dir: Path, tmp_path: Path) -> dict[str, Path]:
    """Write what the role writes for systemd, elsewhere."""
    paths = {name: tmp_path / name for name in ("client.py", "collector.json", "uml-mconsole-collector.service")}
    variables = {
        "monitor_program": str(paths["client.py"]),
        "monitor_settings": str(paths["collector.json"]),
        "monitor_journal_dir": str(journal),
        "monitor_uml_dirs": [str(uml_dir)],
        "monitor_patterns": [PATTERN],
        "monitor_event_rate": 10,
        "monitor_journal_size": "2MiB",
        "monitor_user": "root",
        "monitor_metrics_file": "",
        "monitor_metrics_listen": "",
        "monitor_guest_metrics": True,
    }
    tasks: list[dict[str, Any]] = [
        {
            "ansible.builtin.template": {
                "src": str(TEMPLATES / f"{name}.j2"),
                "dest": str(paths[name]),
                "mode": "0644",
            }
        }
        for name in ("collector.json", "uml-mconsole-collector.service")
    ]
    program = "{{ lookup('uml.mconsole.program') }}"
    tasks.append({"ansible.builtin.copy": {"content": program, "dest": str(paths["client.py"]), "mode": "0644"}})
    plays = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]
    inventory = {"vm1": vm_host.inventory_vars()}
    ansible.run_playbook(plays, inventory, home=ansible_home).ok()
    again = ansible.run_playbook(plays, inventory, home=ansible_home).ok()
    assert [task.changed for task in again.tasks] == [False] * 3
    return paths


def test_the_unit_is_one_that_systemd_takes(files: dict[str, Path]) -> None:
    """As systemd's own tool sees it."""
    unit = str(files["uml-mconsole-collector.service"])
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "uml-mconsole" in line]
    assert (done.returncode, complaints) == (0, [])


def pythons() -> list[str]:
    """Return the system's Python, and the oldest other ones that are here."""
    versions = Path.home() / ".pyenv" / "versions"
    found = [sorted(map(str, versions.glob(f"{series}.*/bin/python3"))) for series in OLD] if versions.is_dir() else []
    return ["/usr/bin/python3", *[paths[-1] for paths in found if paths][:1]]


@pytest.mark.parametrize("python", pythons())
def test_the_command_of_the_unit_collects(files: dict[str, Path], journal: Path, python: str) -> None:
    """Run in the foreground, with the settings that were written, until a signal ends it."""
    lines = files["uml-mconsole-collector.service"].read_text().splitlines()
    [command] = [line.partition("=")[2] for line in lines if line.startswith("ExecStart=")]
    process = subprocess.Popen([python, *shlex.split(command)[1:]], stderr=subprocess.PIPE)
    try:
        settings = {"journal_dir": str(journal), "patterns": [PATTERN], "event_rate": 10, "journal_size": "2M"}
        wait_until(
            lambda: operate("collector", True, **settings)["pid"] == process.pid, 30, "it runs with these settings"
        )
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
    assert (process.returncode, said) == (0, b"")
    assert [each["type"] for each in Reader(str(journal)).read()] == ["collector_started", "collector_stopped"]


def test_the_program_does_an_operation_too(files: dict[str, Path], uml_dir: Path) -> None:
    """As one word on its command line."""
    params = {"umid": None, "uml_dir": str(uml_dir), "umids": None, "timeout": 5.0, "gather_subset": None}
    order = json.dumps({"mode": "once", "operation": "instance_info", "params": params})
    words = ["/usr/bin/python3", "-I", str(files["client.py"]), order]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["result"]["instances"] == []
