# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The snapshots of an instance: a directory beside its disk, which says by itself what it holds.

``UMID.snapshots/NAME`` holds the copies and ``snapshot.json``, which is written last: without it there is no snapshot.
``UMID.snapshots/current`` is the name of the snapshot that the disks began with.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from typing import Any, Dict, List, Optional, Sequence

from .._guest.snapshot import Snapshot
from .._mconsole import instances, procfs
from .._mconsole.errors import Error, InputError
from .._mconsole.names import host_path
from .._task.task import Task
from . import selection

_MANIFEST = "snapshot.json"
_CURRENT = "current"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}\Z")
Row = Dict[str, Any]


def check_name(name: str) -> str:
    """Return the name of a snapshot.

    :raises InputError: when it cannot be one
    """
    if not _NAME.match(name):
        raise InputError(
            f"{name!r} is not a name for a snapshot; expected 1 to 63 letters, digits, dots, dashes and underscores,"
            " the first of them not a dot or a dash"
        )
    return name


def given_files(task: Task) -> Dict[str, str]:
    """Return the disk files that the task names, by device."""
    files = task.params.get("files") or {}
    return {str(device): host_path(str(path), f"files.{device}") for device, path in files.items()}


def is_running(task: Task) -> bool:
    """Return whether the instance runs."""
    return instances.pid_of(task.place) is not None


def locate(task: Task) -> Store:
    """Return where the snapshots of an instance are: in the given directory, or beside its first disk.

    :raises InputError: when neither is known
    """
    if task.params.get("directory"):
        return Store(host_path(task.params["directory"], "directory"), task.umid)
    files = list(given_files(task).values())
    if not files and is_running(task):
        files = [disk.where for disk in selection.choose(Snapshot.take(task.console), None, "/")]
    if not files:
        raise InputError(
            f"the snapshots of {task.umid!r} are beside its disks, and it does not run; set directory to the directory"
            " of its first disk",
            umid=task.umid,
        )
    return Store(os.path.dirname(files[0]), task.umid)


class Store:
    """The snapshots of one instance in a directory."""

    def __init__(self, directory: str, umid: str) -> None:
        self.folder = os.path.join(directory, f"{umid}.snapshots")
        self.umid = umid

    def rows(self) -> List[Row]:
        """Return what there is, the oldest first."""
        names = sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else []
        found = [row for row in map(self.find, names) if row is not None]
        return sorted(found, key=lambda row: row["time"])

    def find(self, name: str) -> Optional[Row]:
        """Return what a snapshot says of itself, or None when no snapshot has that name.

        :raises InputError: when that is damaged
        """
        path = os.path.join(self.folder, name, _MANIFEST)
        text = procfs.read_text(path) if _NAME.match(name) else ""
        if not text:
            return None
        try:
            row: Row = json.loads(text)
            return {**row, "current": row["name"] == self.current(), "path": os.path.dirname(path), "time": row["time"]}
        except (ValueError, KeyError, TypeError) as err:
            raise InputError(f"{path} does not say what the snapshot holds: {err!r}", path=path) from err

    def current(self) -> Optional[str]:
        """Return the name of the snapshot that the disks began with, or None."""
        return procfs.read_text(os.path.join(self.folder, _CURRENT)).strip() or None

    def set_current(self, name: Optional[str]) -> None:
        """Write down which snapshot the disks begin with from now on."""
        _write(os.path.join(self.folder, _CURRENT), f"{name or ''}\n")

    def part(self, name: str) -> str:
        """Return the directory for a snapshot that is not whole, without what a killed task left there."""
        part = os.path.join(self.folder, f".{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        return part

    def add(self, name: str, part: str, row: Row) -> None:
        """Let a directory with copies be a snapshot from now on."""
        text = {**row, "name": name, "umid": self.umid, "parent": self.current()}
        _write(os.path.join(part, _MANIFEST), json.dumps(text, indent=1, sort_keys=True) + "\n")
        try:
            os.rename(part, os.path.join(self.folder, name))
        except OSError as err:
            where = os.path.join(self.folder, name)
            raise Error(f"{where} cannot be made: {err.strerror}; no snapshot was taken", path=where) from err
        self.set_current(name)

    def remove(self, name: str) -> None:
        """Remove a snapshot; those that were taken after it get its parent."""
        row = self.find(name) or {}
        for child in self.rows():
            if child["parent"] == name:
                self._write_row({**child, "parent": row["parent"]})
        if self.current() == name:
            self.set_current(row["parent"])
        os.unlink(os.path.join(self.folder, name, _MANIFEST))  # no snapshot from here on, also if this task is killed
        shutil.rmtree(os.path.join(self.folder, name))
        if not self.rows():
            self._remove_folder()

    def _write_row(self, row: Row) -> None:
        own = {key: value for key, value in row.items() if key not in ("current", "path")}
        _write(os.path.join(row["path"], _MANIFEST), json.dumps(own, indent=1, sort_keys=True) + "\n")

    def _remove_folder(self) -> None:
        with contextlib.suppress(OSError):  # something else is in it
            if os.listdir(self.folder) == [_CURRENT]:
                os.unlink(os.path.join(self.folder, _CURRENT))
            os.rmdir(self.folder)


def files_of(row: Row) -> Sequence[str]:
    """Return the disk files that a snapshot was taken of."""
    return [disk["file"] for disk in row["disks"]]


def _write(path: str, text: str) -> None:
    """Write a file at once or not at all, for its owner alone."""
    draft = f"{path}.part"
    with open(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as out:
        out.write(text)
    os.replace(draft, path)
