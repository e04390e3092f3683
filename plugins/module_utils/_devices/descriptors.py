# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Descriptors of an instance's process: those it was started with, which a line may use, and the kernel's own."""

from __future__ import annotations

import os
from typing import Iterator, Set

from .._guest.snapshot import FileId, Snapshot
from .._mconsole import procfs
from .._mconsole.errors import InputError
from .disk_files import UNITS

_STANDARD = 2  # 0 to this are what a process is started with
_OWN = ("anon_inode:", "/memfd:", "/dev/random", "/dev/urandom", "/dev/hwrng", "/dev/net/tun", "/dev/ptmx")


def check_inherited(snapshot: Snapshot, number: int) -> None:
    """Refuse a descriptor that the instance was not started with.

    The text of a line would go into that file: a disk, for example.

    :raises InputError: when there is no such descriptor, or it is the kernel's own
    """
    if snapshot.has_descriptor(number) is False:
        raise InputError(f"{snapshot.umid} has no descriptor {number}; a line can use those it was started with")
    if number > _STANDARD and _is_own(snapshot, number):
        link = procfs.link(f"/proc/{snapshot.pid}/fd/{number}")
        raise InputError(
            f"descriptor {number} of {snapshot.umid} is the kernel's own ({link}); expected one that the instance was"
            " started with, such as fd:1",
            umid=snapshot.umid,
        )
    _check_text(snapshot, number)


def _check_text(snapshot: Snapshot, number: int) -> None:
    """Refuse what takes no text: a directory that the guest uses by hostfs, or the socket of a channel port:N.

    :raises InputError: when the descriptor is one
    """
    path = f"/proc/{snapshot.pid}/fd/{number}"
    link = procfs.link(path) or ""
    inode = link[len("socket:[") : -1] if link.startswith("socket:") else ""
    if os.path.isdir(path) or inode in procfs.sockets_without_text(snapshot.pid or 0):
        raise InputError(
            f"descriptor {number} of {snapshot.umid} takes no text ({link}: a directory, or a socket that listens or"
            " carries network packets); expected one that does, such as fd:1",
            umid=snapshot.umid,
        )


def _is_own(snapshot: Snapshot, number: int) -> bool:
    """Return whether the kernel opened a descriptor itself.

    One that it was started with cannot be closed on exec; the kernel opens disks and a few devices without that flag.
    """
    path = f"/proc/{snapshot.pid}/fd/{number}"
    flags, link = procfs.descriptor_flags(snapshot.pid or 0, number), procfs.link(path) or ""
    if (flags is not None and flags & os.O_CLOEXEC) or link.startswith(_OWN) or link.endswith(" (deleted)"):
        return True
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) in _disk_files(snapshot)


def _disk_files(snapshot: Snapshot) -> Set[FileId]:
    return set(_identities(snapshot))


def _identities(snapshot: Snapshot) -> Iterator[FileId]:
    """Yield the files and backing files of all disks."""
    for unit in range(UNITS):
        for file in filter(None, (snapshot.ask(f"config ubd{unit}") or "").split(",")):
            try:
                found = snapshot.stat(file)
            except FileNotFoundError:
                continue
            if found is not None and os.path.basename(file) != "null":
                yield found.st_dev, found.st_ino
