# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line without a kernel: a shell of this machine at its own terminal, and what lies between it and the line.

An instance copies bytes between its pseudo-terminal of the VM host and the terminal of the guest. A thread does that
here, and it can drop, change and add bytes.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import tty
from collections.abc import Callable

Change = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    """Return bytes as they are."""
    return data


class FakeLine:
    """A line; ``path`` is the pseudo-terminal of the VM host, ``inward`` and ``outward`` change what passes."""

    def __init__(
        self, words: tuple[str, ...] = ("/bin/sh", "-i"), inward: Change = same, outward: Change = same
    ) -> None:
        self.inward, self.outward = inward, outward
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._guest, inside = pty.openpty()
        self.process = subprocess.Popen(
            words,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that ctrl-c reaches it
            env={"PATH": os.environ["PATH"], "HOME": "/", "PS1": "# "},
        )
        os.close(inside)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeLine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()
        for descriptor in (self._guest, self._master, self._slave):  # the first hangs up the shell
            os.close(descriptor)
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def say(self, data: bytes) -> None:
        """Have the line say something that is not the shell's, as the guest's kernel does."""
        os.write(self._master, data)

    def _copy(self) -> None:
        ways = {self._master: (self._guest, "inward"), self._guest: (self._master, "outward")}
        while not self._ended.is_set():
            for source in select.select(list(ways), [], [], 0.05)[0]:
                target, change = ways[source]
                try:
                    data = os.read(source, 1024)
                    self._write(target, getattr(self, change)(data))
                except OSError:  # the shell has ended
                    return

    def _write(self, target: int, data: bytes) -> None:
        """Write bytes as far as they are taken before the end."""
        while data and not self._ended.is_set():
            if select.select([], [target], [], 0.05)[1]:
                data = data[os.write(target, data[:256]) :]
