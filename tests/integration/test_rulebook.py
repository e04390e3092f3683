# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A panic, seen by a rulebook over ssh: the crash is reported, and the instance runs again.

Rulebooks run on Java. Where tools/setup found none, the event source runs by itself, and what it prints is looked at.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ansible, mconsole, processes
from support import guest as guests
from support.events import Collecting, collecting
from support.paths import CACHE, CHECKOUT
from support.run_operation import operate
from support.vmhost import VmHost
from support.wait import wait_until

RULEBOOK = CACHE / "eda" / "bin" / "ansible-rulebook"
SOURCE = CHECKOUT / "extensions" / "eda" / "plugins" / "event_source" / "events.py"
TIME = 120.0


@pytest.fixture
def collector(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that runs."""
    with collecting(uml_dir) as found:
        found()
        yield found


@pytest.fixture
def inventory(vm_host: VmHost, uml_dir: Path) -> dict[str, dict[str, Any]]:
    """Return a VM host with a fleet of one, and that one as a host."""
    reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(uml_dir), "ansible_uml_timeout": 2}
    web1 = {"umid": "web1", "root": {"initrd": str(guests.initrd())}, "memory": "128M"}
    return {
        "vm1": {**reach, "instances_fleet": [web1], "instances_uml_dir": str(uml_dir)},
    }


@pytest.fixture
def web1(uml_dir: Path) -> Iterator[str]:
    """Name the instance, which ends with the test."""
    yield "web1"
    operate("instance", umid="web1", uml_dir=str(uml_dir), state="absent", stop_methods=["terminate", "kill"])


def reach(vm_host: VmHost, collector: Collecting) -> dict[str, Any]:
    """Return the VM host as the event source wants it."""
    words = [*vm_host.ssh_options(), "-p", str(vm_host.port), "-i", str(vm_host.key), "-l", vm_host.user]
    host = {"host": "127.0.0.1", "name": "vm1", "ssh_args": words, "python": "/usr/bin/python3"}
    return {**host, "journal_dir": str(collector.directory)}


def command(vm_host: VmHost, collector: Collecting, folder: Path) -> list[str]:
    """Return the command that follows the VM host: a rulebook, or the source alone."""
    host = reach(vm_host, collector)
    if not RULEBOOK.exists():
        sys.stderr.write("no Java here: the event source is run by itself, no rulebook\n")
        return [sys.executable, str(SOURCE), json.dumps({"hosts": [host], "position_file": str(folder / "positions")})]
    variables = {"vm_hosts": [host], "positions": str(folder / "positions"), "reports": str(folder / "reports")}
    (folder / "vars.yml").write_text(yaml.safe_dump(variables))
    words = ["--rulebook", "uml.mconsole.self_healing", "-i", str(folder / "inventory.yml"), "--vars", "vars.yml"]
    return [str(RULEBOOK), *words, "--print-events"]


def test_a_panic_is_reported_and_healed(
    vm_host: VmHost, collector: Collecting, inventory: dict[str, Any], web1: str, uml_dir: Path, ansible_home: Path
) -> None:
    """As the example rulebook promises."""
    ansible.run_playbook("uml.mconsole.fleet", inventory, home=ansible_home).ok()
    first = int((uml_dir / web1 / "pid").read_text())
    (ansible_home / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": inventory}}))
    (ansible_home / "positions").write_text('{"vm1": 0}')
    words = command(vm_host, collector, ansible_home)
    output, environment = ansible_home / "output", ansible.environment(ansible_home)
    environment["PATH"] = f"{RULEBOOK.parent}:{environment['PATH']}"
    with output.open("wb") as stream:
        process = subprocess.Popen(words, cwd=ansible_home, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    try:
        with contextlib.suppress(OSError):  # what it answers ends in the middle
            mconsole.request(uml_dir / web1 / "mconsole", "sysrq c", timeout=2)
        assert collector.wait("crashed", web1)["data"]
        if RULEBOOK.exists():
            wait_until(lambda: healed(uml_dir / web1, first), TIME, lambda: f"healed: {output.read_text()}")
            # A playbook that a rulebook has started outlives it, so both playbooks must end before it does.
            wait_until(lambda: output.read_text().count("PLAY RECAP") >= 2, TIME, output.read_text)
            [report] = (ansible_home / "reports").glob("web1-*")
            assert "Kernel panic" in (report / "console.txt").read_text()
        wait_until(lambda: "crashed" in output.read_text(), TIME, "the crash told")
    finally:
        process.terminate()
        process.wait(TIME)
    home = ansible.environment(ansible_home)["ANSIBLE_HOME"]
    wait_until(lambda: not playbooks(home), 20, lambda: f"no playbook is left, found {playbooks(home)}")


def playbooks(home: str) -> list[int]:
    """Return the playbooks that still run with a home for Ansible."""
    return [pid for pid in processes.marked(f"ANSIBLE_HOME={home}") if b"ansible-playbook" in words_of(pid)]


def words_of(pid: int) -> bytes:
    """Return the command line of a process that may end at any time."""
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    return b""


def healed(place: Path, first: int) -> bool:
    """Return whether another process than the first one answers."""
    try:
        return int((place / "pid").read_text()) != first and mconsole.request(place / "mconsole", "version")[0] == 0
    except (OSError, ValueError):
        return False
