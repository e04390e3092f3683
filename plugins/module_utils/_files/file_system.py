# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether the file system on a disk image was left in order, as its superblock says (ext2, ext3 and ext4)."""

from __future__ import annotations

import struct
from typing import Optional

from . import cow
from .cow_header import CowHeader, read_header

# Documentation/filesystems/ext4/super.rst: s_magic, s_state and s_feature_incompat, of the superblock at byte 1024.
_OFFSET = 1024
_FIELDS = struct.Struct("<56xHH36xI")
_MAGIC = 0xEF53
_CLEAN = 0x1  # of the state: the file system was unmounted, or made read-only
_RECOVER = 0x4  # of the features: the journal is to be replayed


def is_in_order(path: str) -> Optional[bool]:
    """Return whether nothing is missing on a file system; None when the file has none that this module can read.

    A file system that is mounted for writing, or was when its guest ended, is not in order.

    :raises OSError: when the file cannot be read
    """
    data = _superblock(path)
    if len(data) < _FIELDS.size:
        return None
    magic, state, features = _FIELDS.unpack(data)
    return bool(state & _CLEAN) and not features & _RECOVER if magic == _MAGIC else None


def _superblock(path: str) -> bytes:
    header = read_header(path)
    if header is None:
        return _read(path, _OFFSET)
    return _read(path, header.data + _OFFSET) if _is_changed(path, header) else b""


def _is_changed(path: str, header: CowHeader) -> bool:
    """Return whether a COW file holds the superblock: a guest that mounts the disk for writing changes it."""
    offset, length = next(cow.changes(path, header), (0, 0))
    return offset <= _OFFSET and _OFFSET + _FIELDS.size <= offset + length


def _read(path: str, offset: int) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(offset)
        return stream.read(_FIELDS.size)
