# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files of a disk on the VM host: whether an instance can use them, and no other process does."""

from __future__ import annotations

import os
import stat
from typing import Collection, Optional, Tuple

from .._files import cow, sizes
from .._files.cow_header import CowHeader, read_header
from .._guest import parsers
from .._guest.snapshot import Snapshot
from .._mconsole import locks
from .._mconsole.errors import InputError
from .device_class import Options

UNITS = 16


def is_readable(snapshot: Snapshot, path: str) -> bool:
    where = snapshot.host_path(path)
    return where is not None and os.access(where, os.R_OK)


def header_of(snapshot: Snapshot, path: str) -> Optional[CowHeader]:
    """Return the COW header of a file, or None when it has none or it cannot be read."""
    where = snapshot.host_path(path)
    try:
        return None if where is None else read_header(where)
    except OSError:
        return None


def check(snapshot: Snapshot, unit: int, want: Options, leaving: Collection[str]) -> None:
    """Refuse files that the instance cannot use; ``leaving`` names the devices that are removed before.

    :raises InputError: when a file is missing, of a wrong kind, in use elsewhere, or does not fit its COW file
    """
    file, backing = want["file"], want.get("backing_file")
    new_cow = bool(backing) and not _exists(snapshot, file)
    if new_cow and want.get("read_only"):
        raise InputError(
            f"there is no {file!r} yet, and the kernel cannot make a COW file for a read-only disk", path=file
        )
    if new_cow:
        _check_kind(snapshot, os.path.dirname(file) or ".", (stat.S_ISDIR,), "directory for a new COW file")
    else:
        _check_kind(snapshot, file, _USABLE, "file or block device")
    if backing:
        _check_kind(snapshot, backing, _USABLE, "file or block device")
        _check_pair(snapshot, file, backing, new_cow)
    if not new_cow:
        _check_unused(snapshot, unit, want, leaving)


_USABLE = (stat.S_ISREG, stat.S_ISBLK, stat.S_ISCHR)


def _exists(snapshot: Snapshot, path: str) -> bool:
    """Return whether a file exists; True when that is out of sight."""
    try:
        snapshot.stat(path)
    except FileNotFoundError:
        return False
    return True


def _check_kind(snapshot: Snapshot, path: str, kinds: Tuple[object, ...], what: str) -> None:
    try:
        found = snapshot.stat(path)
    except FileNotFoundError:
        raise InputError(f"no {what} {path!r} on the VM host, as {snapshot.umid} sees it", path=path) from None
    if found is not None and not any(kind(found.st_mode) for kind in kinds if callable(kind)):
        raise InputError(f"{path!r} on the VM host is not a {what}", path=path)


def _check_pair(snapshot: Snapshot, file: str, backing: str, new_cow: bool) -> None:
    """Refuse a COW file on another backing file, and one whose bitmap does not fit into the guest's memory."""
    found = snapshot.stat(backing)
    header = None if new_cow or not is_readable(snapshot, file) else header_of(snapshot, file)
    if header is None and not new_cow and is_readable(snapshot, file):
        raise InputError(f"{file!r} is not a COW file, so it cannot have the backing file {backing!r}", path=file)
    if header is not None and found is not None:
        cow.check_pair(file, header, backing, found)
    size = sizes.length(found) if found is not None else None
    free = parsers.available_memory(snapshot.proc("meminfo") or "")
    if size is not None and free is not None and cow.bitmap_length(size) > free:
        raise InputError(
            f"the disk {file!r} is not small enough for {snapshot.umid}: its bitmap takes"
            f" {cow.bitmap_length(size)} bytes of the guest's memory, which has {free} available;"
            " expected a smaller disk or more memory",
            path=file,
        )


def _check_unused(snapshot: Snapshot, unit: int, want: Options, leaving: Collection[str]) -> None:
    """Refuse a file that another disk of the instance, or another process of the VM host, holds."""
    if want.get("shared"):
        return
    for other in range(UNITS):
        text = snapshot.ask(f"config ubd{other}") if other != unit and f"ubd{other}" not in leaving else None
        if text and _exists(snapshot, want["file"]):
            _check_other(snapshot, f"ubd{other}", text, want)
    where = snapshot.host_path(want["file"])
    pid = locks.holder(where, exclusive=not want.get("read_only")) if where is not None else None
    if pid is not None and pid not in snapshot.members():
        raise InputError(
            f"{want['file']!r} is locked by process {pid} of the VM host; set shared=true to attach it anyway",
            path=where,
        )


def _check_other(snapshot: Snapshot, other: str, text: str, want: Options) -> None:
    """Refuse a file that another disk has, and a writable one that is the backing file of another disk's COW file."""
    file, _comma, backing = text.partition(",")
    wanted = snapshot.real_path(want["file"])
    if snapshot.real_path(file) == wanted:
        raise InputError(
            f"{want['file']!r} is already the disk {other} of {snapshot.umid}; set shared=true to attach it twice"
        )
    if backing and not want.get("read_only") and snapshot.real_path(backing) == wanted:
        raise InputError(
            f"{want['file']!r} is the backing file of {other} of {snapshot.umid}, and a guest that writes to it makes"
            f" the COW file {file!r} invalid; set read_only=true",
            path=want["file"],
        )
