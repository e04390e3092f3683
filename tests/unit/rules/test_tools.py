# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `tools/test` prints about sessions of nox, how it ends, and which commit messages the hook refuses."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import CHECKOUT
from support.wait import wait_until

PYTHON = CHECKOUT / ".venv" / "bin" / "python"  # the one that has nox; the matrix runs this file with others
NOXFILE = """
import os, signal, sys
import nox

nox.options.default_venv_backend = "none"
signal.signal(signal.SIGTERM, signal.default_int_handler)


@nox.session(tags=["kernels"])
def good(session):
    session.log("left out: what is not there")
    session.run("echo", "===== 3 passed in 0.10s =====")
    session.run("echo", "words:", *session.posargs)


@nox.session
def bad(session):
    session.run("echo", "the reason")
    session.run("false")


@nox.session(default=False)
def absent(session):
    session.skip("no Python 9.9")


@nox.session(default=False)
def long(session):
    program = "echo $$ > begun; trap 'echo cleaned > cleaned; exit 1' TERM; while :; do sleep 0.05; done"
    session.run("sh", "-c", program, interrupt_timeout=60)


@nox.session(default=False)
def after(session):
    session.run("touch", "after")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a checkout with sessions that pass, fail, skip, or run until they are interrupted."""
    (tmp_path / "tools").mkdir()
    shutil.copy(CHECKOUT / "tools" / "lanes.py", tmp_path / "tools")
    (tmp_path / "noxfile.py").write_text(NOXFILE)
    return tmp_path


def lanes(project: Path, *words: str) -> tuple[int, str]:
    """Return the exit status of tools/lanes.py, and what it prints."""
    command = [PYTHON, project / "tools" / "lanes.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_each_default_session_has_a_line(project: Path) -> None:
    status, said = lanes(project)
    assert status == 1
    assert re.search(r"^good +passed +\d+ s  3 passed in 0\.10s$", said, re.MULTILINE)
    assert re.search(r"^bad +failed +\d+ s\n--- end of \.cache/logs/bad\.log\n", said, re.MULTILINE)
    assert "the reason" in said
    assert said.endswith("left out of good: what is not there\n1 passed, 1 failed\n")


def test_words_go_to_the_session(project: Path) -> None:
    status, said = lanes(project, "good", "--", "-k", "one")
    assert status == 0, said
    assert "words: -k one" in (project / ".cache" / "logs" / "good.log").read_text()


def test_a_skipped_session_is_said_to_be(project: Path) -> None:
    status, said = lanes(project, "good", "absent")
    assert status == 0
    assert "left out of absent: no Python 9.9" in said
    assert said.endswith("1 passed, 0 failed, 1 skipped\n")


def test_nothing_but_skipped_sessions_is_not_a_success(project: Path) -> None:
    assert lanes(project, "absent")[0] == 1


def test_a_name_that_nox_does_not_know_is_refused(project: Path) -> None:
    status, said = lanes(project, "good", "wrong")
    assert status == 2
    assert "'wrong' is not a session or a tag; expected good bad, or another name" in said
    assert not (project / ".cache").exists()


def test_an_interrupt_lets_a_session_clean_up(project: Path) -> None:
    process = subprocess.Popen([PYTHON, project / "tools" / "lanes.py", "long", "after"], stderr=subprocess.DEVNULL)
    try:
        wait_until((project / "begun").exists, 60, "the session to begin")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()
    assert (project / "cleaned").exists()
    assert not (project / "after").exists()
    program = int((project / "begun").read_text())
    wait_until(lambda: not Path(f"/proc/{program}").exists(), 60, "the program to end")


def test_every_session_is_listed_with_what_it_does() -> None:
    done = subprocess.run([PYTHON, "-m", "nox", "-l"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    sessions = re.findall(r"^[*-] (\S+)(.*)", done.stdout, re.MULTILINE)
    assert {"ruff", "units", "integration", "faults", "molecule", "sanity", "build_import_check"} <= dict(
        sessions
    ).keys()
    assert [name for name, text in sessions if " -> " not in text] == []


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("channel: rebuild a stopped ssh master", ""),
        ("channel: rebuild a stopped ssh master\n\nA master that was stopped takes connections.\n# git's own\n", ""),
        ("Merge branch 'main'", ""),
        ("channel: " + "x" * 64, "the subject has 73 characters; expected at most 72"),
        ("Rebuild a stopped master", "expected one like"),
        ("channel: rebuild a stopped ssh master.", "ends with a full stop"),
        ("channel: rebuild a stopped ssh master\nbecause", "the second line is not empty"),
        ("channel: rebuild a stopped ssh master\n\n" + "word " * 30, "a line of the body has more than 100"),
    ],
)
def test_a_commit_message_is_checked(tmp_path: Path, message: str, wanted: str) -> None:
    (tmp_path / "message").write_text(message)
    command = [sys.executable, CHECKOUT / "tools" / "hooks" / "commit_message.py", tmp_path / "message"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == bool(wanted)
    assert wanted in done.stderr
