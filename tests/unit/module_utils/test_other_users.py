# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other users of the VM host: what they can reach, see and plant."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._backup.watchdog import ResumeWatchdog
from ansible_collections.uml.mconsole.plugins.module_utils._client import server
from ansible_collections.uml.mconsole.plugins.module_utils._collector import status_socket
from ansible_collections.uml.mconsole.plugins.module_utils._files import copying
from ansible_collections.uml.mconsole.plugins.module_utils._guest.snapshot import Snapshot
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import instance_report
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import instances, private_dir
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import NotAllowedError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Instance, Place
from support.fake import FakeConsole
from support.fake_kernel import Disk, Kernel
from support.run_as_user import NOBODY_IN_PARTICULAR, SOMEBODY_ELSE, as_user
from support.run_operation import operate
from support.wait import wait_until

VICTIM, ATTACKER = NOBODY_IN_PARTICULAR, SOMEBODY_ELSE
NAME = f".uml-mconsole-{VICTIM}"


@pytest.fixture
def places(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return what stands for /tmp, and for the victim's own directory in /run."""
    shared, own = uml_dir / "tmp", uml_dir / "run"
    shared.mkdir()
    shared.chmod(0o1777)
    own.mkdir(0o700)
    os.chown(own, VICTIM, VICTIM)
    monkeypatch.setattr(private_dir, "bases", lambda: [str(shared), str(own)])
    monkeypatch.setattr(status_socket, "bases", lambda: [str(shared), str(own)])
    return shared, own


def test_a_user_cannot_be_locked_out_by_who_was_first(places: tuple[Path, Path]) -> None:
    shared, own = places
    assert as_user(VICTIM, private_dir.private_directory) == str(shared / NAME)
    (shared / NAME).rmdir()
    as_user(ATTACKER, (shared / NAME).mkdir)
    assert as_user(VICTIM, private_dir.private_directory) == str(own / NAME)
    assert stat.S_IMODE((own / NAME).stat().st_mode) == 0o700


def test_who_is_locked_out_everywhere_is_told_of_the_first(places: tuple[Path, Path]) -> None:
    shared, own = places
    for folder in places:
        (folder / NAME).touch()
    with pytest.raises(NotAllowedError, match=f"^{shared / NAME} is not a directory of user {VICTIM}"):
        as_user(VICTIM, private_dir.private_directory)
    assert list(own.iterdir()) == [own / NAME]


def test_the_own_directory_counts_while_it_is_the_user_s_alone() -> None:
    assert private_dir.bases() == ["/run"]
    assert as_user(VICTIM, private_dir.bases) == ["/tmp"]
    folder = Path(f"/run/user/{VICTIM}")
    made = [each for each in (folder, folder.parent) if not each.exists()]
    folder.mkdir(parents=True)
    try:
        assert as_user(VICTIM, private_dir.bases) == ["/tmp"], "it is root's"
        os.chown(folder, VICTIM, VICTIM)
        assert as_user(VICTIM, private_dir.bases) == ["/tmp", str(folder)]
        folder.chmod(0o777)
        assert as_user(VICTIM, private_dir.bases) == ["/tmp"]
    finally:
        for each in made:
            each.rmdir()


def test_a_collector_behind_its_door_is_found_wherever_that_is(places: tuple[Path, Path]) -> None:
    """The door was made where it could be then; a directory that another user puts at the first place has no effect."""
    shared, _own = places
    as_user(ATTACKER, lambda: (shared / NAME).mkdir(0o755))

    def ask() -> tuple[str, dict[str, object] | None]:
        made = status_socket.StatusSocket("/journal", lambda: {"pid": 7})
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BlockingIOError):
                wait_until(lambda: made.answer() or os.getppid() == 1, 10, "asked")  # type: ignore[func-returns-value]
            os._exit(0)
        try:
            return made.path, status_socket.query("/journal")
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            made.close()

    path, told = as_user(VICTIM, ask)
    assert path.startswith(str(places[1]))
    assert told == {"pid": 7}


# What is open to all.

OPEN: dict[str, tuple[dict[str, int], str]] = {
    "nothing": ({}, ""),
    "the console": ({"a/mconsole": 0o777}, "a/mconsole"),
    "the console, in a directory that is not": ({"a/mconsole": 0o777, "a": 0o700}, ""),
    "the console, in a uml_dir that is not": ({"a/mconsole": 0o777, ".": 0o700}, ""),
    "the directory": ({"a": 0o777}, "a"),
    "the uml_dir": ({".": 0o777}, "."),
    "a uml_dir as /tmp is": ({".": 0o1777}, ""),
    "both": ({".": 0o777, "a": 0o777}, "."),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_lets_all_control_an_instance_is_named(uml_dir: Path, case: str) -> None:
    modes, expected = OPEN[case]
    with FakeConsole(uml_dir, "a") as fake:
        fake.console.chmod(0o755)
        fake.directory.chmod(0o755)
        for name, mode in modes.items():
            (uml_dir / name).chmod(mode)
        (found,) = instances.discover([str(uml_dir)])
        told = instance_report.open_to_all(found)
        assert told == (os.path.normpath(uml_dir / expected) if expected else "")
        assert can_take_over(uml_dir, fake.console) is bool(expected)
        uml_dir.chmod(0o755)


def can_take_over(uml_dir: Path, console: Path) -> bool:
    """Return whether a user who owns nothing of it can send to the console, or replace it with another one."""

    def try_it() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.connect(str(console))
            return True
        for path in (console, console.parent):
            with contextlib.suppress(OSError):
                path.rename(f"{path}.old")
                return True
        return False

    return as_user(ATTACKER, try_it)


def test_what_cannot_be_seen_is_not_called_safe(uml_dir: Path) -> None:
    gone = Instance(Place("gone", str(uml_dir)), None, False, (), "", (), None, 0)
    assert instance_report.open_to_all(gone) is None


# What can be seen of a process.


def test_the_guardian_s_words_tell_nothing(uml_dir: Path) -> None:
    """Every user may read the list of processes."""
    with (
        FakeConsole(uml_dir, "secret") as fake,
        ResumeWatchdog(str(fake.console), str(uml_dir / "private"), 60) as guardian,
    ):
        assert guardian._child is not None
        words = Path(f"/proc/{guardian._child.pid}/cmdline").read_bytes()
    assert b"secret" not in words
    assert b"private" not in words
    assert os.fsencode(uml_dir) not in words


def test_a_guardian_left_alone_still_knows_what_to_do(uml_dir: Path) -> None:
    (uml_dir / "part").mkdir()
    with FakeConsole(uml_dir, "a") as fake:
        fake.kernel.paused = True
        child = os.fork()
        if child == 0:
            ResumeWatchdog(str(fake.console), str(uml_dir / "part"), 60).__enter__()
            os._exit(0)
        os.waitpid(child, 0)
        wait_until(lambda: not (uml_dir / "part").exists(), 60, "what was unfinished is removed")
        assert fake.received == ["go"]


# What another user plants.


@pytest.fixture
def process(uml_dir: Path) -> Iterator[Callable[[Path], int]]:
    """Yield a process whose standard output is a file; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(log: Path) -> int:
        with log.open("wb") as stream:
            started.append(subprocess.Popen(["/bin/sleep", "600"], stdout=stream))
        return started[-1].pid

    yield start
    for each in started:
        each.kill()
        each.wait()


def test_a_removed_log_does_not_lead_to_another_file(uml_dir: Path, process: Callable[[Path], int]) -> None:
    log, precious = uml_dir / "log", uml_dir / "precious"
    precious.write_text("secret")
    pid = process(log)
    assert instance_report.log_of(pid) == str(log)
    log.unlink()
    assert os.readlink(f"/proc/{pid}/fd/1") == f"{log} (deleted)"
    (uml_dir / "log (deleted)").symlink_to(precious)
    assert instance_report.log_of(pid) is None
    (uml_dir / "log (deleted)").unlink()
    (uml_dir / "log (deleted)").write_text("another file")
    assert instance_report.log_of(pid) is None


# The local client that stays.


def test_a_client_speaks_with_its_login_user_alone(uml_dir: Path) -> None:
    """Its socket lies in a directory of that user's; should it ever be within reach, strangers hear nothing."""
    path = uml_dir / "client"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o777)
    as_user(VICTIM, lambda: listener.listen(8))  # who calls listen is whom the host names
    child = os.fork()
    if child == 0:
        server.Server(listener, {"code": "x"}, 60.0).run()
        os._exit(0)
    try:
        assert as_user(VICTIM, lambda: greeting(path)) == b'{"code": "x"}\n'
        assert greeting(path) == b'{"code": "x"}\n', "root may"
        assert as_user(ATTACKER, lambda: greeting(path)) == b""
    finally:
        listener.close()
        os.kill(child, 9)
        os.waitpid(child, 0)


def greeting(path: Path) -> bytes:
    """Return the first line that a client says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        with sock.makefile("rb") as stream, contextlib.suppress(ConnectionError):
            return stream.readline()
    return b""


# What another user's kernel names as its disk, to a root who copies it.


@pytest.fixture
def lie(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what becomes of a backup of an instance of the attacker whose disk is said to be a file."""

    def backup(path: Path) -> str:
        kernel = Kernel(disks={1: Disk(str(path), size=1 << 20)})
        with FakeConsole(uml_dir, "a", kernel) as fake:
            monkeypatch.setattr(Snapshot, "uid", lambda self: ATTACKER)
            given = {"umid": "a", "uml_dir": str(uml_dir), "dest": str(uml_dir / "backup"), "disks": ["ubd1"]}
            result = operate("disk_backup", False, None, **given, sync_timeout=0.1)
            assert fake.alive
        return str(result.get("msg", ""))

    return backup


REFUSED = "which the user of a may not be allowed to read"


def test_a_private_file_of_another_is_not_copied(uml_dir: Path, lie: Callable[..., str]) -> None:
    secret = uml_dir / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    assert REFUSED in lie(secret)
    (uml_dir / "link").symlink_to(secret)
    assert REFUSED in lie(uml_dir / "link")
    assert not (uml_dir / "backup").exists()


def test_a_file_in_a_private_folder_of_another_is_not_copied(uml_dir: Path, lie: Callable[..., str]) -> None:
    (uml_dir / "home").mkdir(0o700)
    (uml_dir / "home" / "f").write_text("for all, who can get here")
    (uml_dir / "home" / "f").chmod(0o644)
    assert REFUSED in lie(uml_dir / "home" / "f")


def test_what_is_theirs_or_open_or_everybody_s_is_copied(uml_dir: Path, lie: Callable[..., str]) -> None:
    own, golden, held = (uml_dir / name for name in ("own", "golden", "held"))
    for path, mode in ((own, 0o600), (golden, 0o644), (held, 0o600)):
        path.write_text(path.name)
        path.chmod(mode)
    os.chown(own, ATTACKER, ATTACKER)
    with held.open():
        assert lie(own) == ""
        (uml_dir / "backup" / "a-ubd1.img").unlink()
        assert lie(golden) == ""
        (uml_dir / "backup" / "a-ubd1.img").unlink()
        assert lie(held) == ""
    assert (uml_dir / "backup" / "a-ubd1.img").read_text() == "held"


def test_a_file_that_takes_the_place_of_another_is_not_copied(uml_dir: Path) -> None:
    first, second = uml_dir / "first", uml_dir / "second"
    first.write_text("first")
    found = first.stat()
    second.write_text("second")
    second.rename(first)
    with pytest.raises(OSError, match="Stale"):
        copying.copy(str(first), str(uml_dir / "copy"), float("inf"), (found.st_dev, found.st_ino))
    assert not (uml_dir / "copy").exists()
