# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Look, before the kernel is started, for what would spoil a disk, or a kernel because of a disk.

A missing file leaves a ghost, a locked one panics the kernel (6.12 and later), and a COW file on another backing file
is opened on the one that its header names, or not at all.
"""

from __future__ import annotations

import os
import re
from typing import List, Mapping, NamedTuple, Optional, Sequence

from .._files import cow
from .._files.cow_header import read_header
from .._mconsole import instances, locks, parsing
from .._mconsole.errors import InputError, NotAllowedError
from .kernel_arg_groups import name_of
from .launch import Launch

_WORD = re.compile(r"ubd(\d+|[a-p])(?P<flags>[rscdt]*)=(?P<value>.*)", re.DOTALL)
_LARGE = 8  # a bitmap of more than this part of the memory is worth a warning


class BootDisk(NamedTuple):
    """A disk on a command line: its name, its flags, its file, and the backing file that is named or nothing."""

    name: str
    flags: str
    file: str
    backing: str

    @property
    def writes(self) -> bool:
        """Return whether the guest may write to the file, and no other may have it at the same time."""
        return not set(self.flags) & set("rc") and self.file != os.devnull


def disks_of(argv: Sequence[str], cwd: str = "/") -> List[BootDisk]:
    """Return the disks on a command line; relative files start at the working directory."""
    found = []
    for word in argv:
        match = _WORD.fullmatch(word)
        files = [os.path.join(cwd, file) for file in re.split("[,:]", match["value"])[:2] if file] if match else []
        if match and files:
            file, backing = [*files, ""][:2]
            found.append(BootDisk(name_of(word), match["flags"], file, "" if "d" in match["flags"] else backing))
    return found


def check(launch: Launch, own: Sequence[int]) -> List[str]:
    """Return warnings about the disks of a launch; ``own`` are the processes of the instance, which may hold them.

    :raises Error: when a file is missing, in use, or does not fit its COW file
    """
    disks = disks_of(launch.argv[1:], launch.cwd)
    for disk in disks:
        _check_files(disk)
    _check_together(disks)
    for disk in disks:
        _check_usable(disk, own)
    return [text for disk in disks for text in _check_bitmap(disk, launch)]


def _check_files(disk: BootDisk) -> None:
    if disk.backing and not os.path.exists(disk.file):
        check_readable(disk.backing, "the backing file")
        if not os.access(os.path.dirname(disk.file), os.W_OK | os.X_OK):
            raise InputError(
                f"the COW file {disk.file} cannot be made: its directory is not there or not writable", path=disk.file
            )
        return
    for file in filter(None, (disk.file, disk.backing)):
        check_readable(file, "the disk file")
    _check_cow(disk)


def _check_cow(disk: BootDisk) -> None:
    """Refuse a COW file on a backing file that it was not made for."""
    header = read_header(disk.file) if "d" not in disk.flags else None
    if header is None and disk.backing:
        raise InputError(
            f"{disk.file!r} is not a COW file, so it cannot have the backing file {disk.backing!r}", path=disk.file
        )
    if header is not None:
        backing = disk.backing or cow.resolve(disk.file, header)
        check_readable(backing, f"the backing file of {disk.file},")
        cow.check_pair(disk.file, header, backing, os.stat(backing))


def _check_together(disks: Sequence[BootDisk]) -> None:
    """Refuse two disks on one file, and a writable disk that is the backing file of another."""
    for index, disk in enumerate(disks):
        for other in disks[index + 1 :]:
            if (
                (disk.writes or other.writes)
                and _is_same(disk.file, other.file)
                and "c" not in disk.flags + other.flags
            ):
                raise InputError(
                    f"{disk.name} and {other.name} are both {disk.file}; expected a file for each, or shared=true",
                    path=disk.file,
                )
        for other in disks:
            if other.writes and disk is not other and disk.backing and _is_same(disk.backing, other.file):
                raise InputError(
                    f"{other.name} is {other.file}, the backing file of {disk.name}, whose COW file {disk.file}"
                    " would be invalid after a write; set read_only=true",
                    path=other.file,
                )


def check_shared(words: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]], names: str) -> None:
    """Refuse a writable disk file that two instances of one task would have.

    ``words`` and ``others`` are the words on their command lines, by group.

    :raises InputError: naming the file
    """
    own, there = (disks_of([word for group in words_.values() for word in group]) for words_ in (words, others))
    for disk in own:
        if disk.writes and any(_is_same(disk.file, other.file) for other in there):
            raise InputError(
                f"the disk file {disk.file} would be of {names}; expected a COW file for each, such as root.cow with"
                " {umid} in its name, or a copy of the file",
                path=disk.file,
            )


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _check_usable(disk: BootDisk, own: Sequence[int]) -> None:
    path, read_only = disk.file, "r" in disk.flags
    if not os.path.exists(path):
        return  # a COW file that the kernel makes
    if not read_only and not os.access(path, os.W_OK):
        raise NotAllowedError(f"the disk file {path} is not writable by this user; set read_only=true", path=path)
    holder = locks.holder(path, not read_only) if "c" not in disk.flags else None
    if holder is not None and holder not in own:
        name = next((found.place.umid for found in instances.discover() if found.pid == holder), None)
        whose = f"the instance {name!r}" if name else f"process {holder}"
        raise InputError(f"the disk file {path} is in use by {whose}, which holds a lock on it", path=path, pid=holder)
    if disk.writes:
        _check_others(disk, own)


def _check_others(disk: BootDisk, own: Sequence[int]) -> None:
    """Refuse a file that another instance was started with: one that boots does not hold its lock yet."""
    for found in instances.discover():
        if not found.alive or found.pid in own:
            continue
        for other in disks_of(found.argv[1:], _cwd(found.pid)):
            if _is_same(other.file, disk.file) and "c" not in other.flags:
                raise InputError(
                    f"the disk file {disk.file} is in use by the instance {found.place.umid!r}; expected a COW file for"
                    " each instance, or a copy of the file",
                    path=disk.file,
                    pid=found.pid,
                )
            if other.backing and _is_same(other.backing, disk.file):
                raise InputError(
                    f"the disk file {disk.file} is the backing file of {other.name} of the instance"
                    f" {found.place.umid!r}, whose COW file {other.file} would be invalid; set read_only=true",
                    path=disk.file,
                    pid=found.pid,
                )


def _cwd(pid: Optional[int]) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return "/"


def _check_bitmap(disk: BootDisk, launch: Launch) -> List[str]:
    """Return what the bitmap of a large COW disk takes of the guest's memory.

    :raises InputError: when it takes all of it
    """
    memory = [word[4:] for word in launch.argv if word.startswith("mem=")]
    if not disk.backing or not memory:
        return []
    taken, whole = cow.bitmap_length(os.path.getsize(disk.backing)), parsing.parse_size(memory[-1])
    text = f"the bitmap of the COW disk {disk.name} takes {taken} of the {whole} bytes of the guest's memory"
    if taken >= whole // 2:
        raise InputError(f"{text}; expected less than a half: set a larger memory, or use a smaller disk")
    return [text] if taken > whole // _LARGE else []


def check_readable(path: str, what: str) -> None:
    """Refuse a file that is not there, is a directory, or is not readable by this user.

    :raises Error: which of these it is
    """
    if not os.path.exists(path):
        raise InputError(f"{what} {path} is not there", path=path)
    if os.path.isdir(path):
        raise InputError(f"{what} {path} is a directory", path=path)
    if not os.access(path, os.R_OK):
        raise NotAllowedError(f"{what} {path} is not readable by this user", path=path)
