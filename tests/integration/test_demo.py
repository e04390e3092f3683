# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tools/demo from the start to the end, and interrupted; nothing of it may be left either way."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import processes
from support.paths import CACHE, CHECKOUT
from support.wait import wait_until

LIMIT = 900  # seconds, on a machine with much else to do


@pytest.fixture
def alone() -> Iterator[None]:
    """Let one demo run at a time, or one would be taken for what the other has left."""
    with (CACHE / "test-demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def demo(alone, tmp_path) -> Iterator[subprocess.Popen[str]]:
    """Start the demo in its own session, with a home that must stay as it is."""
    before = left_overs()
    environment = {**os.environ, "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [CHECKOUT / "tools/demo"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
    try:
        yield process
    finally:
        processes.kill_all(lambda: processes.of_session(process.pid), "a process of the demo")
    assert left_overs() == before
    assert list((tmp_path / "home").iterdir()) == []


def left_overs() -> list[str]:
    """Name what a demo would leave: users, folders, and processes with one of its folders on their command line."""
    users = [entry.pw_name for entry in pwd.getpwall() if entry.pw_name.startswith("umldemo-")]
    folders = [str(path) for path in Path("/tmp").glob("umldemo.*")]
    commands = [command_line(each.pid) for each in processes.running()]
    return sorted([*users, *folders, *(command for command in commands if "/tmp/umldemo." in command)])


def command_line(pid: int) -> str:
    """Return the command line of a process that may be gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


def test_the_demo_shows_what_it_says_and_leaves_nothing(demo, tmp_path):
    status = demo.wait(LIMIT)
    said = (tmp_path / "said").read_text()
    assert status == 0, said
    assert "\x1b" not in said
    assert "[WARNING]" not in said
    assert said.count("ok: changed=0") == 2
    assert re.search(r"^vm-b +db1 +running +.* ubd1\(16M\) +- +con1=pts", said, re.MULTILINE)
    assert "nothing is left of it" in said


def test_an_interrupted_demo_leaves_nothing(demo, tmp_path):
    said = tmp_path / "said"

    def launching() -> bool:
        assert demo.poll() is None, said.read_text()
        return "uml.mconsole.demo" in said.read_text() and any("/tmp/umldemo." in each for each in kernels())

    wait_until(launching, LIMIT, lambda: f"an instance of the demo: {said.read_text()}")
    os.killpg(demo.pid, signal.SIGTERM)  # a shell behind an & could not trap SIGINT
    assert demo.wait(LIMIT) in (130, 143), said.read_text()


def kernels() -> list[str]:
    """List the command lines of all kernels that run."""
    return [line for each in processes.running() if "umid=" in (line := command_line(each.pid))]
