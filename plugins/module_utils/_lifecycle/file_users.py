# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What stands on a file of the VM host: instances that run, units that start one, COW files beside it, processes."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Iterator, List, Sequence

from .._files import cow
from .._files.cow_header import read_header
from .._mconsole import instances, locks, procfs
from . import systemd_unit
from .disk_check import BootDisk, disks_of


def users_of(path: str) -> List[str]:
    """Return who would be harmed if a file were replaced or removed, as texts; each once."""
    found = [*_instances(path), *_units(path), *cow_files(path)]
    return list(dict.fromkeys(found)) or list(_processes(path))


def running_users(path: str) -> List[str]:
    """Return what runs and uses a file, as texts."""
    return list(_instances(path)) or list(_processes(path))


def _instances(path: str) -> Iterator[str]:
    """Yield the instances that were started with the file, or have it open."""
    for found in instances.discover():
        cwd = (procfs.link(f"/proc/{found.pid}/cwd") if found.pid else None) or "/"
        if found.alive and (_stands_on(disks_of(found.argv[1:], cwd), path) or _has_open(found.members, path)):
            yield f"the instance {found.place.umid}"


def _units(path: str) -> Iterator[str]:
    """Yield the instances that systemd starts with the file."""
    names = os.listdir(systemd_unit.FOLDER) if os.path.isdir(systemd_unit.FOLDER) else []
    for name in sorted(name for name in names if name.endswith(".json")):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            launch = json.loads(procfs.read_text(os.path.join(systemd_unit.FOLDER, name)))["launch"]
            if _stands_on(disks_of(launch["argv"][1:], launch["cwd"]), path):
                yield f"the instance {launch['place'][1]} of systemd"


def cow_files(path: str) -> Iterator[str]:
    """Yield the COW files in the directory of the file that were made for it."""
    for entry in sorted(os.listdir(os.path.dirname(path))):
        other = os.path.join(os.path.dirname(path), entry)
        with contextlib.suppress(OSError):
            header = read_header(other)
            if header is not None and _is_same(cow.resolve(other, header), path):
                yield f"the COW file {other}"


def _processes(path: str) -> Iterator[str]:
    """Yield the process that holds a lock on the file, and those that have it open."""
    holder = locks.holder(path, exclusive=True)
    if holder is not None:
        yield f"process {holder}"
    for pid in procfs.pids():
        if pid not in (holder, os.getpid()) and _has_open((pid,), path):
            yield f"process {pid}"


def _stands_on(disks: Sequence[BootDisk], path: str) -> bool:
    """Return whether one of the disks is the file, or is on it."""
    return any(_is_same(file, path) for disk in disks for file in _files(disk))


def _files(disk: BootDisk) -> Iterator[str]:
    yield disk.file
    if disk.backing:
        yield disk.backing
    with contextlib.suppress(OSError):
        header = read_header(disk.file)
        if header is not None:
            yield cow.resolve(disk.file, header)


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _has_open(pids: Sequence[int], path: str) -> bool:
    """Return whether one of the processes has the file open; what another user runs is out of sight."""
    wanted = os.stat(path)
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), wanted):
                        return True
    return False
