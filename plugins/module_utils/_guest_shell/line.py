# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The VM host's end of a line: one user at a time, bytes out and in, each wait with a deadline."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import stat
import termios
import time
import tty
from typing import Callable, Iterator, List, Optional, Pattern, Sequence

from .._mconsole import instances, procfs
from .._mconsole.errors import NotAllowedError, NotThereError, UnansweredError

_POLL = 0.05
_FIRST_NUDGE = 0.03
_LAST_NUDGE = 1.0
_PART = 1 << 16
_KEPT = 1 << 18  # bytes of what was said that are kept to look for something in
_STUB = "BLOB"


class Gone(Exception):
    """The other end is closed: what ran there has been hung up."""


class Line:
    """One open end of a line.

    ``path`` is the pseudo-terminal, ``name`` is the line, and ``nudge`` makes something happen to the kernel. Output
    of the guest is lost while no process has the line open.
    """

    def __init__(self, umid: str, name: str, path: str, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        self.umid, self.name, self.path = umid, name, path
        self._descriptor = _open(path, umid)
        self._said = b""

    def close(self) -> None:
        """Let go of the line: with the last one who has it open, the guest's end is hung up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._nudge()  # a kernel may forget to look, and the guest's end stays open then
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        """Return the open descriptor, for someone who copies bytes."""
        return self._descriptor

    @contextlib.contextmanager
    def alone(self, deadline: float) -> Iterator[None]:
        """Hold the line alone, as :meth:`take`."""
        self.take(deadline)
        try:
            yield
        finally:
            if self._descriptor >= 0:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def take(self, deadline: float) -> None:
        """Hold the line alone, until it is closed.

        :raises UnansweredError: when another still uses it at the deadline
        """
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() > deadline:
                raise UnansweredError(
                    f"{self.name} of {self.umid} is in use by {_holder(self._descriptor)}; nothing was sent",
                    umid=self.umid,
                    sent=False,
                )
            time.sleep(_POLL)

    def is_gone(self) -> bool:
        """Return whether the guest has closed its end, or has ended."""
        poller = select.poll()
        poller.register(self._descriptor, 0)
        return bool(poller.poll(0))

    def send(self, data: bytes, deadline: float) -> None:
        """Write bytes.

        :raises Gone: when the other end is closed
        :raises UnansweredError: when they are not taken in time
        """
        while data:
            _readable, writable, _odd = select.select([], [self._descriptor], [], _left(deadline))
            if not writable:
                raise UnansweredError(f"{self.name} of {self.umid} takes nothing", umid=self.umid)
            with _gone(), contextlib.suppress(BlockingIOError):  # the terminal is full again
                data = data[os.write(self._descriptor, data) :]

    def hear(self, deadline: float) -> bytes:
        """Return what the guest says next; nothing when it says nothing in time.

        Sometimes a kernel forgets that it has more to write, until anything else happens to it (measured: once
        in a megabyte, on 6.1, 6.12 and 7.2). So it gets nudged while it is silent.

        :raises Gone: when the other end is closed
        """
        pause = _FIRST_NUDGE
        while True:
            if select.select([self._descriptor], [], [], min(_left(deadline), pause))[0]:
                found = self._read()
                if found:
                    return found
            elif time.monotonic() < deadline:
                self._nudge()
                pause = min(pause * 2, _LAST_NUDGE)
            if time.monotonic() >= deadline:
                return b""

    def _read(self) -> bytes:
        """Return what is there; nothing when the terminal was readable and has nothing after all, as it can be."""
        with _gone(), contextlib.suppress(BlockingIOError):
            found = os.read(self._descriptor, _PART)
            if not found:
                raise Gone
            return found
        return b""

    def forget(self) -> None:
        """Drop what was said so far."""
        self._said = b""

    def expect(self, pattern: Pattern[bytes], deadline: float) -> Optional[re.Match[bytes]]:
        """Return the first match in what was said since the last one; None when it does not come in time.

        :raises Gone: when the other end is closed
        """
        goes_on = True
        while True:
            match = pattern.search(self._said)
            if match is not None:
                self._said = self._said[match.end() :]
                return match
            if not goes_on:
                return None
            goes_on = self.listen(deadline)

    def listen(self, deadline: float) -> bool:
        """Keep what the guest says next; False when it says nothing in time, or the time was over before.

        A guest that says more than we can read is heard only once more then.
        """
        is_late = time.monotonic() >= deadline
        more = self.hear(deadline)
        self._said = (self._said + more)[-_KEPT:]
        return bool(more) and not is_late

    def expect_or_prompt(self, pattern: Pattern[bytes], prompts: Sequence[Pattern[bytes]], deadline: float) -> bool:
        """Return whether a pattern came, and stop as well when what was said ends with one of the prompts."""
        goes_on = True
        while True:
            if pattern.search(self._said):
                return self.expect(pattern, deadline) is not None
            if any(prompt.search(self._said) for prompt in prompts) or not goes_on:
                return False
            goes_on = self.listen(deadline)

    def exactly(self, count: int, deadline: float) -> bytes:
        """Return the next ``count`` bytes, or as many as come in time."""
        while len(self._said) < count:
            more = self.hear(deadline)
            if not more:
                break
            self._said += more
        found, self._said = self._said[:count], self._said[count:]
        return found

    @property
    def last_words(self) -> str:
        """Return the end of what was said, for a message."""
        return self._said[-200:].decode("utf-8", "replace")

    @property
    def said(self) -> bytes:
        """Return what was said and is not used yet."""
        return self._said


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    """Turn what the host says of a line that is hung up into one error."""
    try:
        yield
    except OSError as err:
        if err.errno in (errno.EIO, errno.ENXIO, errno.ENOTTY):
            raise Gone from err
        raise


def _open(path: str, umid: str) -> int:
    """Open a pseudo-terminal so that it hands bytes on as they are, and does not become this process's own."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as err:
        raise NotAllowedError(f"not allowed to use {path}, a line of {umid}: become its owner", umid=umid) from err
    except OSError as err:
        raise Gone from err
    try:
        if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
            raise NotThereError(f"{path}, a line of {umid}, is not a terminal", umid=umid)
        with _gone():
            tty.setraw(descriptor, termios.TCSANOW)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _holder(descriptor: int) -> str:
    """Return who holds the lock of a line, as far as the VM host says (proc_locks(5))."""
    found = os.fstat(descriptor)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for words in map(str.split, procfs.read_text("/proc/locks").splitlines()):
        if "->" not in words and "FLOCK" in words and place in words:
            return _person(int(words[4]))
    return "someone else"


def _person(pid: int) -> str:
    if pid == os.getpid():
        return "another task of this connection"
    uid = instances.uid_of(pid)
    user = f" of {instances.user_name(uid)}" if uid is not None else ""
    return f"process {pid}{user} ({_program(procfs.argv(pid))})"


def _program(argv: List[str]) -> str:
    """Return what a process is; ours says it behind its program, which is long."""
    ours = [word for word in argv if word.startswith("uml.mconsole ")]
    if ours:
        return ours[0]
    return "a local client of uml.mconsole" if any(_STUB in word for word in argv) else " ".join(argv)[:80]
