# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal returns whole events in order, or says how many are missing, after any damage to its files."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._journal import journal
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError, NotAllowedError

TEN = [{"type": "message", "data": f"line {number}"} for number in range(10)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[str]:
    """Yield the place of a journal that is not there yet."""
    path = tmp_path / "state" / "journal"
    yield str(path)
    shutil.rmtree(path, ignore_errors=True)


def write(folder: str, events: list[dict[str, object]], limit: int = journal.LIMIT) -> journal.Writer:
    """Append the events, and return the writer, closed."""
    with contextlib.closing(journal.Writer(folder, limit)) as writer:
        for event in events:
            writer.append(event)
    return writer


def numbers(folder: str, position: int = 0) -> list[int]:
    """Return the sequence numbers that a reader gets, which must not go back."""
    found = [event["seq"] for event in journal.Reader(folder, position).read()]
    assert found == sorted(set(found))
    return found


def test_what_is_written_is_read_in_order(folder: str) -> None:
    """The first number is 1, and each reader has its own place."""
    write(folder, TEN)
    read = list(journal.Reader(folder).read())
    assert read == [{"seq": number, **event} for number, event in enumerate(TEN, 1)]
    assert numbers(folder, 7) == [8, 9, 10]
    assert journal.last(folder) == 10


def test_numbers_go_on_with_the_next_writer(folder: str) -> None:
    """Also when there is nothing but an empty file, whose name carries the number."""
    write(folder, TEN)
    assert write(folder, TEN).last == 20
    only = journal.files(folder)[0]
    os.rename(only.path, Path(only.path).with_name("events-0000000000000021.jsonl"))
    os.truncate(journal.files(folder)[0].path, 0)
    assert write(folder, TEN[:1]).last == 21


def test_no_journal_has_no_events(folder: str) -> None:
    """A reader may come first; it sees what is written later."""
    reader = journal.Reader(folder)
    assert list(reader.read()) == []
    write(folder, TEN)
    assert len(list(reader.read())) == 10


def test_there_is_one_writer(folder: str) -> None:
    """The second gets an error, and the first continues."""
    with contextlib.closing(journal.Writer(folder)) as writer:
        with pytest.raises(InputError, match="another process writes the journal"):
            journal.Writer(folder)
        assert writer.append(TEN[0]) == 1


def test_files_are_bounded_and_the_gap_is_told(folder: str) -> None:
    """The oldest files are removed. A reader that is behind gets the number of lost events; a new reader does not."""
    limit = 8 << 10
    write(folder, TEN * 100, limit)
    assert sum(os.path.getsize(each.path) for each in journal.files(folder)) <= limit
    first, *others = journal.Reader(folder).read()
    assert (first["type"], first["lost"], first["seq"]) == ("gap", others[0]["seq"] - 1, others[0]["seq"] - 1)
    assert [each["seq"] for each in others] == list(range(others[0]["seq"], 1001))
    assert next(journal.Reader(folder, journal.oldest(folder)).read()) == others[0]


def test_a_position_survives_rotation(folder: str) -> None:
    """A reader that comes often enough misses nothing."""
    reader = journal.Reader(folder)
    seen = []
    with contextlib.closing(journal.Writer(folder, 4 << 10)) as writer:
        for number in range(500):
            writer.append(TEN[number % 10])
            if number % 7 == 0:
                seen += list(reader.read())
    seen += list(reader.read())
    assert [each["seq"] for each in seen] == list(range(1, 501))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), tail=st.binary(max_size=40))
def test_a_torn_end_is_neither_served_nor_glued(folder: str, cut: int, tail: bytes) -> None:
    """Cut anywhere, with any rubbish behind it: what was whole stays, what comes next is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, TEN)
    path = journal.files(folder)[0].path
    os.truncate(path, min(cut, os.path.getsize(path)))
    with open(path, "ab") as stream:
        stream.write(tail)
    before = list(journal.Reader(folder).read())
    assert [each for each in before if each["type"] != "gap"] == [
        {"seq": number, **TEN[number - 1]} for number in range(1, len(before) + 1)
    ]
    number = write(folder, [{"type": "after", "data": "x"}]).last
    after = list(journal.Reader(folder).read())
    assert after[-1] == {"seq": number, "type": "after", "data": "x"}
    assert after[: len(before)] == before


def test_a_spoilt_line_is_a_gap(folder: str) -> None:
    """A disk that lost a block costs the events in it, and no more."""
    write(folder, TEN)
    path = Path(journal.files(folder)[0].path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"\0" * 20 + b"\n", *lines[5:]]))
    told = [(each["seq"], each["type"]) for each in journal.Reader(folder).read()]
    assert told[2:6] == [(3, "message"), (5, "gap"), (6, "message"), (7, "message")]


def test_a_journal_that_begins_anew_is_told(folder: str) -> None:
    """All files were removed: the old position is meaningless."""
    write(folder, TEN)
    reader = journal.Reader(folder)
    assert len(list(reader.read())) == 10
    for each in (reader, journal.Reader(folder, 10)):
        shutil.rmtree(folder)
        write(folder, TEN[:2])
        told = list(each.read())
        assert [(event["type"], event["seq"]) for event in told] == [("gap", 0), ("message", 1), ("message", 2)]


def test_a_journal_that_begins_anew_under_the_old_inode_is_told(folder: str) -> None:
    """File systems give a removed file's number to the next one, which may be longer by the time that one looks."""
    write(folder, TEN)
    reader = journal.Reader(folder)
    assert len(list(reader.read())) == 10
    path = Path(journal.files(folder)[0].path)
    inode = path.stat().st_ino
    write(f"{folder}.2", [{"type": "message", "data": "x" * 1000}] * 4)
    path.write_bytes(Path(journal.files(f"{folder}.2")[0].path).read_bytes())
    assert path.stat().st_ino == inode
    told = [(event["type"], event["seq"]) for event in reader.read()]
    assert told == [("gap", 0), *(("message", number) for number in (1, 2, 3, 4))]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100000,
        b'{"seq": 3, "time": NaN}',
        b'{"seq": 3, "time": 1e999}',
        b'{"seq": 3, "time": "x"}',
        b'{"seq": true}',
    ],
)
def test_a_line_that_is_no_event_hurts_no_reader(folder: str, line: bytes) -> None:
    """The next writer is not affected either."""
    write(folder, TEN[:2])
    path = Path(journal.files(folder)[0].path)
    path.write_bytes(path.read_bytes() + line + b"\n")
    assert numbers(folder) == [1, 2]
    assert write(folder, TEN[:1]).last == 4
    assert [each["type"] for each in journal.Reader(folder).read()] == ["message", "message", "gap", "message"]


def test_a_writer_whose_files_were_removed_goes_on(folder: str) -> None:
    """What follows is found again, under numbers that were not used."""
    with contextlib.closing(journal.Writer(folder)) as writer:
        for event in TEN:
            writer.append(event)
        shutil.rmtree(folder)
        assert writer.append(TEN[0]) == 11
    assert numbers(folder, 10) == [11]


def test_a_full_disk_leaves_nothing_torn(folder: str) -> None:
    """The writer says so, uses up no number, and goes on when there is room again."""
    with contextlib.closing(journal.Writer(folder)) as writer:
        writer.append(TEN[0])
        size = os.path.getsize(journal.files(folder)[0].path)
        with no_file_above(size + 20), pytest.raises(OSError, match="No space"):
            writer.append(TEN[1])
        assert os.path.getsize(journal.files(folder)[0].path) == size
        assert writer.append(TEN[1]) == 2
    assert numbers(folder) == [1, 2]


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let no file of this process grow above a size, as on a full disk: the part that fits is written first."""
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    signal.signal(signal.SIGXFSZ, old)


def test_a_reader_beside_a_busy_writer_misses_nothing(folder: str) -> None:
    """It sees each number once, in order, while files are written and rotated under it."""
    seen: list[int] = []

    def follow() -> None:
        for event in journal.Reader(folder).follow(time.monotonic() + 20):
            if event is not None:
                seen.append(event["seq"])
                if event["seq"] == 3000:
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    write(folder, TEN * 300, 1 << 20)
    thread.join()
    assert seen == list(range(1, 3001))


def test_following_ends_at_its_deadline(folder: str) -> None:
    """A reader does not wait for events without a writer."""
    assert [each for each in journal.Reader(folder).follow(time.monotonic() + 0.15) if each] == []


def test_a_foreign_directory_is_refused(folder: str) -> None:
    """Others may read no events, and a link leads nowhere."""
    os.makedirs(folder, 0o755)
    os.chmod(folder, 0o755)
    with pytest.raises(NotAllowedError, match=r"closed to all other users .*0040755"):
        journal.Writer(folder)
    os.chmod(folder, 0o700)
    os.symlink(folder, f"{folder}.link")
    with pytest.raises(NotAllowedError):
        journal.Writer(f"{folder}.link")
    (Path(folder) / "events-0000000000000001.jsonl").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="symbolic links"):
        journal.Writer(folder)


def test_a_users_journal_is_in_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is the system's."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert journal.default_directory() == "/state/uml-mconsole"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/kim")
    assert journal.default_directory() == "/home/kim/.local/state/uml-mconsole"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert journal.default_directory() == "/var/lib/uml-mconsole"
