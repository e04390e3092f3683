"""Processes read from /proc and ended by their own number, session or mark: never by name."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from support.wait import wait_until


class Process(NamedTuple):
    """What /proc says of one process."""

    pid: int
    parent: int
    session: int


def running() -> Iterator[Process]:
    """Yield every process of the machine that still runs; a zombie runs no more."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, *numbers = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                yield Process(int(entry), int(numbers[0]), int(numbers[2]))


def of_session(session: int) -> list[int]:
    """List a session: an old kernel's helpers outlive its main process, and only the session tells whose they are."""
    return [process.pid for process in running() if process.session == session]


def descendants(pid: int) -> list[int]:
    """List a process and all that it started, sessions of their own or not."""
    parents = {process.pid: process.parent for process in running()}
    return [other for other in parents if pid in _ancestry(other, parents)]


def _ancestry(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """Yield a process, its parent, and so on."""
    while pid in parents:
        yield pid
        pid = parents[pid]


def marked(mark: str) -> list[int]:
    """List the processes whose environment holds `NAME=value`: it follows a program that detached itself."""
    return [process.pid for process in running() if mark.encode() in _environment(process.pid)]


def _environment(pid: int) -> list[bytes]:
    """Return the environment a process was started with."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def kill_all(find: Callable[[], list[int]], what: str) -> None:
    """Kill until nothing is found any more: a process may fork while it is being looked for."""

    def gone() -> bool:
        found = find()
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    wait_until(gone, 20, lambda: f"{what} still runs: {find()}")


def of_user(name: str) -> list[int]:
    """List the processes of a test user."""
    uid = pwd.getpwnam(name).pw_uid
    return [process.pid for process in running() if _owner(process.pid) == uid]


def _owner(pid: int) -> int | None:
    """Return the user a process runs as."""
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid
    return None
