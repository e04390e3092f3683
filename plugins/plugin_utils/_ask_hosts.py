# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask many VM hosts side by side, each in its own process that ends at a deadline.

A connection plugin cannot be interrupted, so each has a process: when its time is over, the process is killed together
with the ssh that it waits for. A process has no terminal, so that ssh does not ask for a password in the background.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import connection
from typing import Any, NamedTuple

from ansible.errors import AnsibleError
from ansible.utils.multiprocessing import context

_FAREWELL = 2.0  # seconds that a process has to end by itself
Job = Callable[[], dict[str, Any]]


class Answer(NamedTuple):
    """The answer of a VM host, or one sentence that says why there is no answer."""

    result: dict[str, Any]
    error: str = ""


class _Asked(NamedTuple):
    """A process at work: the end of the pipe that it answers through, and when its time is over (monotonic)."""

    process: Any
    pipe: connection.Connection
    deadline: float


def ask(jobs: Mapping[str, Job], forks: int, timeout: float) -> dict[str, Answer]:
    """Return what each job answered, at most ``forks`` at a time, each given ``timeout`` seconds from its start."""
    waiting = list(reversed(list(jobs)))
    answers: dict[str, Answer] = {}
    with _running() as running:
        while waiting or running:
            while waiting and len(running) < forks:
                name = waiting.pop()
                running[name] = _start(jobs[name], timeout)
            answers.update(_collect(running, timeout))
    return {name: answers[name] for name in jobs}


@contextlib.contextmanager
def _running() -> Iterator[dict[str, _Asked]]:
    """Yield the register of what runs; end what is left in it when the user interrupts."""
    running: dict[str, _Asked] = {}
    try:
        yield running
    finally:
        for asked in running.values():
            _end(asked)


def _start(job: Job, timeout: float) -> _Asked:
    pipe, writer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, writer), daemon=True)
    process.start()
    writer.close()  # so that the pipe ends with the process
    return _Asked(process, pipe, time.monotonic() + timeout)


def _work(job: Job, writer: connection.Connection) -> None:
    """Run a job in its own process."""
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        answer = Answer(job())
    except AnsibleError as err:
        answer = Answer({}, str(err))
    except Exception as err:
        answer = Answer({}, f"a bug of the collection: {type(err).__name__}: {err}")
    writer.send(tuple(answer))


def _collect(running: dict[str, _Asked], timeout: float) -> dict[str, Answer]:
    """Wait for the next answer or deadline and return what is there, taken out of the register."""
    patience = min(asked.deadline for asked in running.values()) - time.monotonic()
    ready = connection.wait([asked.pipe for asked in running.values()], max(0.0, patience))
    answers = {}
    for name, asked in list(running.items()):
        if asked.pipe in ready:
            answers[name] = _receive(asked)
            _end(running.pop(name), _FAREWELL)
        elif asked.deadline <= time.monotonic():
            answers[name] = Answer({}, f"it did not answer within {timeout:g} s")
            _end(running.pop(name))
    return answers


def _receive(asked: _Asked) -> Answer:
    try:
        return Answer(*asked.pipe.recv())
    except EOFError:
        return Answer({}, "the process that asked it ended without an answer")


def _end(asked: _Asked, farewell: float = 0.0) -> None:
    """End a process, done or out of time, with the ssh that it started; the ssh master stays for the tasks.

    It is asked first, so that core can clean up a password that it has lent to ssh.
    """
    if not connection.wait([asked.process.sentinel], farewell):
        children = _children(asked.process.pid)
        asked.process.terminate()
        for pid in children:
            _kill(os.kill, pid)
        connection.wait([asked.process.sentinel], _FAREWELL)
    _kill(os.killpg, asked.process.pid)  # not reaped yet, so the number is still its own
    asked.process.kill()
    asked.process.join()
    asked.pipe.close()


def _children(pid: int) -> list[int]:
    """Return the children of a process, which may have their own sessions, as ssh has when it asks for a password."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:  # it ended, or this is not Linux
        return []


def _kill(kill: Callable[[int, int], None], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        kill(number, signal.SIGKILL)
