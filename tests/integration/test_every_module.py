# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module in every state, for an instance that is a host and for one that is named to its VM host.

Both go over real ssh, and both must return the same. UML_VM_HOST_PYTHON names the Python of the VM host (by default
/usr/bin/python3); `tools/test matrix` runs this with all that are installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ansible, processes, uml
from support.devices import image
from support.every_module import FAILS_WITHOUT_AN_EVENT, OLD, ROWS, filled
from support.run_operation import operate
from support.vmhost import VmHost

PYTHON = os.environ.get("UML_VM_HOST_PYTHON", "/usr/bin/python3")
WAYS = ("here", "console")  # the VM host, to which the instance `named` is named; the instance `console` is a host
WHERE = {"umid": "{{ 'named' if inventory_hostname == 'here' else omit }}", "uml_dir": "{{ top }}/uml"}
BEFORE_THE_REST = ("disk_backup", "snapshot")  # they copy a disk that `devices` takes away
STATES = ("running", "restarted", "paused", "stopped", "absent")
NOT_OF_THE_RESULT = {"invocation", "warnings", "deprecations"}


@pytest.fixture
def fleet(launch_guest: Callable[..., uml.Instance], uml_dir: Path) -> Iterator[list[uml.Instance]]:
    """Yield two instances and their disks. Also end what a restart starts."""
    guests = []
    for way, umid in zip(WAYS, ("named", "console"), strict=True):
        folder = uml_dir / way
        folder.mkdir()
        for name in "abc":
            image(folder / name)
        operate("snapshot", umid=umid, uml_dir=f"{uml_dir}/uml", **filled(OLD, str(folder)))
        operate("cow", path=f"{folder}/old.cow", backing_file=f"{folder}/b")
        guests.append(launch_guest(umid, f"ubd7={folder}/c", uml_dir=uml_dir / "uml"))
    yield guests
    pids = [int(path.read_text()) for path in uml_dir.glob("uml/*/pid")]
    processes.kill_all(lambda: [each for pid in pids for each in processes.of_session(pid)], "an instance")


@pytest.fixture
def inventory(vm_host: VmHost, fleet: list[uml.Instance], uml_dir: Path) -> str:
    """Return an inventory of two files: the VM host, and what is found on it."""
    folder = uml_dir / "inventory"
    folder.mkdir()
    here = {**vm_host.inventory_vars(), "ansible_python_interpreter": PYTHON}
    known = {"vm_hosts": {"hosts": {"here": here}}, "all": {"vars": {"top": str(uml_dir)}}}
    found = {"plugin": "uml.mconsole.instances", "vm_host_groups": ["vm_hosts"], "uml_dir": f"{uml_dir}/uml"}
    (folder / "1.yml").write_text(yaml.safe_dump(known))
    (folder / "2.uml.yml").write_text(yaml.safe_dump(found))
    return str(folder)


def task(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as a task that either way takes."""
    module = {f"uml.mconsole.{name}": {**WHERE, **filled(row, "{{ top }}/{{ inventory_hostname }}")}}
    return {"name": f"{name} {row.get('state', '')}", **module, "ignore_errors": True}


def run(inventory: str, home: Path, rows: list[tuple[str, dict[str, Any]]], **words: Any) -> ansible.Result:
    """Run tasks in both ways, and see that each went well and came to the same."""
    tasks = [task(name, row) for name, row in rows]
    play = {"hosts": list(WAYS), "gather_facts": False, "tasks": tasks, **words}
    done = ansible.run_playbook([play], inventory, home=home)
    told: dict[str, list[ansible.TaskResult]] = {
        way: [each for each in done.tasks if each.host == way and each.action.startswith("uml.mconsole.")]
        for way in WAYS
    }
    assert [len(told[way]) for way in WAYS] == [len(rows)] * len(WAYS), str(done)
    for (name, _row), *both in zip(rows, *told.values(), strict=True):
        for each in both:
            assert each.failed == (name in FAILS_WITHOUT_AN_EVENT), f"{each}\n{done}"
        one, other = (each.result for each in both)
        assert one["changed"] == other["changed"], (one, other)
        assert set(one) - NOT_OF_THE_RESULT == set(other) - NOT_OF_THE_RESULT, (one, other)
    return done


@pytest.mark.smoke
def test_every_module_does_the_same_in_both_ways(
    fleet: list[uml.Instance], inventory: str, ansible_home: Path, uml_dir: Path
) -> None:
    order = [*BEFORE_THE_REST, *(name for name in ROWS if name not in (*BEFORE_THE_REST, "instance"))]
    done = run(inventory, ansible_home, [(name, row) for name in order for row in ROWS[name]])
    for way, guest in zip(WAYS, fleet, strict=True):
        assert guest.request("config ubd2") == (0, f"{uml_dir}/{way}/b"), str(done)
        assert guest.request("config ubd7") == (0, ""), str(done)
        assert "one" in guest.guest("dmesg").split()
        assert (uml_dir / way / "merged").stat().st_size == (uml_dir / way / "b").stat().st_size
    rows = {row["state"]: row for row in ROWS["instance"]}
    run(inventory, ansible_home, [("instance", rows[state]) for state in STATES])
    for guest in fleet:
        assert not guest.alive()
        assert not guest.directory.exists()


@pytest.mark.smoke
def test_every_module_takes_each_common_option_as_a_default_of_the_group(
    fleet: list[uml.Instance], inventory: str, ansible_home: Path, uml_dir: Path
) -> None:
    """A default that a module does not know ends every task of that module; one that it overlooks ends those below.

    Neither instance is in the default directory, so a task without the default finds none.
    """
    shared = {"timeout": 20, "uml_dir": f"{uml_dir}/uml"}
    defaults = {
        "here": [{**shared, "umid": "named"}, {**shared, "umids": ["named"]}],
        "console": [shared, {**shared, "umid": "console"}],
    }
    plays = [
        {
            "hosts": way,
            "gather_facts": False,
            "check_mode": True,
            "vars": {"ansible_uml_dir": f"{uml_dir}/nowhere"},
            "module_defaults": {"group/uml.mconsole.all": options},
            "tasks": [
                {"name": name, f"uml.mconsole.{name}": filled(rows[0], f"{uml_dir}/{way}"), "ignore_errors": True}
                for name, rows in ROWS.items()
            ],
        }
        for way, given in defaults.items()
        for options in given
    ]
    done = ansible.run_playbook(plays, inventory, home=ansible_home)
    told = [each for each in done.tasks if each.action.startswith("uml.mconsole.")]
    assert len(told) == len(ROWS) * len(plays), str(done)
    assert [f"{each}" for each in told if each.failed] == [], str(done)
    listed = [each.result["instances"] for each in told if each.action == "uml.mconsole.instance_info"]
    assert [[row["umid"] for row in rows] for rows in listed] == [["named"], ["named"], ["console"], ["console"]]


@pytest.mark.smoke
def test_the_vm_hosts_own_python_runs_the_client_and_the_facts(
    fleet: list[uml.Instance], inventory: str, ansible_home: Path
) -> None:
    tasks = [
        {"ansible.builtin.wait_for_connection": {"timeout": 120}, "when": "inventory_hostname == 'console'"},
        {"ansible.builtin.ping": {}},
        {
            "name": "facts",
            "ansible.builtin.debug": {"msg": "{{ ansible_facts.uml.umid }} {{ ansible_facts.kernel }}"},
            "when": "inventory_hostname == 'console'",
        },
    ]
    play = {"hosts": list(WAYS), "gather_facts": True, "tasks": tasks}
    done = ansible.run_playbook([play], inventory, home=ansible_home).ok()
    assert done.result("console", "facts")["msg"] == f"console {fleet[1].guest('uname -r').strip()}"
    assert done.result("here", "Gathering Facts")["ansible_facts"]["ansible_python"]["executable"] == PYTHON
    wanted = subprocess.check_output([PYTHON, "--version"], text=True).split()[1]
    assert [each["python"] for each in ansible.clients(ansible_home)] == [wanted]


def test_each_row_has_its_turn() -> None:
    assert sorted(STATES) == sorted(row["state"] for row in ROWS["instance"])
    assert shutil.which(PYTHON), f"UML_VM_HOST_PYTHON names no Python: {PYTHON}"
