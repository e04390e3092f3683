# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Named snapshots of an instance's disks: taken while it runs or at rest, put back at rest, removed."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any, Dict, List

from .._backup import selection, snapshots
from .._backup.backup import Backup, put_in_place
from .._backup.snapshots import Row, Store
from .._files import copying, cow
from .._files.cow_header import read_header
from .._guest.snapshot import Snapshot
from .._lifecycle import file_users, observation
from .._mconsole import locks
from .._mconsole.errors import Error, InputError
from .._mconsole.parsing import check_seconds
from .._mconsole.private_dir import private_directory
from .._task.task import Task

SCOPE = "name"
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "reverted"], "default": "present"},
    "disks": {"type": "list", "elements": "str"},
    "files": {"type": "dict"},
    "directory": {"type": "str"},
    "max_pause": {"type": "float", "default": 60.0},
    "sync_timeout": {"type": "float", "default": 10.0},
}
CONSTRAINTS: Dict[str, Any] = {}
_PATIENCE = 90.0  # seconds for another task that starts or stops the instance
Result = Dict[str, Any]


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the instance."""
    return True


def run(task: Task) -> Result:
    """Do what the state says; see the module's documentation."""
    name = snapshots.check_name(task.params["name"])
    for option in ("max_pause", "sync_timeout"):
        check_seconds(option, task.params[option])
    task.place = observation.resolve_place(task)
    step = {"present": _taken, "absent": _removed, "reverted": _reverted}[task.params["state"]]
    if task.check:
        return step(task, snapshots.locate(task), name)
    busy = f"another task is starting or stopping {task.umid}"
    with locks.named(private_directory, task.place.directory, time.monotonic() + _PATIENCE, busy):
        return step(task, snapshots.locate(task), name)


def _result(changed: bool, before: Any, after: Any, row: Any, **more: Any) -> Result:
    return {"changed": changed, "diff": {"before": before, "after": after}, "snapshot": row, "commands": [], **more}


# Taking one.


def _taken(task: Task, store: Store, name: str) -> Result:
    row = store.find(name)
    if row is not None:
        return _result(False, {"name": name}, {"name": name}, row)
    running = snapshots.is_running(task)
    how = _copy_running(task, store, name) if running else _copy_resting(task, store, name)
    row = None if task.check else store.find(name)
    return {**_result(True, {}, {"name": name}, row), **how}


def _copy_running(task: Task, store: Store, name: str) -> Result:
    """Take it with the pause of disk_backup."""
    if task.params["files"]:
        raise InputError(f"{task.umid} runs, so its disks are known; remove files, or set disks to their names")
    if task.check:
        return _copy_chosen(task, store, name)
    with task.exclusive():
        return _copy_chosen(task, store, name)


def _copy_chosen(task: Task, store: Store, name: str) -> Result:
    sight, part = Snapshot.take(task.console), os.path.join(store.folder, f".{name}.part")
    chosen = selection.choose(sight, task.params["disks"], part)
    selection.check_target(chosen, store.folder, True)
    commands = [] if sight.guest_unreadable else ["sysrq s", "stop", "go"]
    if task.check:
        return {"commands": commands, "pause": None}
    store.part(name)
    task.params = {**task.params, "backing": "keep"}
    backup = Backup(task, chosen, part)
    copies = backup.run()
    rows = [_disk(disk.name, disk.where, copy["path"]) for disk, copy in zip(chosen, copies)]
    store.add(name, part, {"time": time.time(), "synced": backup.synced, "disks": rows})
    return {"commands": commands, "pause": round(backup.pause, 3)}


def _copy_resting(task: Task, store: Store, name: str) -> Result:
    files = snapshots.given_files(task)
    if not files:
        raise InputError(f"{task.umid} does not run, so its disks are not known; set files to their files by device")
    for path in files.values():
        _check_resting(path)
    needed, free = sum(os.stat(path).st_blocks * 512 for path in files.values()), _room(store.folder)
    if needed > free:
        raise InputError(f"the copies need {needed} bytes, and {store.folder} has {free} left", path=store.folder)
    if not task.check:
        _copy_files(store, name, files)
    return {"pause": 0.0}


def _copy_files(store: Store, name: str, files: Dict[str, str]) -> None:
    part = store.part(name)
    try:
        os.makedirs(part, 0o700)
        rows = []
        for device, path in files.items():
            target = os.path.join(part, f"{store.umid}-{device}{os.path.splitext(path)[1]}")
            copying.copy(path, target, float("inf"))
            copying.fsync_file(target)
            rows.append(_disk(device, path, target))
        store.add(name, part, {"time": time.time(), "synced": True, "disks": rows})
    except OSError as err:
        raise Error(f"the snapshot {name} cannot be written: {err.strerror}; none was taken", path=part) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _disk(device: str, file: str, copy: str) -> Row:
    return {
        "device": device,
        "file": file,
        "copy": os.path.basename(copy),
        "size": os.path.getsize(copy),
        "fingerprint": copying.fingerprint(copy),
    }


def _check_resting(path: str) -> None:
    """Refuse a disk that is not there, that something uses, or whose backing file is another one.

    :raises InputError: with what to do
    """
    if not os.path.isfile(path):
        raise InputError(f"the disk {path} is not there, or is not a file", path=path)
    users = file_users.running_users(path)
    if users:
        raise InputError(f"the disk {path} is in use by {', '.join(users)}; stop the instance first", path=path)
    _check_pair(path, path)


def _check_pair(copy: str, path: str) -> None:
    """Refuse a COW file, which is or will be at a path, if its backing file was modified."""
    header = read_header(copy)
    if header is not None:
        backing = cow.resolve(path, header)
        cow.check_backing(backing)
        cow.check_pair(path, header, backing, os.stat(backing))


def _room(path: str) -> int:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


# Removing one, and putting one back.


def _removed(task: Task, store: Store, name: str) -> Result:
    row = store.find(name)
    if row is None:
        return _result(False, {}, {}, None)
    for disk in row["disks"]:
        copy = os.path.join(row["path"], disk["copy"])
        users = file_users.running_users(copy) if os.path.exists(copy) else []
        if users:
            raise InputError(f"the copy {copy} is in use by {', '.join(users)}; nothing was removed", path=copy)
    if not task.check:
        store.remove(name)
    return _result(True, {"name": name, "path": row["path"]}, {}, None)


def _reverted(task: Task, store: Store, name: str) -> Result:
    row = store.find(name)
    if row is None:
        known = ", ".join(found["name"] for found in store.rows()) or "none"
        raise InputError(f"{task.umid} has no snapshot {name!r} in {store.folder}; found {known}", path=store.folder)
    other = [disk for disk in row["disks"] if not _is_same(disk)]
    if other and snapshots.is_running(task):
        raise InputError(f"{task.umid} runs; stop it first, because its disks cannot be put back under it")
    for disk in other:
        _check_copy(row, disk)
    files = [disk["file"] for disk in other]
    changed = bool(other) or not row["current"]
    if changed and not task.check:
        _put_back(row, other, task.umid)
        store.set_current(name)
    before = {"current": store.current() if task.check or not changed else None, "replaced": files}
    return _result(changed, before, {"current": name}, {**row, "current": True})


def _is_same(disk: Row) -> bool:
    """Return whether a disk holds what its copy holds."""
    path = disk["file"]
    if not os.path.isfile(path) or os.path.getsize(path) != disk["size"]:
        return False
    return bool(copying.fingerprint(path) == disk["fingerprint"])


def _check_copy(row: Row, disk: Row) -> None:
    """Refuse to put back a copy that is damaged, or a disk that something uses."""
    copy = os.path.join(row["path"], disk["copy"])
    if not os.path.isfile(copy) or copying.fingerprint(copy) != disk["fingerprint"]:
        raise InputError(f"{copy} is not what the snapshot held when it was taken; nothing was changed", path=copy)
    path = disk["file"]
    users = [*file_users.running_users(path), *file_users.cow_files(path)] if os.path.exists(path) else []
    if users:
        raise InputError(f"the disk {path} is in use by {', '.join(users)}; nothing was changed", path=path)
    _check_pair(copy, path)


def _put_back(row: Row, disks: List[Row], umid: str) -> None:
    """Copy all beside the disks, and then rename all; the old disks are back if one cannot be renamed."""
    folders: List[str] = []
    pairs = []
    try:
        for disk in disks:
            folder = os.path.join(os.path.dirname(disk["file"]), f".{umid}-{disk['device']}.revert")
            shutil.rmtree(folder, ignore_errors=True)  # of a task that was killed
            os.mkdir(folder, 0o700)
            folders.append(folder)
            part = os.path.join(folder, "disk")
            copying.copy(os.path.join(row["path"], disk["copy"]), part, float("inf"))
            _own_as(disk["file"], part)
            copying.fsync_file(part)
            pairs.append((part, disk["file"]))
        put_in_place(pairs)
    except OSError as err:
        raise Error(f"the disks of {umid} cannot be put back: {err.strerror}; they are as before", umid=umid) from err
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _own_as(path: str, part: str) -> None:
    """Give a new disk the owner and the mode of the one in whose place it comes."""
    if os.path.exists(path):
        found = os.stat(path)
        os.chown(part, found.st_uid, found.st_gid)
        os.chmod(part, found.st_mode & 0o7777)
