# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances started by hand become a declaration that changes nothing.

With UML_FAULTS=all, every way of starting is tried on every kernel, which takes minutes.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ansible, by_hand, kernels, processes
from support import guest as guests

# The oddest ways, on the kernels in turn.
NAMES = ("nohup", "screen", "cowserial", "hostfs", "eth", "vec", "twice", "lines", "user", "changed", "paused")
WAYS = [(name, by_hand.WAYS[name].series[index % len(by_hand.WAYS[name].series)]) for index, name in enumerate(NAMES)]


class Unsafe(yaml.SafeLoader):
    """Reads what Ansible does not template."""


Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@pytest.fixture
def adopt(vm_host, ansible_home, folder):
    """Yield `adopt(playbook, **options)`: a playbook on the VM host, with the adopted file if there is one."""
    dest = folder / "host_vars"
    adopted = dest / "vm1" / "instances.yml"

    def run(name: str, *words: str, **options: Any) -> ansible.Result:
        extra = [*(["-e", f"@{adopted}"] if adopted.exists() and name != "adopt" else []), *words]
        more = ["-e", f"adopt_dest={dest}"] if name == "adopt" else []
        hosts = {"vm1": vm_host.inventory_vars()}
        return ansible.run_playbook(
            f"uml.mconsole.{name}", hosts, home=ansible_home, extra_args=[*extra, *more], **options
        )

    run.file = adopted
    return run


def check_nothing_changes(adopt, umids: set[str]) -> dict[str, Any]:
    """Adopt, and prove that the declaration of these instances changes nothing."""
    adopt("adopt").ok()
    text = adopt.file.read_text()
    declared = yaml.load(text, Unsafe)
    assert {row["umid"] for row in declared["instances_fleet"]} >= umids, text
    declared["instances_fleet"] = [row for row in declared["instances_fleet"] if row["umid"] in umids]
    adopt.file.write_text(yaml.safe_dump(declared))  # without the instances of tests beside this one
    run = adopt("fleet", check=True, diff=True).ok()
    changed = [(task.task, task.result) for task in run.tasks if task.changed]
    assert changed == [], f"{changed}\n{text}"
    assert "runs otherwise than declared:" not in str(run), f"{run}\n{text}"
    return {**declared, "text": text}


def test_what_was_started_by_hand_is_declared_and_the_declaration_changes_nothing(adopt, folder: Path) -> None:
    with by_hand.started(folder, WAYS) as found:
        declared = check_nothing_changes(adopt, set(found))
    defaults, text = declared.get("instances_defaults", {}), declared["text"]
    rows = {row["umid"].partition("-")[0]: {**defaults, **row} for row in declared["instances_fleet"]}
    assert declared["instances_supervisor"] == "none"
    assert {row.get("uml_dir", declared["instances_uml_dir"]) for row in rows.values()} == set(map(str, found.values()))
    assert rows["nohup"]["memory"] == "96M"
    assert rows["cowserial"]["devices"]["ubd1"]["read_only"] is True
    changed_disk = next(f"{folder}/{umid}/data.img" for umid in found if umid.startswith("changed"))
    assert rows["changed"]["devices"] == {"con3": "null", "ssl5": "pts", "ubd1": changed_disk}
    assert rows["paused"]["state"] == "paused"
    assert "# mem is on the command line more than once" in text
    assert "# ssl5 was set while it runs" in text
    assert "# its console is not a file" in text


@pytest.mark.parametrize("series", kernels.SERIES if os.environ.get("UML_FAULTS") == "all" else ())
def test_every_way_on_every_kernel(adopt, folder: Path, series: str) -> None:
    ways = [(name, series) for name, way in by_hand.WAYS.items() if series in way.series]
    with by_hand.started(folder, ways) as found:
        check_nothing_changes(adopt, set(found))


def drift(adopt, folder: Path, *words: str) -> tuple[int, set[tuple[str, str, str]]]:
    """Return the exit status, and what drifted: (instance, kind, option)."""
    report = folder / "drift.json"
    run = adopt("drift", "-e", "drift_format=json", "-e", f"drift_dest={report}", *words)
    assert report.exists(), run
    return run.rc, {(row["umid"], row["kind"], row["option"]) for row in json.loads(report.read_text())}


def test_drift_made_by_hand_is_found_and_none_is_invented(adopt, launch_guest, uml_dir: Path, folder: Path) -> None:
    """On one kernel; the kinds that a command line shows are compared by `instance` alone."""
    disk = guests.ext4_image(folder / "disk")
    names = ("calm", "line", "more", "disk", "dead", "gone", "hung", "still")
    made = {name: launch_guest(name, "con3=pts", *([f"ubd1={disk}"] if name == "disk" else [])) for name in names}
    adopt("adopt", "-e", f"adopt_uml_dir={uml_dir}").ok()
    assert drift(adopt, folder) == (0, set())

    made["line"].request("config con3=null")
    made["more"].request("config ssl5=pts")
    made["disk"].guest("mkdir -p /mnt && mount -t ext4 /dev/ubdb /mnt")
    disk.unlink()
    guests.ext4_image(folder / "disk")
    os.kill(made["dead"].pid, signal.SIGKILL)
    made["dead"].kill()
    made["gone"].close()
    made["still"].request("stop")
    launch_guest("new")
    text = adopt.file.read_text()
    adopt.file.write_text(text.replace("- umid: calm\n", "- umid: calm\n    memory: 64M\n    notify: /n\n"))
    processes.stop(made["hung"].pid)
    try:
        status, found = drift(adopt, folder)
    finally:
        os.kill(made["hung"].pid, signal.SIGCONT)
    assert status != 0
    assert found == {
        ("calm", "memory", "memory"),
        ("calm", "notify", "notify"),
        ("line", "devices", "con3"),
        ("more", "next restart", "ssl5"),
        ("disk", "replaced", str(disk)),
        ("dead", "crashed", "state"),
        ("gone", "missing", "state"),
        ("hung", "hung", "state"),
        ("still", "paused", "state"),
        ("new", "extra", ""),
    }
    assert drift(adopt, folder, "-e", "drift_fail=false")[0] == 0
