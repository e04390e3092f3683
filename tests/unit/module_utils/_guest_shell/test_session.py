# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session at a line that loses and adds bytes, and whose users are killed: a shell of this machine answers."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import select
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell import line as line_module
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell import session as session_module
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell.line import Gone, Line
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell.login import Account
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell.session import Data, Session
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error
from support.fake_line import FakeLine

ACCOUNT = Account("root", None, "/bin/sh")
WORDS = "one\ntwo @@ @1 1\n"
PRINT = "printf 'one\\ntwo @@ @1 1\\n'"


@contextlib.contextmanager
def session(fake: FakeLine, line_class: type[Line] = Line, seconds: float = 20) -> Iterator[Session]:
    """Yield a session at a line."""
    line = line_class("fake", "ssl1", fake.path, lambda: None)
    try:
        opened = Session.open(line, ACCOUNT, Data("line", os.getuid()), time.monotonic() + seconds, lambda: False)
        yield opened
        opened.close()
    finally:
        if line.descriptor >= 0:
            line.close()


def outcome(lent: Session, command: str, data: bytes | None = None) -> tuple[int, bytes]:
    """Return the status and the output of a command of a session."""
    done = lent.run(command, io.BytesIO(data) if data is not None else None)
    with done.out, done.err:
        return done.rc, done.out.read()


def said(lent: Session, command: str = PRINT) -> str:
    """Return what a command of a session writes."""
    return outcome(lent, command)[1].decode()


def test_a_command_and_a_file() -> None:
    data = bytes(range(256)) * 40
    with FakeLine() as fake, session(fake) as lent:
        assert said(lent) == WORDS
        assert outcome(lent, "exit 7") == (7, b"")
        assert outcome(lent, "cat", data) == (0, data)


def message(number: int) -> bytes:
    """Return what a kernel writes to its console, with escape sequences and framing that look like ours."""
    return b"[  %d.000001] \x1b[31m@@0 1\x1b]0;x\x07 oops\r\n" % number


def test_messages_of_the_kernel_between_all_words() -> None:
    chance = random.Random(7)

    def noisy(data: bytes) -> bytes:
        return data + message(len(data)) if chance.random() < 0.3 else data

    data = os.urandom(5_000)
    with FakeLine(outward=noisy) as fake, session(fake, seconds=60) as lent:
        assert [said(lent) for _number in range(3)] == [WORDS] * 3
        assert outcome(lent, "cat", data) == (0, data)


@pytest.mark.parametrize("way", ["inward", "outward"])
def test_bytes_that_are_lost_are_sent_again(way: str) -> None:
    chance = random.Random(11)

    def lossy(data: bytes) -> bytes:
        return data[: len(data) // 2] if chance.random() < 0.02 else data

    with FakeLine() as fake, session(fake, seconds=60) as lent:
        setattr(fake, way, lossy)
        assert [said(lent) for _number in range(4)] == [WORDS] * 4


class Killed(Exception):
    """The client ends here."""


def killed_after(count: int) -> type[Line]:
    """Return a line whose user is killed after that many bytes were sent."""

    class Dying(Line):
        left = count

        def send(self, data: bytes, deadline: float) -> None:
            part, self.left = data[: self.left], self.left - len(data)
            super().send(part, deadline)
            if self.left < 0:
                raise Killed

    return Dying


LENGTH = 1600  # bytes that a session sends until its first command has ended
STEP = 1 if os.environ.get("UML_FAULTS") == "all" else 149


@pytest.mark.parametrize("count", range(0, LENGTH, STEP))
def test_the_next_user_gets_in_wherever_the_one_before_was_killed(count: int) -> None:
    """The line is not hung up between them, as it can be with an old kernel: a reader or half a command is left."""
    with FakeLine() as fake:
        with contextlib.suppress(Killed), session(fake, killed_after(count)) as lent:
            said(lent)
        with session(fake, seconds=40) as lent:
            assert said(lent) == WORDS


def test_input_may_take_longer_than_a_command_has_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_STALE", 3.0)
    with FakeLine() as fake, session(fake) as lent:
        put = lent.folder.put

        def slow(name: str, *rest: Any) -> None:
            put(name, *rest)
            time.sleep(3.5 if name.endswith(".in") else 0)

        monkeypatch.setattr(lent.folder, "put", slow)
        assert outcome(lent, "wc -c", bytes(5000)) == (0, b"5000\n")


TALKERS = {
    "a prompt without end": "while :; do printf '\\033[2J\\033]0;t\\007login: @@ @0 1\\r\\n# '; done",
    "framing that is guessed": 'while read -r l; do for m in 0 a f; do echo "@$m 1 @@$m@"; done; done',
    "output without end": "exec yes",
    "silence": "exec sleep 60",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", TALKERS)
def test_a_hostile_program_at_the_line_is_given_up_in_time(name: str) -> None:
    with FakeLine(("/bin/sh", "-c", TALKERS[name])) as fake:
        with pytest.raises((Error, Gone)) as caught, session(fake, seconds=3):
            pass
        assert "\x1b" not in str(caught.value)


def test_nothing_is_left_in_the_guest(tmp_path: Path) -> None:
    with FakeLine() as fake, session(fake) as lent:
        place = Path(said(lent, "readlink /proc/$PPID/cwd").strip())
        assert place.name.startswith(".uml-")
    deadline = time.monotonic() + 15
    while place.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not place.exists()


def test_a_terminal_that_is_readable_and_empty_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux lets select say so of a pseudo-terminal while a kernel writes to it (seen on 6.1)."""
    wrong = iter([True, True])

    def see(*words: Any) -> Any:
        return words[:3] if next(wrong, False) else select.select(*words)

    monkeypatch.setattr(line_module, "select", types.SimpleNamespace(select=see))
    with FakeLine(("/bin/sh", "-c", "sleep 1; echo it; sleep 60")) as fake:
        line = Line("fake", "ssl1", fake.path, lambda: None)
        with contextlib.closing(line):
            assert line.expect(re.compile(b"it"), time.monotonic() + 20) is not None
    assert next(wrong, None) is None
