# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A consistent copy of a running instance's disks: write out, pause, copy, and always resume."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .._files import copying, cow_header
from .._files.copying import Copied
from .._guest.disk_sync import DiskSync
from .._guest.snapshot import Snapshot
from .._mconsole import procfs
from .._mconsole.errors import Error, InputError, UnverifiedError
from .._task.task import Task
from .selection import Disk
from .watchdog import ResumeWatchdog

_GRACE = 2.0  # seconds after which the instance is resumed by the guardian, if it is not by us
_QUIET = 1.0  # seconds for writes that are under way when the kernel stops
_POLL = 0.01
_LONGEST_POLL = 1.0
_WRITING = "RD"  # states of a process that may still be writing
_backing_files = threading.Lock()  # several instances share one, and it is copied once
Result = Dict[str, Any]


# The copy.


class Backup:
    """One backup of one instance: seconds for the guest to write out what it has, and for the pause at most."""

    def __init__(self, task: Task, chosen: Sequence[Disk], dest: str) -> None:
        self._task, self._chosen, self._dest = task, chosen, dest
        self._sync_time, self._max_pause = task.params["sync_timeout"], task.params["max_pause"]
        self._with_backing = task.params["backing"] == "copy"
        self._console = task.console
        self.synced = False
        self.pause = 0.0

    def run(self) -> List[Result]:
        """Return a row for each copy.

        :raises Error: when a copy is not whole, or not of one moment; then none is left, and the instance runs
        """
        made = _make_directories(self._dest)
        folder = tempfile.mkdtemp(prefix=".backup-", dir=self._dest)
        try:
            with ResumeWatchdog(self._console.path, folder, self._max_pause + _GRACE):
                copied = self._copy_paused(folder)
            rows = [self._finish(disk, how, folder) for disk, how in zip(self._chosen, copied)]
            put_in_place([(self._part(disk, folder), disk.target) for disk in self._chosen])
        except OSError as err:
            raise self._explained(err) from err
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            for path in made:
                with contextlib.suppress(OSError):
                    os.rmdir(path)  # goes only while it is empty
        return rows

    def _copy_paused(self, folder: str) -> List[Copied]:
        """Copy all disks in one pause; one that was paused already stays so, and has nothing written out."""
        if self._console.paused():
            return self._copy_all(folder, time.monotonic())
        self._sync()
        with self._paused():
            return self._copy_all(folder, time.monotonic())

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        """Pause the instance, and resume it also after an error."""
        began = time.monotonic()
        try:
            self._console.command("stop")
            yield
        finally:
            reply = self._console.request("go")
            self.pause = time.monotonic() - began
            if not reply.ok and reply.text != "Not stopped":
                self._task.warn(f"{self._task.umid} refused to be resumed: {reply.text}")

    def _check_paused(self) -> None:
        if self._console.paused() is False:
            raise UnverifiedError(
                f"{self._task.umid} was resumed while its disks were copied, so the copies were thrown away",
                umid=self._task.umid,
            )

    def _copy_all(self, folder: str, began: float) -> List[Copied]:
        """Copy all disks, again if a late write came in between: on a busy host a helper of the kernel may lag.

        :raises UnverifiedError: when another client resumed the instance meanwhile
        """
        deadline = began + self._max_pause
        while True:
            self._is_quiet(time.monotonic() + _QUIET)
            before = self._written()
            copied = [
                copying.copy(disk.where, self._part(disk, folder), deadline, disk.identities[0])
                for disk in self._chosen
            ]
            self._check_paused()
            if self._written() == before:
                return copied
            if time.monotonic() > deadline:
                raise copying.TooLateError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            for disk in self._chosen:
                os.unlink(self._part(disk, folder))

    def _written(self) -> List[int]:
        """Return when each disk's file was written to last, in nanoseconds."""
        return [os.stat(disk.where).st_mtime_ns for disk in self._chosen]

    def _part(self, disk: Disk, folder: str) -> str:
        return os.path.join(folder, os.path.basename(disk.target))

    def _sync(self) -> None:
        """Have the guest write out what it has; one that writes without pause is never done, and is not waited for.

        Its counters are at zero before the journal of a file system is written; until then some process works. And a
        journal that is written leaves blocks that wait for their own places, and for the next time.
        """
        sync, deadline, pause = DiskSync(self._console), time.monotonic() + self._sync_time, _POLL
        while not self.synced and time.monotonic() < deadline:
            sync.request()
            self.synced = self._is_quiet(deadline) and sync.is_done()
            time.sleep(0 if self.synced else pause)
            pause = min(2 * pause, _LONGEST_POLL)

    def _is_quiet(self, deadline: float) -> bool:
        """Wait until no process of the instance works any more: what was handed to a helper is written then."""
        members = Snapshot.take(self._console).members()
        quiet = 0
        while quiet < 2 and time.monotonic() < deadline:
            quiet = quiet + 1 if _rests(members) else 0
            time.sleep(_POLL)
        return quiet >= 2

    def _finish(self, disk: Disk, how: Copied, folder: str) -> Result:
        """Force a copy to the disk, with its backing file if that is wanted, and return its row."""
        part, backing = self._part(disk, folder), disk.backing_where
        if backing and self._with_backing:
            backing = _copy_backing(backing, self._dest, disk.identities[1])
            cow_header.point_to(part, backing)
        copying.fsync_file(part)
        row = {"device": disk.name, "file": disk.file, "source": disk.where, "path": disk.target}
        return {**row, "backing_file": backing or None, **how._asdict()}

    def _explained(self, err: OSError) -> Error:
        facts = {"umid": self._task.umid, "path": err.filename or self._dest, "pause": round(self.pause, 3)}
        if isinstance(err, copying.TooLateError):
            return Error(
                f"the copy of {self._task.umid} was not done within max_pause, {self._max_pause:g} s; it was given up,"
                " and the instance runs on",
                **facts,
            )
        text = f"the copy of {self._task.umid} into {self._dest} failed: {err.strerror}; nothing of it is left"
        return Error(text, **facts)


def put_in_place(pairs: Sequence[Tuple[str, str]]) -> None:
    """Rename each (part, target): all of them, or none; the files that were at the targets are back then.

    :raises OSError: when one cannot be renamed
    """
    kept: List[Tuple[str, Optional[str]]] = []
    try:
        for part, target in pairs:
            old = f"{part}.old" if os.path.lexists(target) else None
            if old is not None:
                os.link(target, old, follow_symlinks=False)
            kept.append((target, old))
            os.replace(part, target)
    except OSError:
        for target, old in reversed(kept):
            with contextlib.suppress(FileNotFoundError):
                os.replace(old, target) if old is not None else os.unlink(target)
        raise


def _rests(members: Sequence[int]) -> bool:
    """Return whether there was a moment in which none of the processes worked.

    Kernel and helper wake each other in turn, so that each may be seen asleep while the other works: what they did
    between two looks shows in their counters.
    """
    first, second = ([procfs.activity(pid) for pid in members] for _look in range(2))
    return first == second and not any(state in _WRITING for found in first for state, _count in found.values())


def _make_directories(path: str) -> List[str]:
    """Make a directory and those above it, for their owner alone, and return those that were not there, lowest first.

    :raises InputError: when it cannot be made
    """
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass  # another instance's backup was faster
        except OSError as err:
            raise InputError(f"the directory {folder} cannot be made: {err.strerror}", path=folder) from err
    return missing


def _copy_backing(source: str, dest: str, known: copying.FileId) -> str:
    """Return the copy of a backing file, made unless it is there: while a COW file uses it, it does not change."""
    target = os.path.join(dest, os.path.basename(source))
    with _backing_files:
        found = os.stat(source)
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(target)
            if (there.st_size, int(there.st_mtime)) == (found.st_size, int(found.st_mtime)):
                return target
            raise InputError(f"{target} already exists and is not a copy of the backing file {source}", path=target)
        part = f"{target}.part"
        try:
            copying.copy(source, part, float("inf"), known)
            copying.fsync_file(part)
            os.replace(part, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
    return target
