# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Copy-on-write files: looked at, made, and put together with their backing files."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from typing import Any, BinaryIO, Dict, Iterable, Iterator, Optional, Tuple

from .._mconsole import locks
from .._mconsole.errors import Error, InputError
from . import copying, cow_header, sizes
from .cow_header import CowHeader

_PART = 1 << 20  # bytes
Facts = Dict[str, Any]


def inspect(path: str) -> Facts:
    """Return what a COW file is, and whether the pair with its backing file is valid.

    :raises InputError: when there is no such file, or it is not a COW file
    """
    header = header_of(path)
    backing = resolve(path, header)
    changed = sum(length for _offset, length in changes(path, header))
    reason = why_not(header, backing)
    return {
        "path": path,
        "version": header.version,
        "backing_file": backing,
        "size": header.size,
        "changed_bytes": changed,
        "valid": not reason,
        "reason": reason,
        "in_use": locks.holder(path, exclusive=True),
    }


def header_of(path: str) -> CowHeader:
    """Return a COW file's header.

    :raises InputError: when there is no such file, or it is not a COW file
    """
    try:
        header = cow_header.read_header(path)
    except OSError as err:
        raise InputError(f"the COW file {path} cannot be read: {err.strerror}", path=path) from err
    if header is None:
        raise InputError(f"{path} is not a COW file: it has no COW header", path=path)
    return header


def resolve(path: str, header: CowHeader) -> str:
    """Return where the backing file is. Kernels store whole paths; another one starts at the COW file's directory."""
    return os.path.join(os.path.dirname(os.path.abspath(path)), header.backing_file)


def why_not(header: CowHeader, backing: str) -> str:
    """Return why a backing file is not the one that a COW file was made for; nothing when it is."""
    try:
        found = os.stat(backing)
    except OSError as err:
        return f"the backing file {backing} cannot be seen: {err.strerror}"
    return mismatch(header, backing, found.st_size, int(found.st_mtime))


def mismatch(header: CowHeader, backing: str, size: Optional[int], mtime: int) -> str:
    """Return why a backing file of a size (None: unknown) and mtime does not fit a COW file; nothing when it fits."""
    if size in (None, header.size) and mtime == header.mtime:
        return ""
    return (
        f"it was made for {header.size} bytes modified at {header.mtime}, and the backing file {backing} has"
        f" {size} bytes modified at {mtime}"
    )


def bitmap_length(size: int) -> int:
    """Return the bytes of the bitmap of a disk of a size, which the kernel keeps in the guest's memory."""
    return -(-size // (8 * sizes.SECTOR))


def check_pair(cow: str, header: CowHeader, backing: str, found: os.stat_result) -> None:
    """Refuse a COW file on a backing file that it was not made for, or that was modified since.

    The kernel would not open the pair, or would open the one that the header names.

    :raises InputError: with what to do
    """
    reason = mismatch(header, backing, sizes.length(found), int(found.st_mtime))
    if reason:
        raise InputError(
            f"the COW file {cow!r} does not fit {backing!r}: {reason}. Use the backing file"
            f" {header.backing_file!r} that it was made for, or another COW file; if only the time changed, run"
            f" touch -d @{header.mtime} on the backing file",
            path=cow,
            backing_file=backing,
        )


def changes(path: str, header: CowHeader) -> Iterator[Tuple[int, int]]:
    """Yield (offset, length) in bytes of each run of sectors that differ from the backing file."""
    for start, end in _runs(_bits_of(path, header), -(-header.size // header.sector)):
        yield start * header.sector, min(end * header.sector, header.size) - start * header.sector


def _runs(bits: Iterable[Tuple[int, int]], count: int) -> Iterator[Tuple[int, int]]:
    """Yield (first, end) of each run of bits that are set, the lowest bit of a byte first."""
    begun, end = 0, 0
    for start, length in bits:
        if start != end:
            if end > begun:
                yield begun, min(end, count)
            begun = start
        end = start + length
    if end > begun:
        yield begun, min(end, count)


def _bits_of(path: str, header: CowHeader) -> Iterator[Tuple[int, int]]:
    """Yield what :func:`_bits` yields of a whole bitmap, read part by part: that of 1 TB has 256 MB."""
    end = header.bitmap + header.bitmap_length
    with open(path, "rb") as stream:
        for begin, stop in copying.extents(stream.fileno(), min(end, os.fstat(stream.fileno()).st_size)):
            for offset in range(max(begin, header.bitmap), min(stop, end), _PART):
                bitmap = os.pread(stream.fileno(), min(_PART, min(stop, end) - offset), offset)
                first = (offset - header.bitmap) * 8
                yield from ((first + start, length) for start, length in _bits(bitmap))


def _bits(bitmap: bytes) -> Iterator[Tuple[int, int]]:
    """Yield (first, how many) of bits that are set: whole bytes together, those of other bytes one by one."""
    for found in re.finditer(rb"\xff+|[^\0]", bitmap):
        byte = found.group()
        if byte[0] == 0xFF:
            yield found.start() * 8, len(byte) * 8
        else:
            yield from ((found.start() * 8 + bit, 1) for bit in range(8) if byte[0] >> bit & 1)


# Making one, and putting one together.


def make(path: str, backing: str) -> None:
    """Make a COW file over a backing file.

    :raises InputError: when the backing file is not usable, or the COW file cannot be made
    """
    check_backing(backing)
    try:
        cow_header.make(path, backing)
    except OSError as err:
        raise InputError(f"the COW file {path} cannot be made: {err.strerror}", path=path) from err


def check_backing(backing: str) -> None:
    """Refuse what cannot be a backing file.

    :raises InputError: when it is not there, or no regular file
    """
    try:
        mode = os.stat(backing).st_mode
    except OSError as err:
        raise InputError(f"the backing file {backing} cannot be seen: {err.strerror}", path=backing) from err
    if not stat.S_ISREG(mode):
        raise InputError(f"the backing file {backing} is not a regular file", path=backing)


def check_unused(path: str) -> None:
    """Refuse a COW file that an instance has open.

    :raises InputError: when a process holds its lock
    """
    pid = locks.holder(path, exclusive=False)
    if pid is not None:
        raise InputError(f"{path} is in use by process {pid}; stop the instance first", path=path, pid=pid)


def is_merged(path: str, header: CowHeader, backing: str, dest: str) -> bool:
    """Return whether a file holds just what the pair holds."""
    if not os.path.isfile(dest) or os.stat(dest).st_size != header.size:
        return False
    with open(path, "rb") as cow, open(backing, "rb") as base, open(dest, "rb") as merged:
        same = all(_same(cow, header.data + start, merged, start, length) for start, length in changes(path, header))
        rest = _rest(changes(path, header), header.size)
        return same and all(_same(base, start, merged, start, length) for start, length in rest)


def _rest(runs: Iterable[Tuple[int, int]], size: int) -> Iterator[Tuple[int, int]]:
    """Yield what lies between runs."""
    end = 0
    for start, length in runs:
        if start > end:
            yield end, start - end
        end = start + length
    if end < size:
        yield end, size - end


def _same(one: BinaryIO, at: int, other: BinaryIO, there: int, length: int) -> bool:
    one.seek(at)
    other.seek(there)
    while length > 0:
        part = min(length, _PART)
        if one.read(part).ljust(part, b"\0") != other.read(part):
            return False
        length -= part
    return True


def merge(path: str, header: CowHeader, backing: str, dest: str) -> None:
    """Make a disk image of a pair; it is whole when it appears.

    :raises Error: when it cannot be written; then no image is left
    """
    folder = tempfile.mkdtemp(prefix=".merge-", dir=os.path.dirname(dest))
    part = os.path.join(folder, "image")
    try:
        copying.copy(backing, part, float("inf"))
        with open(path, "rb") as cow, open(part, "r+b") as image:
            for start, length in changes(path, header):
                _carry(cow, header.data + start, image, start, length)
        copying.fsync_file(part)
        os.replace(part, dest)
    except OSError as err:
        raise Error(f"the image {dest} cannot be written: {err.strerror}; nothing of it is left", path=dest) from err
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        os.rmdir(folder)


def _carry(source: BinaryIO, at: int, target: BinaryIO, there: int, length: int) -> None:
    source.seek(at)
    target.seek(there)
    while length > 0:
        part = min(length, _PART)
        target.write(source.read(part).ljust(part, b"\0"))
        length -= part
