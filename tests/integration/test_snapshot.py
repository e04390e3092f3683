# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of the disks of real guests: taken, found again, put back and removed; checksums say what is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._files import copying
from support import guest as guests
from support import kernels, uml
from support.run_operation import operate

Launch = Callable[..., uml.Instance]
WRITE = "mkdir -p /mnt && mount -t ext4 /dev/ubdb /mnt && dd if=/dev/urandom of=/mnt/data bs=64k count=8 2>/dev/null"
SUMS = "cat /mnt/data /root/note | sha256sum"


class Lab:
    """An instance with two disks: a COW file over an image, and an image that it writes to."""

    def __init__(self, folder: Path, launch: Launch, kernel: Path | None = None) -> None:
        self.folder, self._launch, self._kernel = folder, launch, kernel
        self.base = guests.copy_root_image(folder / "base.img")
        self.files = {"ubd0": str(folder / "root.cow"), "ubd1": str(guests.ext4_image(folder / "data.img"))}

    def start(self) -> uml.Instance:
        root = f"{self.files['ubd0']},{self.base}"
        return self._launch("web1", f"ubd1={self.files['ubd1']}", root=root, kernel=self._kernel)

    def run(self, name: str, state: str = "present", check: bool = False, **more: Any) -> dict[str, Any]:
        given = {"umid": "web1", "uml_dir": str(self.folder), "name": name, "state": state, **more}
        return operate("snapshot", check, **given)

    def well(self, name: str, state: str = "present", check: bool = False, **more: Any) -> dict[str, Any]:
        """Run it, which must not fail."""
        done = self.run(name, state, check, **more)
        assert not done.get("failed"), done["msg"]
        return done

    def names(self, **more: Any) -> dict[str, tuple[str | None, bool]]:
        """Return each snapshot with its parent, and whether the disks began with it."""
        done = operate("snapshot_info", umid="web1", uml_dir=str(self.folder), **more)
        return {row["name"]: (row["parent"], row["current"]) for row in done["snapshots"]}

    def sums(self) -> dict[str, str]:
        return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in self.files.values()}


@pytest.mark.parametrize("series", kernels.wanted())
def test_what_a_guest_wrote_is_back_after_a_revert(series: str, launch_guest: Launch, uml_dir: Path) -> None:
    """Two snapshots of a guest that runs, each with other data; then to the first, and on to the second."""
    lab = Lab(uml_dir, launch_guest, kernels.path(series))
    here = {"directory": str(uml_dir)}
    guest = lab.start()
    base = lab.base.stat()
    wrote = {}
    for name, mount in (("one", WRITE), ("two", WRITE.rpartition("&& ")[2])):
        guest.guest(f"{mount} && echo {name} > /root/note")
        wrote[name] = guest.guest(SUMS)
        assert lab.well(name, check=True)["changed"]
        assert name not in lab.names()
        done = lab.well(name)
        assert done["changed"]
        assert done["snapshot"]["synced"]
        assert done["pause"] < 5
        assert not lab.well(name)["changed"]
    assert lab.names() == {"one": (None, False), "two": ("one", True)}
    guest.guest("echo three > /root/note && rm /mnt/data && sync")
    assert "web1 runs; stop it first" in lab.run("one", "reverted", **here)["msg"]
    guest.guest("umount /mnt && mount -o remount,ro / && sync")
    guest.close()
    before = lab.sums()
    done = lab.well("one", "reverted", True, **here)
    assert (done["changed"], done["diff"]["before"]["replaced"]) == (True, list(lab.files.values()))
    assert lab.sums() == before
    for name, other in (("one", "two"), ("two", "one")):
        assert lab.well(name, "reverted", **here)["changed"]
        assert not lab.well(name, "reverted", **here)["changed"]
        current = {found: now for found, (_parent, now) in lab.names(**here).items()}
        assert current == {name: True, other: False}
        guest = lab.start()
        guest.guest("mkdir -p /mnt && mount -t ext4 /dev/ubdb /mnt")
        assert guest.guest(SUMS) == wrote[name]
        guest.guest("umount /mnt && mount -o remount,ro / && sync")
        guest.close()
    assert (lab.base.stat().st_mtime_ns, lab.base.stat().st_ino) == (base.st_mtime_ns, base.st_ino)
    assert lab.well("one", "absent", **here)["changed"]
    assert not lab.well("one", "absent", **here)["changed"]
    assert lab.names(**here) == {"two": (None, True)}
    assert lab.well("two", "absent", **here)["changed"]
    assert not (uml_dir / "web1.snapshots").exists()


def test_a_disk_that_another_instance_stands_on_is_not_put_back(launch_guest: Launch, uml_dir: Path) -> None:
    """Neither a file that runs elsewhere, nor the backing file of a COW file, nor a copy that an instance runs from."""
    lab = Lab(uml_dir, launch_guest)
    disk = Path(lab.files["ubd1"])
    files = {"ubd1": str(disk)}
    lab.well("one", files=files)
    with disk.open("r+b") as stream:
        stream.write(b"changed")
    other = launch_guest("other", f"ubd1={disk}")
    held = disk.stat()
    for check in (True, False):
        assert "is in use by the instance other" in lab.run("one", "reverted", check, files=files)["msg"]
        assert (
            "in use by the instance other; stop the instance first" in lab.run("two", check=check, files=files)["msg"]
        )
    other.close()
    operate("cow", path=f"{uml_dir}/on.cow", backing_file=str(disk))
    assert f"is in use by the COW file {uml_dir}/on.cow" in lab.run("one", "reverted", files=files)["msg"]
    assert disk.stat() == held
    copy = uml_dir / "web1.snapshots" / "one" / "web1-ubd1.img"
    user = launch_guest("user", f"ubd1={copy}")
    assert f"the copy {copy} is in use by the instance user" in lab.run("one", "absent", files=files)["msg"]
    user.close()
    assert copy.exists()


# Without a kernel.


@pytest.fixture
def lab(tmp_path: Path, launch_guest: Launch) -> Lab:
    """Yield the disks of an instance that does not run."""
    lent = Lab(tmp_path, launch_guest)
    operate("cow", path=lent.files["ubd0"], backing_file=str(lent.base))
    return lent


def change(path: str) -> None:
    with open(path, "r+b") as stream:
        stream.seek(4 << 20)
        stream.write(os.urandom(4096))


def test_a_damaged_copy_is_not_put_back(lab: Lab) -> None:
    lab.well("one", files=lab.files)
    for path in lab.files.values():
        change(path)
    before = lab.sums()
    change(f"{lab.folder}/web1.snapshots/one/web1-ubd1.img")
    assert "is not what the snapshot held" in lab.run("one", "reverted", files=lab.files)["msg"]
    assert lab.sums() == before


def test_a_backing_file_that_was_modified_is_said(lab: Lab) -> None:
    lab.well("one", files=lab.files)
    change(lab.files["ubd0"])
    os.utime(lab.base, (1, 1))
    for state, name in (("present", "two"), ("reverted", "one")):
        assert "does not fit" in lab.run(name, state, files=lab.files)["msg"]


def test_what_a_killed_task_left_is_no_snapshot(lab: Lab) -> None:
    """Copies without a manifest do not count, and neither they nor the parts of a revert are in the way."""
    folder = lab.folder / "web1.snapshots"
    (folder / ".one.part").mkdir(parents=True)
    (folder / ".one.part" / "web1-ubd0.cow").write_text("half")
    (lab.folder / ".web1-ubd1.revert").mkdir()
    assert lab.names(files=lab.files) == {}
    lab.well("one", files=lab.files)
    before = lab.sums()
    change(lab.files["ubd1"])
    lab.well("one", "reverted", files=lab.files)
    assert lab.sums() == before
    assert not list(lab.folder.glob(".web1*"))


def test_snapshots_move_with_their_directory(lab: Lab, tmp_path: Path) -> None:
    lab.well("one", files=lab.files)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(lab.folder / "web1.snapshots", elsewhere)
    assert lab.names(files=lab.files) == {}
    assert lab.names(directory=str(elsewhere)) == {"one": (None, True)}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".one.part", "a" * 64, "a\n"])
def test_a_name_that_is_not_a_name_is_refused(name: str, lab: Lab) -> None:
    assert "is not a name for a snapshot" in lab.run(name, files=lab.files)["msg"]


def test_what_is_not_known_is_asked_for(lab: Lab) -> None:
    assert "set directory to the directory of its first disk" in lab.run("one")["msg"]
    assert "set files to their files by device" in lab.run("one", directory=str(lab.folder))["msg"]
    assert "is not there, or is not a file" in lab.run("one", files={"ubd0": f"{lab.folder}/none"})["msg"]
    assert "has no snapshot 'one'" in lab.run("one", "reverted", files=lab.files)["msg"]
    assert not (lab.folder / "web1.snapshots").exists()


def test_a_fingerprint_does_not_depend_on_holes(tmp_path: Path) -> None:
    dense, sparse = tmp_path / "dense", tmp_path / "sparse"
    dense.write_bytes(bytes(300_000) + b"data" + bytes(300_000))
    with sparse.open("wb") as stream:
        stream.seek(300_000)
        stream.write(b"data")
        stream.truncate(600_004)
    assert copying.fingerprint(str(dense)) == copying.fingerprint(str(sparse))
    with sparse.open("r+b") as stream:
        stream.truncate(600_005)
    assert copying.fingerprint(str(dense)) != copying.fingerprint(str(sparse))
