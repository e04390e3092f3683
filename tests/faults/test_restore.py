# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups over a month, and a controller that is killed in the middle of a restore."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, guest, processes, uml
from support.run_operation import operate
from support.vmhost import VmHost
from support.wait import wait_until

MONTH = [f"202603{day:02}T031500" for day in range(1, 32)]
KEPT = 7


class Lab:
    """One instance with one disk, and its backups on the VM host and on the controller."""

    def __init__(self, vm_host: VmHost, uml_dir: Path, home: Path, folder: Path) -> None:
        self.home, self.copies, self.disk = home, folder / "copies", guest.ext4_image(folder / "data.img")
        reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(uml_dir)}
        self.hosts = {"web1": {**reach, "ansible_connection": "uml.mconsole.mconsole"}, "vm1": reach}

    def play(self, name: str, **options: Any) -> ansible.Result:
        """Run a playbook."""
        words = [word for key, value in options.items() for word in ("-e", f"{key}={value}")]
        directory = ["-e", f"{name}_directory={self.copies}"]
        return ansible.run_playbook(f"uml.mconsole.{name}", self.hosts, home=self.home, extra_args=[*words, *directory])


@pytest.fixture
def lab(vm_host: VmHost, uml_dir: Path, ansible_home: Path, folder: Path) -> Iterator[Lab]:
    """Yield a lab."""
    made = Lab(vm_host, uml_dir, ansible_home, folder)
    options = {"root": {"initrd": str(guest.initrd())}, "kernel": str(uml.kernel_path())}
    started = operate("instance", umid="web1", uml_dir=str(uml_dir), devices={"ubd1": str(made.disk)}, **options)
    assert not started.get("failed"), started
    yield made
    operate("instance", umid="web1", uml_dir=str(uml_dir), state="absent", stop_methods=["kill"])


def test_seven_backups_are_kept_over_a_month_here_and_there(lab: Lab) -> None:
    """An unfinished one and a stranger's directory are neither counted nor removed."""
    stranger = lab.copies / "web1" / "notes"
    stranger.mkdir(parents=True)
    for number, day in enumerate(MONTH, 1):
        lab.play("backup", backup__time=day, backup_keep=KEPT, backup_fetch_to="backups").ok()
        wanted = MONTH[max(0, number - KEPT) : number]
        assert sorted(path.name for path in lab.copies.glob("web1/2*")) == wanted
        assert sorted(path.name for path in lab.home.glob("backups/web1/*")) == wanted
    assert stranger.is_dir()


def test_the_controller_is_killed_in_the_middle_of_a_restore(lab: Lab) -> None:
    """Wherever it is killed, the next run restores, and the disk that was there before the first run stays."""
    lab.play("backup").ok()
    good = lab.disk.read_bytes()
    kept = lab.disk.with_name("data.img.before-restore")
    for turn, moment in enumerate((lambda: list(lab.home.glob("cp/*")), kept.exists)):
        old = bytes([turn + 1]) * len(good)
        lab.disk.write_bytes(old)
        kept.unlink(missing_ok=True)
        thread = threading.Thread(target=lambda: lab.play("restore", restore_target="web1"))
        thread.start()
        wait_until(moment, 120, "the moment to kill it")
        processes.kill_all(lambda: processes.of_command(f"{lab.home}/hosts.yml"), "the controller")
        thread.join()
        lab.play("restore", restore_target="web1").ok()
        assert lab.disk.read_bytes() == good
        assert kept.read_bytes() == old
