# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One backup: booted aside, damaged, restored under another name on another VM host, and in place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, processes, uml
from support import guest as guests
from support.run_operation import operate
from support.vmhost import VmHost

Play = Callable[..., ansible.Result]


@pytest.fixture
def play(vm_host: VmHost, make_vm_host: Callable[..., VmHost], uml_dir: Path, ansible_home: Path) -> Play:
    """Yield `play(playbook, **options)`, with web1 and two VM hosts."""
    reach = {"vm1": vm_host.inventory_vars(), "vm2": make_vm_host().inventory_vars()}
    instance = {**reach["vm1"], "ansible_connection": "uml.mconsole.mconsole", "ansible_uml_dir": str(uml_dir)}
    hosts = {"web1": instance, **reach}

    def play(name: str, /, check: bool = False, **options: Any) -> ansible.Result:
        words = [word for key, value in options.items() for word in ("-e", f"{name}_{key}={value}")]
        return ansible.run_playbook(f"uml.mconsole.{name}", hosts, home=ansible_home, check=check, extra_args=words)

    return play


@pytest.fixture
def web1(uml_dir: Path, folder: Path) -> Iterator[Path]:
    """Start web1 on a disk, and return the disk; what runs in the end is ended."""
    disk = guests.copy_root_image(folder / "web1.img")
    options = {"kernel": str(uml.kernel_path()), "memory": "128M", "devices": {"con3": "pts"}}
    root = {"image": str(disk), "init": "/init"}
    started = operate("instance", umid="web1", uml_dir=str(uml_dir), root=root, **options)
    assert not started.get("failed"), started
    yield disk
    pids = [int(path.read_text()) for path in [*uml_dir.glob("*/pid"), *folder.glob("other/*/pid")]]
    processes.kill_all(lambda: [found for pid in pids for found in processes.of_session(pid)], "an instance")


def digest(path: Path) -> str:
    """Return what a file holds, in short."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def has_removed_all(run: ansible.Result) -> bool:
    """Return whether a test has removed its directory, in which all that it makes is."""
    return not Path(run.result("vm1", "Make a directory for the test")["path"]).exists()


def damage(path: Path, offset: int, data: bytes) -> None:
    """Write something into a file."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def test_a_backup_is_tested_and_restored_elsewhere_and_in_place(
    play: Play, web1: Path, uml_dir: Path, folder: Path, ansible_home: Path
) -> None:
    copies, other = folder / "copies", folder / "other"
    play("backup", directory=copies, fetch_to="backups").ok()
    (copy,) = copies.glob("web1/*/web1-ubd0.img")
    before = digest(copy)

    # Booted aside, the copy stays as it is, and nothing else is left.
    test = {"target": "vm1", "umid": "web1", "directory": copies}
    run = play("restore_test", **test).ok()
    assert "is whole" in str(run)
    assert digest(copy) == before
    assert has_removed_all(run)
    assert "changed=0" in run.stdout

    # On the other VM host under another name, from the controller.
    where = {"target": "vm2", "umid": "web1", "name": "web2", "uml_dir": other, "disks": folder / "new"}
    fetched = {"directory": folder / "copies2", "from": "backups/web1"}
    play("restore_as", check=True, **where, **fetched).ok()
    assert not other.exists()
    play("restore_as", **where, **fetched).ok()
    pid = int((other / "web2" / "pid").read_text())
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    disk = next((folder / "new").glob("web2-*/web2-ubd0.img"))
    assert {f"ubd0={disk}", "con3=pts", "mem=128M", "umid=web2"} <= set(words)
    assert "changed=0" in play("restore_as", **where, **fetched).ok().stdout
    run = play("restore_as", **{**where, "disks": folder / "third"}, **fetched)
    assert "web2 runs on vm2 already, with other disks than those in" in " ".join(str(run).split())

    # A copy with errors, and one from which nothing boots.
    damage(copy, 1082, b"\x03")
    run = play("restore_test", **test)
    assert run.rc != 0
    assert "is not whole: ubd0: errors, which the guest has noted in the file system" in " ".join(str(run).split())
    damage(copy, 0, bytes(copy.stat().st_size))
    run = play("restore_test", wait_timeout=20, **test)
    assert "is not whole: the guest did not come up: the kernel of web1-test ended" in " ".join(str(run).split())
    assert has_removed_all(run)

    # In place, where the VM host has lost its copies.
    shutil.rmtree(copies)
    damage(web1, 0, b"x" * 512)
    play("restore", target="web1", directory=copies, **{"from": "backups/web1"}).ok()
    assert digest(next(ansible_home.glob("backups/web1/*/web1-ubd0.img"))) == before
    assert web1.read_bytes()[:512] != b"x" * 512
