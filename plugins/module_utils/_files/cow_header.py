# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The header of a copy-on-write file, as far as it says which backing file it fits.

Source: linux arch/um/drivers/cow_user.c, versions 2 and 3 and the 64-bit layout of version 3 from before 2006.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple, Optional

from .._mconsole.errors import InputError
from .._mconsole.wire import decode_text, encode_text

_MAGIC = 0x4F4F4F4D
_PATH = 4096  # bytes
_SECTOR = 512
_ALIGNMENT = 4096
_START = struct.Struct(">II")
_V2 = struct.Struct(">4096sIQ")
_V3 = struct.Struct(">IQIII4096s")
_V3_OLD = struct.Struct(">I4xQIII4096s")


class CowHeader(NamedTuple):
    """What a COW file says of its backing file: the path as stored, its size in bytes, its mtime in seconds.

    A bitmap at ``bitmap`` marks the sectors that differ, the lowest bit first; their data is behind ``data``, at the
    same distance as in the backing file. ``sector`` is the size of a sector.
    """

    backing_file: str
    size: int
    mtime: int
    version: int = 3
    sector: int = 512
    bitmap: int = 0
    data: int = 0

    @property
    def bitmap_length(self) -> int:
        """Return the length of the bitmap in bytes."""
        return -(-self.size // self.sector) // 8 + (1 if -(-self.size // self.sector) % 8 else 0)


def read_header(path: str) -> Optional[CowHeader]:
    """Return the header of a COW file, or None when it is not a COW file.

    :raises OSError: when it cannot be read
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    with open(path, "rb") as stream:
        return parse_header(stream.read(_START.size + _V3_OLD.size))


def parse_header(data: bytes) -> Optional[CowHeader]:
    """Return the header at the start of a file's bytes, or None."""
    if len(data) < _START.size + _V2.size:
        return None
    magic, version = _START.unpack_from(data)
    if magic != _MAGIC or version not in (2, 3):
        return None
    if version == 2:
        path, mtime, size = _V2.unpack_from(data, _START.size)
        return _laid_out(CowHeader(_text(path), size, mtime, 2), _START.size + _V2.size, 1)
    layout = _V3
    mtime, size, sector, align, _format, path = _V3.unpack_from(data, _START.size)
    if path[:4] == bytes(4) and len(data) >= _START.size + _V3_OLD.size:
        layout = _V3_OLD
        mtime, size, sector, align, _format, path = _V3_OLD.unpack_from(data, _START.size)
    header = CowHeader(_text(path), size, mtime, 3, sector or _SECTOR)
    return _laid_out(header, _START.size + layout.size, align or _ALIGNMENT)


def _laid_out(header: CowHeader, end: int, align: int) -> CowHeader:
    """Return the header with the places of the bitmap and of the data (cow_user.c cow_sizes)."""
    bitmap = _round_up(end, align)
    unit = align if header.version > 2 else header.sector
    return header._replace(bitmap=bitmap, data=_round_up(bitmap + header.bitmap_length, unit))


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def make(path: str, backing_file: str) -> None:
    """Make a COW file without a difference, byte for byte as the kernel makes it.

    :raises InputError: when the path of the backing file is too long
    :raises OSError: when it cannot be made, or is there already
    """
    found = os.stat(backing_file)
    stored = encode_text(backing_file)
    if len(stored) >= _PATH:
        raise InputError(f"the path of a backing file has at most {_PATH - 1} bytes: {backing_file!r}")
    fixed = (int(found.st_mtime), found.st_size, _SECTOR, _ALIGNMENT, 0, stored)
    data = _START.pack(_MAGIC, 3) + _V3.pack(*fixed)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        header = parse_header(data + bytes(8))
        stream.truncate((header.data if header else 0) + found.st_size)


def point_to(path: str, backing_file: str) -> None:
    """Write another path of the same backing file into the header of a COW file.

    :raises InputError: when the file has no such header, or the path is too long for it
    :raises OSError: when it cannot be written
    """
    with open(path, "r+b") as stream:
        data = stream.read(_START.size + _V3_OLD.size)
        stored = encode_text(backing_file)
        if parse_header(data) is None or len(stored) >= _PATH:
            raise InputError(f"{path} is not a COW file whose header has room for {backing_file!r}", path=path)
        stream.seek(_offset(data))
        stream.write(stored.ljust(_PATH, b"\0"))


def _offset(data: bytes) -> int:
    """Return where the path of the backing file is stored."""
    _magic, version = _START.unpack_from(data)
    if version == 2:
        return _START.size
    layout = _V3_OLD if data[_START.size + _V3.size - _PATH :][:4] == bytes(4) else _V3
    return _START.size + layout.size - _PATH


def _text(path: bytes) -> str:
    return decode_text(path.partition(b"\0")[0])
