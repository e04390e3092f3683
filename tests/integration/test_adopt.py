# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances started by hand become a declaration that changes nothing.

tests/faults tries every way of starting on every kernel, and more kinds of drift.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support import by_hand, processes
from support import guest as guests
from support.adoption import Adoption
from support.vmhost import VmHost

# The oddest ways, on the kernels in turn.
NAMES = ("nohup", "screen", "cowserial", "hostfs", "eth", "vec", "twice", "lines", "user", "changed", "paused")
WAYS = [(name, by_hand.WAYS[name].series[index % len(by_hand.WAYS[name].series)]) for index, name in enumerate(NAMES)]


@pytest.fixture
def adoption(vm_host: VmHost, ansible_home: Path, folder: Path) -> Adoption:
    """Return the playbooks on the VM host."""
    return Adoption(vm_host, ansible_home, folder)


def test_what_was_started_by_hand_is_declared_and_the_declaration_changes_nothing(
    adoption: Adoption, folder: Path
) -> None:
    with by_hand.started(folder, WAYS) as found:
        declared = adoption.check_nothing_changes(set(found))
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


def test_drift_made_by_hand_is_found_and_none_is_invented(
    adoption: Adoption, launch_guest, uml_dir: Path, folder: Path
) -> None:
    """On one kernel; the kinds that a command line shows are compared by `instance` alone."""
    disk = guests.ext4_image(folder / "disk")
    names = ("calm", "line", "more", "disk", "dead", "gone", "hung", "still")
    made = {name: launch_guest(name, "con3=pts", *([f"ubd1={disk}"] if name == "disk" else [])) for name in names}
    adoption.run("adopt", "-e", f"adopt_uml_dir={uml_dir}").ok()
    assert adoption.drift() == (0, set())

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
    text = adoption.file.read_text()
    adoption.file.write_text(text.replace("- umid: calm\n", "- umid: calm\n    memory: 64M\n    notify: /n\n"))
    processes.stop(made["hung"].pid)
    try:
        status, found = adoption.drift()
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
    assert adoption.drift("-e", "drift_fail=false")[0] == 0
