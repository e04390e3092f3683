# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images as they are handed out, made into disks that real kernels boot from, and never taken from under them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import guest as guests
from support import kernels, uml
from support.run_operation import operate

Launch = Callable[..., uml.Instance]
MIB = 1 << 20


def checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def image(check: bool = False, /, **params: Any) -> dict[str, Any]:
    """Run the operation, which must not fail."""
    result = operate("image", check, **{key: str(value) for key, value in params.items()})
    assert not result.get("failed"), result["msg"]
    return result


def refused(check: bool = False, /, **params: Any) -> str:
    """Run the operation, which must fail and change nothing, and return its message."""
    result = operate("image", check, **{key: str(value) for key, value in params.items()})
    assert (result.get("failed"), result["changed"]) == (True, False)
    return str(result["msg"])


def as_qcow2(source: Path, target: Path, *words: str) -> Path:
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *words, source, target], check=True)
    return target


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "gz": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "bz2": lambda data: bz2.compress(data, 1),
}


@pytest.mark.parametrize(("series", "kind"), list(zip(kernels.wanted(), ["xz", "qcow2", "qcow2.gz"], strict=False)))
def test_a_guest_boots_from_it_and_it_is_kept_while_anything_stands_on_it(
    series: str, kind: str, launch_guest: Launch, uml_dir: Path
) -> None:
    base, other = guests.root_image(), uml_dir / "other.raw"
    src, path, cow = uml_dir / f"guest.{kind}", uml_dir / "guest.img", uml_dir / "elsewhere" / "guest.cow"
    plain = as_qcow2(base, uml_dir / "plain.qcow2").read_bytes() if "qcow2" in kind else base.read_bytes()
    src.write_bytes(PACKERS.get(kind.rpartition(".")[2], bytes)(plain))
    given = {"path": path, "src": src, "checksum": checksum(src)}
    assert image(True, **given)["changed"]
    assert not path.exists()
    assert image(**given)["changed"]
    assert path.read_bytes() == base.read_bytes()
    assert path.stat().st_blocks * 512 < base.stat().st_size
    cow.parent.mkdir()
    instance = launch_guest("guest", kernel=kernels.path(series), root=f"{cow},{path}")
    assert not image(**given)["changed"]
    other.write_bytes(os.urandom(MIB))
    before = path.stat()
    news = {"path": path, "src": other, "checksum": checksum(other)}
    assert "set replace=true" in refused(**news)
    for check in (True, False):
        assert "in use by the instance guest; nothing was changed" in refused(check, **news, replace=True)
        assert "cannot be removed: it is in use by the instance guest" in refused(check, path=path, state="absent")
    assert path.stat() == before
    assert instance.guest("echo kept > /root/note; sync; cat /root/note") == "kept\n"
    instance.close()
    shutil.move(cow, uml_dir / "beside.cow")
    assert f"in use by the COW file {uml_dir}/beside.cow" in refused(path=path, state="absent")
    (uml_dir / "beside.cow").unlink()
    assert image(True, **news, replace=True)["changed"]
    assert path.stat() == before
    assert image(**news, replace=True)["changed"]
    assert path.read_bytes() == other.read_bytes()
    assert image(path=path, state="absent")["changed"]
    assert not image(path=path, state="absent")["changed"]
    assert sorted(found.name for found in uml_dir.glob("guest.img*")) == []


def test_an_instance_that_writes_to_its_image_keeps_it(launch_guest: Launch, uml_dir: Path) -> None:
    """What it was made from is still known, also while a disk that was added later holds it."""
    src, path = uml_dir / "data.raw", uml_dir / "data.img"
    guests.ext4_image(src)
    given = {"path": path, "src": src, "checksum": checksum(src)}
    image(**given)
    instance = launch_guest("guest")
    assert instance.request(f"config ubd3={path}") == (0, "")
    instance.guest("mount -t ext4 /dev/ubdd /mnt && echo precious > /mnt/note && sync")
    assert path.read_bytes() != src.read_bytes()
    assert not image(**given)["changed"]
    assert "in use by the instance guest" in refused(path=path, state="absent")


def test_an_archive_becomes_a_file_system_that_boots(launch_guest: Launch, uml_dir: Path) -> None:
    tree, src, path = uml_dir / "files", uml_dir / "guest.tar.gz", uml_dir / "guest.img"
    tree.mkdir()
    subprocess.run(["/sbin/debugfs", "-R", f"rdump / {tree}", guests.root_image()], capture_output=True, check=True)
    (tree / "owned").write_text("by another user\n")
    os.chown(tree / "owned", 4711, 4712)
    with tarfile.open(src, "w:gz", compresslevel=1) as archive:
        archive.add(tree, ".")
    given = {"path": path, "src": src, "checksum": checksum(src)}
    assert "size is missing; expected the size of the file system" in refused(**given)
    assert image(**given, size="24M")["changed"]
    assert path.stat().st_size == 24 * MIB
    instance = launch_guest("guest", root=path)
    assert instance.guest("stat -c %u:%g /owned") == "4711:4712\n"
    assert not list(uml_dir.glob(".guest.img*"))


# Without a kernel.


def sample(folder: Path) -> Path:
    """Make an image with a hole between its two parts."""
    path = folder / "sample.raw"
    with path.open("wb") as stream:
        stream.write(os.urandom(100_000))
        stream.seek(8 * MIB)
        stream.write(os.urandom(511))
    return path


@pytest.mark.parametrize("kind", PACKERS)
def test_holes_stay_holes(kind: str, tmp_path: Path) -> None:
    plain, src, path = sample(tmp_path), tmp_path / "src", tmp_path / "made.img"
    if kind == "raw":
        shutil.copy(plain, src)
    else:
        src.write_bytes(PACKERS[kind](plain.read_bytes()))
    row = image(path=path, src=src, checksum=checksum(src), size="16M")["image"]
    assert path.read_bytes() == plain.read_bytes().ljust(16 * MIB, b"\0")
    assert (row["size"], row["format"], row["allocated"] < MIB) == (16 * MIB, "raw", True)


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
@pytest.mark.parametrize("harm", ["cut", "other"])
def test_a_damaged_file_is_said_and_leaves_nothing(kind: str, harm: str, tmp_path: Path) -> None:
    src, path = tmp_path / "src", tmp_path / "made.img"
    packed = bytearray(PACKERS[kind](sample(tmp_path).read_bytes()))
    packed[len(packed) // 2 :] = b"" if harm == "cut" else os.urandom(100)
    src.write_bytes(packed)
    assert f"{src} is not a whole" in refused(path=path, src=src, checksum=checksum(src))
    assert sorted(found.name for found in tmp_path.iterdir()) == ["sample.raw", "src"]


@pytest.mark.parametrize("kind", ["backing", "data"])
def test_a_qcow2_image_that_names_another_file_is_refused(kind: str, tmp_path: Path) -> None:
    """Who made it would choose a file that root reads into the image."""
    secret, src = sample(tmp_path), tmp_path / "evil.qcow2"
    options = f"data_file={tmp_path}/data.raw,data_file_raw=on"
    words = ["-b", secret, "-F", "raw"] if kind == "backing" else ["-o", options]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words, src, "16M"], check=True)
    for check in (True, False):
        said = refused(check, path=tmp_path / "made.img", src=src, checksum=checksum(src))
        assert f"{src} is not an image on its own: it names another file" in said
    packed = tmp_path / "evil.gz"
    packed.write_bytes(gzip.compress(src.read_bytes()))
    said = refused(path=tmp_path / "made.img", src=packed, checksum=checksum(packed))
    assert "is not an image on its own" in said
    assert not [found for found in tmp_path.iterdir() if "made.img" in found.name]


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    src, path = sample(tmp_path), tmp_path / "made.img"
    good = {"path": path, "src": src, "checksum": checksum(src)}
    assert "is not a checksum; expected sha256:DIGITS" in refused(**{**good, "checksum": "md5:00"})
    wrong = "sha256:" + "0" * 64
    assert f"expected {wrong}. Nothing was changed" in refused(**{**good, "checksum": wrong})
    assert "the directory of" in refused(**{**good, "path": tmp_path / "no" / "made.img"})
    assert "is not a regular file" in refused(**{**good, "path": tmp_path})
    assert "src and path are both" in refused(**{**good, "path": src, "checksum": wrong, "replace": True})
    assert "is not there, or is not a file" in refused(**{**good, "src": tmp_path / "none"})
    assert image(True, **{**good, "src": tmp_path / "none"})["changed"], "it may be fetched by then"
    assert "src is missing" in refused(path=path, checksum=checksum(src))
    room = "ansible_collections.uml.mconsole.plugins.module_utils._files.image.room"
    with monkeypatch.context() as patch:
        patch.setattr(room, lambda _folder: 4096)
        for check in (True, False):
            assert "bytes or more, and" in refused(check, **good)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["sample.raw"]


def test_an_image_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """An image that was there before counts if it is the very file, and is not replaced otherwise."""
    src, path = sample(tmp_path), tmp_path / "made.img"
    shutil.copy(src, path)
    given = {"path": path, "src": src, "checksum": checksum(src)}
    assert not image(**given)["changed"]
    path.write_bytes(b"mine")
    assert "found an image from an unknown source" in refused(**given)
    assert path.read_bytes() == b"mine"
    with path.open("rb") as held, subprocess.Popen(["sleep", "60"], stdin=held) as child:
        held.close()
        assert f"in use by process {child.pid}" in refused(**given, replace=True)
        child.kill()
    assert image(**given, replace=True)["changed"]


def test_a_killed_task_is_gone_over_again(tmp_path: Path) -> None:
    """Its part is not taken for an image, and what it wrote down does not count for the image that was there."""
    src, path = sample(tmp_path), tmp_path / "made.img"
    path.write_bytes(b"old")
    (tmp_path / ".made.img.part").write_bytes(b"half")
    given = {"path": path, "src": src, "checksum": checksum(src)}
    (tmp_path / "made.img.source").write_text(f'{{"checksum": "{given["checksum"]}", "inode": 1}}\n')
    assert "found an image from an unknown source" in refused(**given)
    assert image(**given, replace=True)["changed"]
    assert path.read_bytes() == src.read_bytes()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["made.img", "made.img.source", "sample.raw"]


def test_an_archive_cannot_reach_beyond_its_tree(tmp_path: Path) -> None:
    src, victim = tmp_path / "evil.tar", tmp_path / "victim"
    with tarfile.open(src, "w") as archive:
        for name in ("../victim", str(victim)):
            found = tarfile.TarInfo(name)
            found.size = 4
            archive.addfile(found, io.BytesIO(b"evil"))
    operate("image", path=f"{tmp_path}/made.img", src=str(src), checksum=checksum(src), size="8M")
    assert not victim.exists()


def test_a_large_image_takes_little_time_and_room(tmp_path: Path) -> None:
    """1 TB of nothing, with something at its end."""
    src, path = tmp_path / "large.raw", tmp_path / "made.img"
    with src.open("wb") as stream:
        stream.truncate(64 << 30)
        stream.seek((64 << 30) - 3)
        stream.write(b"end")
    from ansible_collections.uml.mconsole.plugins.module_utils._files import image as model

    model.make(str(src), str(path), "raw", 1 << 40)
    found = path.stat()
    assert (found.st_size, found.st_blocks * 512 < MIB) == (1 << 40, True)
