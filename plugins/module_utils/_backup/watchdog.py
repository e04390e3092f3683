# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Resume a paused instance when the process that paused it cannot: killed, stopped, or stuck in a file system.

A child in a new session waits for a byte. It sends ``go`` when its pipe ends without a byte, or when the time is over,
and removes unfinished files.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Optional, Type

from .._mconsole.errors import NotThereError, UnansweredError
from .._mconsole.wire import Request

# The kernel answers to the address that the request came from; an abstract one leaves nothing behind.
_GUARD = """
import json, os, select, shutil, socket
with open(0, "rb", buffering=0, closefd=False) as stream:
    console, folder, seconds, request = json.loads(stream.readline())
os.write(1, b".")
told = select.select([0], [], [], float(seconds))[0] and os.read(0, 1)
if not told:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")
        sock.settimeout(5)
        sock.sendto(bytes.fromhex(request), console)
        try:
            sock.recv(1024)
        except OSError:
            pass
    if select.select([0], [], [], 0)[0]:
        shutil.rmtree(folder, ignore_errors=True)
"""


class ResumeWatchdog:
    """The child; it ends without a ``go`` when the ``with`` block is left."""

    def __init__(self, console: str, folder: str, seconds: float) -> None:
        request = Request("go").to_bytes().hex()
        self._order = json.dumps([console, folder, seconds, request]).encode("ascii") + b"\n"
        self._child: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> ResumeWatchdog:
        """Start it, before anything is paused.

        :raises NotThereError: when it does not run
        """
        self._child = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable or "python3", "-I", "-S", "-c", _GUARD],  # ps does not show the order on stdin
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        if not self._stands_by(self._child):
            self._end(b"")
            raise NotThereError("the process that would resume the instance if this one died could not be started")
        return self

    def _stands_by(self, child: subprocess.Popen[bytes]) -> bool:
        """Send the order to the child; return whether the child has accepted it."""
        if child.stdin is None or child.stdout is None:
            return False
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(self._order)
            child.stdin.flush()
        return child.stdout.read(1) == b"."

    def __exit__(self, kind: Optional[Type[BaseException]], *_exception: object) -> None:
        """Let it go; where the instance did not answer us, it tries once more."""
        self._end(b"" if kind is not None and issubclass(kind, UnansweredError) else b".")

    def _end(self, word: bytes) -> None:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            return
        try:
            child.stdin.write(word)
            child.stdin.close()
        except OSError:
            pass  # it has ended, because the time was over
        child.stdout.close()
        child.wait()
