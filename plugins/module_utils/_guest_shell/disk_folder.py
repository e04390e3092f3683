# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A folder of the guest whose large files take a disk that is there for the moment, and whose small ones the line."""

from __future__ import annotations

import os
import time
from typing import BinaryIO, Optional

from .._mconsole.console import Console
from .._mconsole.errors import DangerError, Error, RefusedError
from .folders import GuestFolder
from .talk import Talk
from .transfer_disk import HEAD, TransferDisk

SMALL = 1 << 18  # bytes up to which the line is as fast: a disk takes some tenths of a second
_MAJOR, _MINORS = 98, 16  # of ubd (linux arch/um/drivers/ubd_kern.c)
_SEEN = 10.0  # seconds until a guest has the device of a new disk
_POLL = 0.05


class _NoDisk(Error):
    """The guest does not use the disk."""


_REFUSED = (DangerError, RefusedError, _NoDisk)  # then the line is left


class DiskFolder(GuestFolder):
    """A folder of the guest's own, and disks for what is large; ``is_strict`` is whether the line may not stand in."""

    way = "disk"

    def __init__(self, talk: Talk, console: Console, uid: int, is_strict: bool) -> None:
        super().__init__(talk)
        self._console, self._uid, self._is_strict = console, uid, is_strict
        self._works = True

    @classmethod
    def beside(
        cls, folder: GuestFolder, console: Console, uid: int, is_strict: bool, deadline: float
    ) -> Optional[GuestFolder]:
        """Return a folder with disks in place of a plain one, or None when the guest's user is not root."""
        talk = folder.talk
        number = talk.next()
        user = talk.ask(f'echo "@$S u {number} $(id -u 2>/dev/null)"', f"u {number} ?([0-9]*)", deadline)
        return cls(talk, console, uid, is_strict) if user.group(1) == b"0" else None

    def put(self, name: str, stream: BinaryIO, deadline: float) -> None:
        """Write a file that was not there."""
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if not self._takes(size):
            return super().put(name, stream, deadline)
        try:
            self._put(name, stream, size, deadline)
        except _REFUSED:
            self._works = False
            if self._is_strict:
                raise
            stream.seek(0)
            self._forget(name, deadline)
            super().put(name, stream, deadline)

    def take(self, name: str, size: int, most: int, deadline: float) -> BinaryIO:
        """Return what a command wrote to a file."""
        size = min(size, most)
        if not self._takes(size):
            return super().take(name, size, most, deadline)
        try:
            return self._take(name, size, deadline)
        except _REFUSED:
            self._works = False
            if self._is_strict:
                raise
            return super().take(name, size, most, deadline)

    def _takes(self, size: int) -> bool:
        return size > SMALL and (self._works or self._is_strict)

    def _forget(self, name: str, deadline: float) -> None:
        """Remove what has come of a file so far, because the line appends to it."""
        number = self.talk.next()
        self.talk.ask(f'rm -f {name};echo "@$S d {number}"', f"d {number}", deadline)

    def _put(self, name: str, stream: BinaryIO, size: int, deadline: float) -> None:
        with TransferDisk(self._console, self._uid, size) as disk:
            disk.plug(stream)
            self._see(disk)
            self._do(f"dd if=$D bs={HEAD} skip=1 2>/dev/null|head -c {size} >{name}", deadline)
            disk.unplug()

    def _take(self, name: str, size: int, deadline: float) -> BinaryIO:
        with TransferDisk(self._console, self._uid, size) as disk:
            disk.plug(None)
            self._see(disk)
            self._do(f"dd if={name} of=$D bs={HEAD} seek=1 conv=notrunc,fsync 2>/dev/null", deadline)
            disk.unplug()
            return disk.data()

    def _see(self, disk: TransferDisk) -> None:
        """Wait until the guest reads the token of a disk; a guest without devtmpfs gets a device in its folder.

        :raises _NoDisk: when it never does
        """
        node = f"{{ D=./.d;rm -f .d;mknod .d b {_MAJOR} {disk.unit * _MINORS}; }} 2>/dev/null"
        find = f"D=/dev/ubd{disk.letter};[ -b $D ]||{node};t=$(head -c {len(disk.token)} $D 2>/dev/null)"
        until = time.monotonic() + _SEEN
        while time.monotonic() < until:
            number = self.talk.next()
            said = self.talk.ask(f'{find};echo "@$S t {number} $t"', f"t {number} ?([0-9a-f]*)", until + _SEEN)
            if said.group(1).decode() == disk.token:
                return
            time.sleep(_POLL)
        raise _NoDisk(f"the guest of {self._console.umid} does not show the disk ubd{disk.letter}")

    def _do(self, command: str, deadline: float) -> None:
        """Run a command of the reader once, although the request may be repeated.

        :raises _NoDisk: when it fails
        """
        number = self.talk.next()
        once = f'[ {number} -gt $P ]&&{{ P={number};{command};r=$?; }};echo "@$S c {number} $r"'
        status = self.talk.ask(once, f"c {number} ([0-9]+)", deadline).group(1)
        if status != b"0":
            raise _NoDisk(f"the guest of {self._console.umid} cannot copy by a disk: is its file system full?")
