# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a disk cannot be used for a transfer, the line stands in, unless the disk was asked for."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell import disk_folder, transfer_disk
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell.line import Line
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell.login import Account
from ansible_collections.uml.mconsole.plugins.module_utils._guest_shell.session import Data, Session
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error, RefusedError
from support.fake_line import FakeLine

DATA = os.urandom(disk_folder.SMALL + 1)


class Console:
    """What a transfer asks of a console, which refuses to set disks with this error number."""

    umid, path = "fake", "/nonexistent"

    def __init__(self, error: int = 0, taken: dict[int, str] | None = None) -> None:
        self.error, self.commands, self.taken = error, list[str](), taken or {}

    def ask(self, text: str) -> str:
        return self.taken.get(int(text.removeprefix("config ubd")), "")

    def command(self, text: str) -> None:
        self.commands.append(text)
        if text.startswith("config") and self.error:
            raise RefusedError(f"fake refused {text}", err=self.error)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLine]:
    """Lend a line whose guest never shows a disk, which is seen soon."""
    monkeypatch.setattr(disk_folder, "_SEEN", 0.2)
    with FakeLine() as made:
        yield made


def opened(fake: FakeLine, way: str, console: Any) -> Session:
    line = Line("fake", "ssl1", fake.path, lambda: None)
    data = Data(way, os.getuid(), console)
    return Session.open(line, Account("root", None, "/bin/sh"), data, time.monotonic() + 30, lambda: False)


def echoed(session: Session, data: bytes) -> bytes:
    """Return what comes back of data that goes in."""
    done = session.run("cat", io.BytesIO(data))
    with done.out, done.err:
        return done.out.read()


@pytest.mark.parametrize(("error", "commands"), [(0, 1), (-errno.EBUSY, 15), (-errno.ENOENT, 1)])
def test_the_line_stands_in_for_a_disk_that_does_not_come(fake: FakeLine, error: int, commands: int) -> None:
    """A unit that another has taken meanwhile is not the last; and what failed once is not tried again."""
    console = Console(error)
    session = opened(fake, "auto", console)
    for _time in range(2):
        assert echoed(session, DATA) == DATA
    assert len(console.commands) == commands
    session.close()


def test_a_disk_that_was_asked_for_has_no_stand_in(fake: FakeLine) -> None:
    session = opened(fake, "disk", Console())
    with pytest.raises(Error, match="does not show the disk ubdp"):
        echoed(session, DATA)
    session.close()


def test_small_data_takes_the_line(fake: FakeLine) -> None:
    console = Console()
    session = opened(fake, "disk", console)
    assert echoed(session, DATA[:1000]) == DATA[:1000]
    assert console.commands == []
    session.close()


def test_the_disk_of_a_transfer_that_was_killed_is_taken_back(tmp_path: Path) -> None:
    """A disk of another kind stays, and so does one whose transfer goes on."""
    with transfer_disk.TransferDisk(Console(), os.getuid(), 1) as used:  # type: ignore[arg-type]
        used.plug(None)
        own = f"{used._mailbox.path}/disk"
        console = Console(taken={15: str(tmp_path), 14: own, 13: "/tmp/.uml-guest-gone/disk", 12: "/tmp/gone/disk"})
        assert list(transfer_disk._free(console)) == [13, *range(11, 0, -1)]  # type: ignore[arg-type]
    assert console.commands == ["remove ubd13"]
    assert not os.path.exists(own)
