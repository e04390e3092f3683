# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which disks of an instance a backup copies, and whether their place can take the copies."""

from __future__ import annotations

import os
import re
import stat
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .._devices import classes, disks
from .._files import copying
from .._guest.snapshot import Snapshot
from .._mconsole import dangers
from .._mconsole.errors import InputError, NotAllowedError

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class Disk(NamedTuple):
    """A disk to be copied: its file and backing file as the instance calls them and where they are, and its copy."""

    name: str
    file: str
    where: str
    backing_file: str
    backing_where: str
    target: str
    identities: Tuple[copying.FileId, ...]


# The disks to copy.


def choose(snapshot: Snapshot, names: Optional[Sequence[str]], dest: str, may_be_none: bool = False) -> List[Disk]:
    """Return the named disks, or by default all that have a file and that the guest may write to.

    :raises InputError: when a disk does not exist, is not a regular file, or when no disk is left and one is required
    """
    if names is None:
        found = [_disk(snapshot, unit, dest) for unit in range(disks.UNITS) if _is_worth_it(snapshot, unit)]
    else:
        found = [_disk(snapshot, _unit(name), dest) for name in dict.fromkeys(names)]
    if not found and not may_be_none:
        raise InputError(f"{snapshot.umid} has no disk with a file that could be copied", umid=snapshot.umid)
    return found


def _unit(name: str) -> int:
    found = classes.find(name)
    if found.kind is not disks.DISK or found.flags:
        raise InputError(f"{name!r} is not a disk; expected {disks.DISK.units}", name=name)
    return found.unit


def _is_worth_it(snapshot: Snapshot, unit: int) -> bool:
    have = disks.read(snapshot, unit)
    where = snapshot.host_path(have["file"]) if have["state"] == "present" else None
    return (
        where is not None
        and os.path.isfile(where)
        and not have.get("read_only")
        and not (not snapshot.guest_unreadable and dangers.is_ghost(str(unit), snapshot))
    )


def _disk(snapshot: Snapshot, unit: int, dest: str) -> Disk:
    name = f"ubd{unit}"
    file, _comma, backing = (snapshot.ask(f"config {name}") or "").partition(",")
    if not file:
        raise InputError(f"{snapshot.umid} has no disk {name}", name=name)
    where, backing_where = (snapshot.host_path(path) or path for path in (file, backing))
    suffix = _SUFFIX.search(file)
    target = f"{snapshot.umid}-{name}{suffix.group(0) if suffix else '.cow' if backing else '.img'}"
    paths = (where, backing_where) if backing else (where,)
    identities = tuple(_checked(snapshot, name, path) for path in paths)
    _check_same(snapshot, unit, (file, backing) if backing else (file,))
    return Disk(name, file, where, backing, backing_where if backing else "", os.path.join(dest, target), identities)


def _check_same(snapshot: Snapshot, unit: int, files: Sequence[str]) -> None:
    """Refuse a disk that is not the file at its path: the copy would be of a file that the guest never had.

    :raises InputError: when a file was replaced since the guest opened it
    """
    for file in files:
        if disks.is_replaced(snapshot, unit, file):
            raise InputError(
                f"ubd{unit} of {snapshot.umid} is not the file that {file} is now: the file was replaced, and the guest"
                " still has the old one open; nothing was copied. Put the old file back, or attach the disk again",
                path=file,
            )


def _checked(snapshot: Snapshot, name: str, path: str) -> copying.FileId:
    """Return which file it is that may be copied: another one can be at its path a moment later."""
    umid = snapshot.umid
    try:
        found = os.stat(path)
    except OSError as err:
        raise InputError(f"the file {path} of {name} of {umid} is not there: {err.strerror}", path=path) from err
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{name} of {umid} is {path}, which is not a regular file; only a regular file can be copied", path=path
        )
    if not os.access(path, os.R_OK):
        raise NotAllowedError(f"not allowed to read {path}, the file of {name} of {umid}", path=path)
    if snapshot.uid() not in (None, 0, os.geteuid()) and not _is_theirs(snapshot, path, found):
        raise NotAllowedError(
            f"{name} of {umid} is said to be {path}, which the user of {umid} may not be allowed to read", path=path
        )
    return found.st_dev, found.st_ino


def _is_theirs(snapshot: Snapshot, path: str, found: os.stat_result) -> bool:
    """Return whether root may copy a file for an instance of another user, whose kernel may name any file as its disk.

    That is one of the user's own, one that the instance has open, or one that everybody may read.
    """
    if found.st_uid == snapshot.uid() or snapshot.has_open((found.st_dev, found.st_ino)):
        return True
    real = os.path.realpath(path)
    folders = [os.path.dirname(real)]
    while folders[-1] != "/":
        folders.append(os.path.dirname(folders[-1]))
    reachable = all(os.stat(folder).st_mode & stat.S_IXOTH for folder in folders)
    return reachable and bool(found.st_mode & stat.S_IROTH) and os.path.samestat(os.lstat(real), found)


def check_target(chosen: Sequence[Disk], dest: str, overwrite: bool) -> None:
    """Refuse a place that cannot take the copies, before anything is paused.

    :raises InputError: when it is not a directory, has too little room, or already has files of these names
    :raises NotAllowedError: when this user may not write there
    """
    folder = _nearest(dest)
    if not os.path.isdir(folder):
        raise InputError(f"dest cannot be a directory: {folder} is not a directory", path=dest)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotAllowedError(f"not allowed to write into {folder}", path=folder)
    folders = [disk.target for disk in chosen if os.path.isdir(disk.target) and not os.path.islink(disk.target)]
    if folders:
        raise InputError(f"{', '.join(folders)} is a directory; expected a file, or nothing", path=folders[0])
    there = [disk.target for disk in chosen if os.path.lexists(disk.target)]
    if there and not overwrite:
        raise InputError(f"{', '.join(there)} exists already; set overwrite=true to replace it", path=there[0])
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    needed = sum(os.stat(disk.where).st_blocks * 512 for disk in chosen if not _can_share(disk.where, folder))
    if needed > free:
        raise InputError(f"the copies need {needed} bytes, and {dest} has {free} left", path=dest)


def _can_share(source: str, folder: str) -> bool:
    try:
        return copying.can_share(source, folder)
    except OSError as err:
        raise InputError(f"no file can be made in {folder}: {err.strerror}", path=folder) from err


def _nearest(path: str) -> str:
    """Return a path, or that above it which is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
