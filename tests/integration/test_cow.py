# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy-on-write files beside those that real kernels make and write."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._files import cow as model
from support import guest as guests
from support import kernels, uml
from support.run_operation import BadArguments, operate

Launch = Callable[..., uml.Instance]
PATH, HEADER = 32, 4128  # where the path of the backing file begins, and the header ends


def cow(check: bool = False, **params: Any) -> dict[str, Any]:
    """Run the operation, which must not fail."""
    result = operate("cow", check, **{key: str(value) for key, value in params.items()})
    assert not result.get("failed"), result["msg"]
    return result


@pytest.mark.parametrize("series", kernels.wanted())
def test_ours_is_the_kernel_s_and_is_merged(series: str, launch_guest: Launch, uml_dir: Path) -> None:
    """The same bytes as the kernel's own; what a guest writes to it is counted, and is in the merged image."""
    base = guests.ext4_image(uml_dir / "base.img")
    ours, dest = uml_dir / "ours.cow", uml_dir / "merged.img"
    assert cow(path=ours, backing_file=base)["changed"]
    instance = launch_guest("guest", f"ubd1={ours}", f"ubd2={uml_dir}/its.cow,{base}", kernel=kernels.path(series))
    its = bytearray((uml_dir / "its.cow").read_bytes())
    end = its.index(0, PATH)
    its[end:HEADER] = bytes(HEADER - end)  # kernels of the 6 series leave there what their memory held
    assert ours.read_bytes() == its
    assert instance.request("config ubd1")[1] == f"{ours},{base}"
    instance.guest("mount -t ext4 /dev/ubdb /mnt && echo precious > /mnt/note && sync")
    assert "is in use by process" in operate("cow", path=str(ours), state="merged", dest=str(dest))["msg"]
    instance.guest("umount /mnt && sync")
    instance.close()
    found = cow(path=ours, backing_file=base)
    assert (found["changed"], found["cow"]["valid"], found["cow"]["in_use"]) == (False, True, None)
    assert 0 < found["cow"]["changed_bytes"] < found["cow"]["size"] == 8 << 20
    assert cow(True, path=ours, state="merged", dest=dest)["changed"]
    assert not dest.exists()
    assert cow(path=ours, state="merged", dest=dest)["changed"]
    assert not cow(path=ours, state="merged", dest=dest)["changed"]
    subprocess.run(["/sbin/e2fsck", "-f", "-n", dest], capture_output=True, check=True)
    shown = subprocess.run(["/sbin/debugfs", "-R", "cat /note", dest], capture_output=True, text=True, check=True)
    assert shown.stdout == "precious\n"
    moo = uml_dir / "moo.img"
    subprocess.run(["uml_moo", ours, moo], capture_output=True, check=True)
    assert moo.read_bytes() == dest.read_bytes()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Yield a backing file whose size is not a multiple of the bytes that one byte of the bitmap covers."""
    path = tmp_path / "base.img"
    path.write_bytes(os.urandom(512 * 1003))
    return path


def test_a_large_cow_file_takes_little_memory(tmp_path: Path) -> None:
    """1 TB has a bitmap of 256 MB, which is read part by part; the first and the last sector differ."""
    base, path = tmp_path / "base.img", tmp_path / "a.cow"
    with base.open("wb") as stream:
        stream.truncate(1 << 40)
    cow(path=path, backing_file=base)
    header = model.header_of(str(path))
    with path.open("r+b") as stream:
        for offset, byte in ((0, b"\x01"), (header.bitmap_length - 1, b"\x80")):
            stream.seek(header.bitmap + offset)
            stream.write(byte)
    tracemalloc.start()
    found = list(model.changes(str(path), header))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(0, 512), ((1 << 40) - 512, 512)]
    assert most < 40 << 20


def test_check_mode_makes_nothing(base: Path, tmp_path: Path) -> None:
    """Check mode predicts the change, and reads the file that is there."""
    planned = cow(True, path=tmp_path / "a.cow", backing_file=base)
    assert (planned["changed"], planned["cow"]) == (True, None)
    assert not (tmp_path / "a.cow").exists()
    assert cow(path=tmp_path / "a.cow", backing_file=base)["diff"] == planned["diff"]
    assert cow(True, path=tmp_path / "a.cow")["cow"]["changed_bytes"] == 0


@pytest.mark.parametrize("sectors", [[], [0], [7, 8], [1002], list(range(1003)), [3, 5, *range(16, 40), 1001]])
def test_every_sector_is_where_it_belongs(base: Path, tmp_path: Path, sectors: list[int]) -> None:
    """The first, the last, all of them, and runs over the bounds of bytes."""
    path, dest = tmp_path / "a.cow", tmp_path / "merged.img"
    cow(path=path, backing_file=base)
    header, expected = model.header_of(str(path)), bytearray(base.read_bytes())
    with path.open("r+b") as stream:
        bitmap = bytearray(header.bitmap_length)
        for sector in sectors:
            bitmap[sector // 8] |= 1 << sector % 8
            expected[sector * 512 : sector * 512 + 512] = bytes([sector % 251]) * 512
            stream.seek(header.data + sector * 512)
            stream.write(bytes([sector % 251]) * 512)
        stream.seek(header.bitmap)
        stream.write(bitmap)
    result = cow(path=path, state="merged", dest=dest)
    assert (result["changed"], result["cow"]["changed_bytes"]) == (True, 512 * len(sectors))
    assert dest.read_bytes() == expected
    assert not cow(path=path, state="merged", dest=dest)["changed"]
    for spoilt in (0, 512 * 1003 - 1):
        data = bytearray(expected)
        data[spoilt] ^= 1
        dest.write_bytes(data)
        assert cow(path=path, state="merged", dest=dest, overwrite=True)["changed"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.cow", "base.img", "merged.img"]


def bad(path: Path, **params: Any) -> str:
    """Return what is said of a task that fails, in check mode as well, and changes nothing."""
    before = {each: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    said = [
        operate("cow", check, path=str(path), **{key: str(value) for key, value in params.items()})
        for check in (True, False)
    ]
    assert all(each["failed"] and not each["changed"] for each in said)
    assert before == {each: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    return str(said[1]["msg"])


def test_bad_input_is_named_and_nothing_is_touched(base: Path, tmp_path: Path) -> None:
    """A wrong file, a wrong pair, a pair that is no longer valid."""
    path = tmp_path / "a.cow"
    assert bad(path) == f"the COW file {path} does not exist; set backing_file to make it"
    assert "cannot be seen: No such file" in bad(path, backing_file=tmp_path / "nowhere")
    assert "is not a regular file" in bad(path, backing_file="/dev/null")
    assert bad(base) == f"{base} is not a COW file: it has no COW header"
    cow(path=path, backing_file=base)
    assert f"was made for the backing file {base}, not for /etc/hosts" in bad(path, backing_file="/etc/hosts")
    assert "dest is only used with state=merged" in bad(path, dest="/x")
    assert "is the COW file or its backing file; expected another file" in bad(path, state="merged", dest=base)
    (tmp_path / "other").write_text("mine")
    assert "has other contents; set overwrite=true to replace it" in bad(path, state="merged", dest=tmp_path / "other")
    os.utime(base, (1, 1))
    assert "is no longer valid: it was made for" in bad(path, backing_file=base)
    assert f"{path} cannot be merged" in bad(path, state="merged", dest=tmp_path / "x")
    with pytest.raises(BadArguments, match="state is merged but all of the following are missing: dest"):
        cow(path=path, state="merged")


def test_a_full_disk_leaves_no_half_image(base: Path, tmp_path: Path) -> None:
    """Nor its folder."""
    cow(path=tmp_path / "a.cow", backing_file=base)
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path / "small"], check=True)
    try:
        result = operate("cow", path=str(tmp_path / "a.cow"), state="merged", dest=str(tmp_path / "small" / "x"))
        assert result["msg"].endswith("cannot be written: No space left on device; nothing of it is left")
        assert list((tmp_path / "small").iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)
