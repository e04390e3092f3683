# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Superblocks of file systems that were left in order, or not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._files import cow, file_system
from support import guest as guests


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return an ext4 image that was never mounted."""
    return guests.ext4_image(tmp_path / "image")


def mark_mounted(path: Path, offset: int = 0) -> None:
    """Set the feature that a mounted journal has (needs_recovery)."""
    with path.open("r+b") as stream:
        stream.seek(offset + 1024 + 96)
        features = int.from_bytes(stream.read(4), "little")
        stream.seek(-4, 1)
        stream.write((features | 4).to_bytes(4, "little"))


def test_an_image_as_it_was_made_is_in_order(image: Path) -> None:
    assert file_system.is_in_order(str(image)) is True


def test_an_image_whose_journal_waits_is_not(image: Path) -> None:
    mark_mounted(image)
    assert file_system.is_in_order(str(image)) is False
    shown = ["/sbin/dumpe2fs", "-h", image]  # which also finds that the checksum is wrong now
    assert "needs_recovery" in subprocess.run(shown, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("content", [b"", b"short", bytes(1 << 20), b"\xff" * (1 << 20)])
def test_what_holds_no_such_file_system_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_system.is_in_order(str(path)) is None


def test_a_cow_file_counts_with_its_own_superblock(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "cow"
    cow.make(str(path), str(image))
    assert file_system.is_in_order(str(path)) is None, "nothing was written"
    header = cow.header_of(str(path))
    with path.open("r+b") as stream, image.open("rb") as source:
        stream.seek(header.bitmap)
        stream.write(b"\xff")  # the first eight sectors
        stream.seek(header.data)
        shutil.copyfileobj(source, stream, 4096)
    assert file_system.is_in_order(str(path)) is True
    mark_mounted(path, header.data)
    assert file_system.is_in_order(str(path)) is False
