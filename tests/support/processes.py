# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

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
    """List a session: an old kernel's helpers outlive its main process, and only the session shows whose they are."""
    return [process.pid for process in running() if process.session == session]


def with_text(text: str) -> list[int]:
    """List the processes whose command line holds a text."""
    return [process.pid for process in running() if text.encode() in b"\0".join(_arguments(process.pid))]


def descendants(pid: int) -> list[int]:
    """List a process and all that it started, also in other sessions."""
    parents = {process.pid: process.parent for process in running()}
    return [other for other in parents if pid in _ancestry(other, parents)]


def _ancestry(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """Yield a process, its parent, and so on."""
    while pid in parents:
        yield pid
        pid = parents[pid]


def of_command(argument: str) -> list[int]:
    """List the sessions in which a process was started with this argument."""
    found = {process.session for process in running() if argument.encode() in _arguments(process.pid)}
    return [pid for session in found for pid in of_session(session)]


def _arguments(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


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

    wait_until(gone, 60, lambda: f"{what} still runs: {find()}")


def stop(pid: int) -> None:
    """Stop a process as `kill -STOP` does, and return when it stands still: the signal takes its time."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _state(pid) == "T", 60, f"process {pid} stopped")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def of_user(name: str) -> list[int]:
    """List the processes of a test user, the sudo that it called included: userdel counts that too."""
    uid = pwd.getpwnam(name).pw_uid
    return [process.pid for process in running() if uid in _users(process.pid)]


def _users(pid: int) -> set[int]:
    """Return the real and the effective user of a process."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Uid:"):
                return {int(word) for word in line.split()[1:3]}
    return set()
