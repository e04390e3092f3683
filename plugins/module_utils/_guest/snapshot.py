# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One look at an instance: what its console, its guest's files and the VM host's /proc show, each asked once."""

from __future__ import annotations

import os
import re
import stat
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from .._mconsole import instances, parsing, procfs
from .._mconsole.console import Console
from .._mconsole.dangers import DangerContext
from .._mconsole.wire import Reply

FileId = Tuple[int, int]  # st_dev, st_ino

UNKNOWN_CLASS = "Bad configuration option"
_PATIENCE = 3.0  # seconds to wait for a class; con and ssl come 30-550 ms after the console
_LATE = ("config con", "config ssl")
_POLL = 0.02


class OpenFile(NamedTuple):
    """One descriptor of the instance's process: its number, its open flags, and whether it holds a lock on the file."""

    number: int
    flags: int
    locked: bool


class Snapshot(DangerContext):
    """One instance as it is now. The snapshot keeps its answers, so a new look needs a new object.

    The guest's files are out of sight while the instance is paused, because reading them can freeze it.
    """

    def __init__(self, console: Console) -> None:
        self.umid = console.umid
        self._console = console
        self._replies: Dict[str, Reply] = {}
        self._files: Dict[str, Optional[str]] = {}
        self._descriptors: Optional[Dict[FileId, OpenFile]] = None
        self._members: Optional[List[int]] = None
        self.guest_unreadable = bool(console.paused())

    @classmethod
    def take(cls, console: Console) -> Snapshot:
        """Return a snapshot of an instance; while its kernel boots, wait until it has its disk driver (up to 10 s)."""
        snapshot = cls(console)
        snapshot.wait_for_drivers()
        return snapshot

    # What the console and the guest show.

    def paused(self) -> Optional[bool]:
        """Return whether the instance was paused when it was looked at."""
        return self.guest_unreadable

    def drives_disks(self) -> bool:
        """Return whether the guest's disk driver is there."""
        return self._console.drives_disks()

    def release(self) -> str:
        """Return the kernel's release, such as ``6.1.176``."""
        return parsing.release(self.ask("version") or "")

    def series(self) -> Tuple[int, int]:
        """Return the kernel's series, such as (6, 12); (0, 0) when it is not known."""
        match = re.match(r"(\d+)\.(\d+)", self.release())
        return (int(match[1]), int(match[2])) if match else (0, 0)

    def ask(self, text: str) -> Optional[str]:
        """Return the text that answers a query, or None when the kernel said no."""
        reply = self.reply(text)
        return reply.text if reply.ok else None

    def reply(self, text: str) -> Reply:
        """Return the whole answer to a query; a class that is not known yet is waited for while the guest boots."""
        if text not in self._replies:
            deadline = time.monotonic() + _PATIENCE
            reply = self._console.request(text)
            late = text.startswith(_LATE)
            while late and reply.text == UNKNOWN_CLASS and self._console.is_young and time.monotonic() < deadline:
                time.sleep(_POLL)
                reply = self._console.request(text)
            self._replies[text] = reply
        return self._replies[text]

    def proc(self, path: str) -> Optional[str]:
        """Return a file of the guest's /proc (``1/root/...`` is any file), or None when it is out of sight."""
        if path not in self._files:
            self._files[path] = None if self.guest_unreadable else self._console.proc(path)
        return self._files[path]

    def attribute(self, path: str) -> Optional[str]:
        """Return a file of the guest's /sys without its newline, or None."""
        text = self.proc(f"1/root/sys/{path}")
        return None if text is None else text.strip("\n")

    def wait_for_drivers(self) -> None:
        """Wait until a kernel that may still boot has its disk driver, one of the last that it gets."""
        if self.guest_unreadable or not self._console.is_young or self._console.has_disk_driver():
            return
        while self._console.is_young and not self.drives_disks():
            if self._console.request("config ubd0").text == UNKNOWN_CLASS:
                return
            time.sleep(_POLL)

    # What the VM host shows.

    @property
    def pid(self) -> Optional[int]:
        """Return the instance's main process, or None."""
        return self._console.pid()

    def host_path(self, path: str) -> Optional[str]:
        """Return where this process finds what the instance calls ``path``, or None when that cannot be seen.

        Relative paths start at the instance's working directory; this process reads a
        separate root or mount namespace through /proc.
        """
        pid = self.pid
        cwd = procfs.link(f"/proc/{pid}/cwd")
        if pid is None or cwd is None or "\0" in path:
            return None
        root = "" if _same_namespace(pid) else f"/proc/{pid}/root"
        return root + os.path.join(cwd, path)

    def stat(self, path: str) -> Optional[os.stat_result]:
        """Return the stat of what the instance calls ``path``, or None when it is out of this user's sight.

        :raises FileNotFoundError: when there is no such file
        """
        where = self.host_path(path)
        if where is None:
            return None
        try:
            return os.stat(where)
        except NotADirectoryError as err:
            raise FileNotFoundError(*err.args) from None
        except OSError as err:
            if isinstance(err, FileNotFoundError):
                raise
            return None

    def real_path(self, path: str) -> str:
        """Return the one name of a file however it is spelled; the spelling itself where it cannot be seen."""
        where = self.host_path(path)
        return path if where is None else os.path.realpath(where)

    def opened(self, path: str) -> Optional[OpenFile]:
        """Return the instance's descriptor of a file or block device, or None when it has none or it cannot be seen."""
        try:
            found = self.stat(path)
        except FileNotFoundError:
            return None
        if found is None or stat.S_ISCHR(found.st_mode):  # such as /dev/null, which every process has open
            return None
        return self._opened().get((found.st_dev, found.st_ino))

    def has_open(self, identity: FileId) -> bool:
        """Return whether the instance has a file open, under any name."""
        return identity in self._opened()

    def _opened(self) -> Dict[FileId, OpenFile]:
        if self._descriptors is None:
            self._descriptors = _descriptors(self.pid)
        return self._descriptors

    def has_descriptor(self, number: int) -> Optional[bool]:
        """Return whether the instance has a descriptor of that number; None when it cannot be seen."""
        if not os.access(f"/proc/{self.pid}/fd", os.X_OK | os.R_OK):
            return None
        return os.path.lexists(f"/proc/{self.pid}/fd/{number}")

    def members(self) -> List[int]:
        """Return the processes that share the main one's files: itself and its helpers."""
        if self._members is None:
            pid = self.pid
            self._members = [] if pid is None else sorted({pid, *instances.members(pid)})
        return self._members

    def descriptor_numbers(self) -> List[int]:
        """Return the numbers of the instance's descriptors; empty when they cannot be seen."""
        pid = self.pid
        return [] if pid is None else _numbers(pid)

    def links(self) -> List[str]:
        """Return what the instance's descriptors point to."""
        return [procfs.link(f"/proc/{self.pid}/fd/{number}") or "" for number in self.descriptor_numbers()]

    def uid(self) -> Optional[int]:
        """Return the user that the instance runs as, or None."""
        try:
            return os.stat(f"/proc/{self.pid}").st_uid
        except OSError:
            return None

    def host_interfaces(self) -> Optional[List[str]]:
        """Return the VM host's network interfaces in the instance's network namespace; None when out of sight."""
        lines = procfs.read_text(f"/proc/{self.pid}/net/dev").splitlines()[2:]
        return [line.partition(":")[0].strip() for line in lines] or None

    def environment(self) -> Dict[str, str]:
        """Return the instance's environment at its start; empty when it cannot be seen."""
        return procfs.environ(self.pid) if self.pid is not None else {}


def _same_namespace(pid: int) -> bool:
    """Return whether a process sees the same files under the same names as this one."""
    mine, its = procfs.link("/proc/self/ns/mnt"), procfs.link(f"/proc/{pid}/ns/mnt")
    return mine == its and procfs.link(f"/proc/{pid}/root") == "/"


def _descriptors(pid: Optional[int]) -> Dict[FileId, OpenFile]:
    """Return the files that a process has open; the first descriptor of each."""
    found: Dict[FileId, OpenFile] = {}
    if pid is None:
        return found
    for number in _numbers(pid):
        path = f"/proc/{pid}/fd/{number}"
        try:
            status = os.stat(path)
        except OSError:
            continue
        locked = "\nlock:" in procfs.read_text(f"/proc/{pid}/fdinfo/{number}")
        flags = procfs.descriptor_flags(pid, number) or 0
        found.setdefault((status.st_dev, status.st_ino), OpenFile(number, flags, locked))
    return found


def _numbers(pid: int) -> List[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return []
