# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A disk that is there for one transfer: a file of the VM host that the console gives to the guest, and takes back.

The guest is not trusted: the file is in a private folder of the instance's user, and is read by what it is. A process
beside us takes the disk back when we die.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import BinaryIO, Iterator, Optional, Tuple, Type

from .._mconsole.console import Console
from .._mconsole.errors import RefusedError
from .._mconsole.wire import Request
from . import mailbox
from .mailbox import Mailbox

HEAD = 1 << 16  # bytes before the data: a token, and what keeps the kernel from taking the data for partitions
_UNITS = range(15, 0, -1)
_NAME = "disk"
_BUSY = 5.0  # seconds in which the guest lets go of a disk, for example udev of what it has looked at
_POLL = 0.05

# Takes the disk back after our death, if it is still ours; a guest may have it open for a while.
_KEEPER = """
import json, os, socket, time
with open(0, "rb", buffering=0, closefd=False) as stream:
    console, path, config, remove = json.loads(stream.readline())
os.write(1, b".")
told, end = os.read(0, 1), time.monotonic() + 300
def ask(request):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")
        sock.settimeout(5)
        try:
            sock.connect(console)
            sock.send(bytes.fromhex(request))
            return sock.recv(1024)
        except OSError:
            return b""
while not told and time.monotonic() < end and path.encode() in ask(config) and any(ask(remove)[:4] or b"."):
    time.sleep(0.3)
"""


class TransferDisk:
    """One disk of a guest, whose file has room for ``size`` bytes of data; in a ``with`` block."""

    def __init__(self, console: Console, uid: int, size: int) -> None:
        self._console, self._size = console, size
        self._mailbox = Mailbox(uid)
        self._path = os.path.join(self._mailbox.path, _NAME)
        self._keeper: Optional[subprocess.Popen[bytes]] = None
        self.unit = 0
        self.token = self._mailbox.token

    def __enter__(self) -> TransferDisk:
        """Return it; the guest does not have it yet."""
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_exception: object) -> None:
        """Remove the file; a disk that the guest still has is left to the keeper."""
        self._release(b"")
        self._mailbox.close()

    @property
    def letter(self) -> str:
        """Return the letter that the guest calls the disk by."""
        return chr(ord("a") + self.unit)

    def plug(self, data: Optional[BinaryIO]) -> None:
        """Give the guest the disk, with data on it or empty.

        :raises RefusedError: when the instance takes no disk
        """
        with self._mailbox.new(_NAME) as stream:
            stream.write(self.token.encode().ljust(HEAD, b"\0"))
            if data is not None:
                shutil.copyfileobj(data, stream)
            stream.truncate(HEAD + -(-self._size // HEAD) * HEAD)
        for unit in _free(self._console):
            self._keeper, self.unit = self._keep(unit), unit
            try:
                self._console.command(f"config ubd{unit}={self._path}")
                return
            except RefusedError as err:
                self._release(b".")
                if err.facts.get("err") != -errno.EBUSY:  # that is: another has taken the unit meanwhile
                    raise
        raise RefusedError(f"{self._console.umid} has no free unit for the disk of a transfer", umid=self._console.umid)

    def unplug(self) -> None:
        """Take the disk back; where the guest does not let go of it, that is left to the keeper."""
        deadline = time.monotonic() + _BUSY
        while time.monotonic() < deadline:
            with contextlib.suppress(RefusedError):
                self._console.command(f"remove ubd{self.unit}")
                self._release(b".")
                return
            time.sleep(_POLL)
        self._release(b"")

    def data(self) -> BinaryIO:
        """Return a copy of what the guest has written."""
        target: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        with self._mailbox.open(_NAME) as stream:
            stream.seek(HEAD)
            shutil.copyfileobj(stream, target)
        target.truncate(self._size)
        target.seek(0)
        return target

    def _keep(self, unit: int) -> subprocess.Popen[bytes]:
        """Start the process that takes the disk back after our death, also after SIGKILL."""
        child = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable or "python3", "-I", "-S", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        requests = [Request(f"{word} ubd{unit}").to_bytes().hex() for word in ("config", "remove")]
        order = json.dumps([self._console.path, self._path, *requests])
        if child.stdin is not None and child.stdout is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(f"{order}\n".encode())
                child.stdin.flush()
            child.stdout.read(1)
        return child

    def _release(self, word: bytes) -> None:
        """Let the keeper go; without a word it takes the disk back, which may last."""
        child, self._keeper = self._keeper, None
        if child is None or child.stdin is None or child.stdout is None:
            return
        with contextlib.suppress(OSError):
            child.stdin.write(word)
            child.stdin.close()
        child.stdout.close()
        if word:
            child.wait()
        else:
            threading.Thread(target=child.wait, daemon=True).start()


def _free(console: Console) -> Iterator[int]:
    """Yield the units that are not in use; take back the disks of transfers whose process and keeper were killed."""
    for unit, config in _units(console):
        if not config:
            yield unit
        elif mailbox.is_left_behind(os.path.dirname(config)):
            with contextlib.suppress(RefusedError):
                console.command(f"remove ubd{unit}")
                yield unit


def _units(console: Console) -> Iterator[Tuple[int, str]]:
    for unit in _UNITS:
        yield unit, (console.ask(f"config ubd{unit}") or "").strip()
