# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client's own sockets: private, roomy, fresh, and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import (
    long_queue,
    procfs,
    reply_sockets,
)
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error, NotAllowedError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.long_queue import ROOMY_QUEUE
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.private_dir import private_directory
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets, sweep
from support.fake import FakeConsole
from support.run_as_user import NOBODY_IN_PARTICULAR, SOMEBODY_ELSE, as_user
from support.wait import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def base(uml_dir: Path) -> Path:
    """Return a folder like /tmp."""
    uml_dir.chmod(0o1777)
    return uml_dir


@pytest.fixture
def elsewhere(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the private directories of all users where no other client is."""
    monkeypatch.setattr(reply_sockets, "private_directory", lambda: private_directory(str(base)))


@pytest.fixture
def maker(elsewhere: None) -> Iterator[ReplySockets]:
    """Yield a maker of sockets."""
    made = ReplySockets()
    yield made
    made.close()


def descriptors() -> set[str]:
    """Return what this process has open."""
    return set(os.listdir("/proc/self/fd"))


def owned(path: Path, uid: int, mode: int) -> None:
    """Give a path away."""
    os.chown(path, uid, uid)
    path.chmod(mode)


# The private directory.


@pytest.mark.parametrize(("uid", "mode"), [(0, 0o711), (NOBODY_IN_PARTICULAR, 0o700)])
def test_the_directory_is_made_private(base: Path, uid: int, mode: int) -> None:
    path = as_user(uid, lambda: private_directory(str(base)))
    assert path == f"{base}/.uml-mconsole-{uid}"
    assert (os.stat(path).st_uid, stat.S_IMODE(os.stat(path).st_mode)) == (uid, mode)
    assert as_user(uid, lambda: private_directory(str(base))) == path


def test_a_bad_umask_makes_it_no_worse(base: Path) -> None:
    def make() -> str:
        os.umask(0)
        return private_directory(str(base))

    assert stat.S_IMODE(os.stat(as_user(NOBODY_IN_PARTICULAR, make)).st_mode) == 0o700


def test_a_narrow_umask_makes_it_no_narrower(base: Path) -> None:
    """Instances of other users must get through to root's."""

    def make() -> str:
        os.umask(0o077)
        return private_directory(str(base))

    assert stat.S_IMODE(os.stat(as_user(0, make)).st_mode) == 0o711


def plant_link(path: Path) -> None:
    """Plant a link to a folder of the victim's own."""
    target = path.parent / "target"
    target.mkdir()
    owned(target, NOBODY_IN_PARTICULAR, 0o700)
    path.symlink_to(target)
    os.lchown(path, SOMEBODY_ELSE, SOMEBODY_ELSE)


def plant_folder(path: Path) -> None:
    """Plant a folder of the attacker's."""
    path.mkdir()
    owned(path, SOMEBODY_ELSE, 0o777)


def plant_file(path: Path) -> None:
    """Plant a file."""
    path.touch()
    owned(path, NOBODY_IN_PARTICULAR, 0o600)


def open_to_all(path: Path) -> None:
    """Have been made by the victim itself, for all to write to."""
    path.mkdir()
    owned(path, NOBODY_IN_PARTICULAR, 0o777)


def open_to_the_group(path: Path) -> None:
    """Have been made by the victim itself, for its group to write to."""
    path.mkdir()
    owned(path, NOBODY_IN_PARTICULAR, 0o770)


@pytest.mark.parametrize("plant", [plant_link, plant_folder, plant_file, open_to_all, open_to_the_group])
def test_a_planted_directory_is_refused(base: Path, plant: Callable[[Path], None]) -> None:
    path = base / f".uml-mconsole-{NOBODY_IN_PARTICULAR}"
    plant(path)
    with pytest.raises(NotAllowedError, match=rf"^{path} is not a directory of user {NOBODY_IN_PARTICULAR} that"):
        as_user(NOBODY_IN_PARTICULAR, lambda: private_directory(str(base)))


def test_root_s_lies_where_nobody_can_be_first() -> None:
    assert private_directory() == "/run/.uml-mconsole-0"


# Sweeping.


def left_behind(path: Path) -> None:
    """Make a socket that no process holds any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))


def test_only_sockets_of_the_dead_are_swept(base: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.bind(str(base / "r1-a-1"))  # the process of that number may be in another container
        for name in ("r1-a-2", f"r{os.getpid()}-a-3", "c-key-1"):
            left_behind(base / name)
        (base / "r-file").touch()
        sweep(str(base))
        assert sorted(os.listdir(base)) == ["c-key-1", "r-file", "r1-a-1"]


def test_a_socket_that_waits_for_its_instance_alone_is_no_dead_one(base: Path) -> None:
    with contextlib.ExitStack() as stack:
        instance, client = (stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _each in "ab")
        instance.bind(str(base / "mconsole"))
        client.bind(str(base / "r1-a-1"))
        client.connect(str(base / "mconsole"))
        sweep(str(base))
        assert (base / "r1-a-1").exists()


# The socket of an exchange.


def test_a_socket_is_private_and_gone_afterwards(maker: ReplySockets) -> None:
    before = descriptors()
    with maker.bound(False) as bound:
        status = os.lstat(bound.path)
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)
        assert os.path.dirname(bound.path) == maker.directory
    assert not os.path.exists(bound.path)
    assert descriptors() == before


def test_the_owner_of_the_instance_may_answer(maker: ReplySockets) -> None:
    with maker.bound(False) as bound:
        bound.admit(NOBODY_IN_PARTICULAR)
        status = os.lstat(bound.path)
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY_IN_PARTICULAR, 0o600)
        assert as_user(NOBODY_IN_PARTICULAR, lambda: sendable(bound.path))
        assert not as_user(SOMEBODY_ELSE, lambda: sendable(bound.path))


def sendable(path: str) -> bool:
    """Return whether this user can send to a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"!", path)
        except PermissionError:
            return False
        return True


def test_no_two_sockets_have_one_path(maker: ReplySockets) -> None:
    """A late answer goes to the path that asked."""
    paths = set()
    for _each in range(50):
        with maker.bound(False) as bound:
            paths.add(bound.path)
    assert len(paths) == 50


@pytest.mark.usefixtures("elsewhere")
def test_an_ordinary_user_cannot_be_answered_by_another() -> None:
    def act() -> None:
        with ReplySockets().bound(False) as bound:
            bound.admit(NOBODY_IN_PARTICULAR)
            bound.admit(SOMEBODY_ELSE)

    message = f"^an instance of user {SOMEBODY_ELSE} cannot answer user {NOBODY_IN_PARTICULAR}: Operation not"
    with pytest.raises(NotAllowedError, match=message):
        as_user(NOBODY_IN_PARTICULAR, act)


def test_a_directory_that_was_cleaned_away_is_made_again(maker: ReplySockets) -> None:
    shutil.rmtree(maker.directory)
    with maker.bound(False) as bound:
        assert os.path.exists(bound.path)


def test_a_socket_that_was_cleaned_away_is_no_error(maker: ReplySockets) -> None:
    with maker.bound(False) as bound:
        os.unlink(bound.path)


def test_a_host_that_is_full_is_told_of(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_sockets, "private_directory", lambda: str(base / "missing"))
    monkeypatch.setattr(reply_sockets, "sweep", lambda directory: None)
    before = descriptors()
    with pytest.raises(Error, match="this host cannot make a socket to be answered at in"):
        ReplySockets().bound(False)
    assert descriptors() == before


# Roomy sockets.


def hold(bound: reply_sockets.ReplySocket) -> int:
    """Return how many datagrams a bound socket holds, up to 300."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for sent in range(300):
            try:
                sender.sendto(b"x", bound.path)
            except BlockingIOError:
                return sent
        return 300


def holds(long_reply: bool, roomy: bool = True) -> tuple[int, int]:
    """Return what a socket is said to hold, and what it does."""
    maker = ReplySockets(roomy)
    try:
        with maker.bound(long_reply) as bound:
            return bound.capacity, hold(bound)
    finally:
        maker.close()


HOST = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("uid", [0, NOBODY_IN_PARTICULAR])
def test_a_long_reply_has_room(uid: int) -> None:
    assert as_user(uid, lambda: holds(True)) == (ROOMY_QUEUE + 1, 300)
    assert as_user(uid, lambda: holds(False)) == (HOST, min(HOST, 300))
    assert as_user(uid, lambda: holds(True, roomy=False)) == (HOST, min(HOST, 300))


def test_the_host_s_own_queues_stay_as_they_are(maker: ReplySockets) -> None:
    with maker.bound(True):
        assert int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1 == HOST


def test_where_no_namespace_is_allowed_there_is_no_room(maker: ReplySockets, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(1, "not here")

    monkeypatch.setattr(long_queue, "_enter_roomy_namespace", refuse)
    for _each in range(3):
        with maker.bound(True) as bound:
            assert bound.capacity == HOST


def test_a_child_that_died_is_missed_by_nobody(maker: ReplySockets) -> None:
    maker.bound(True).__exit__()
    nursery = maker._nursery
    assert nursery is not None
    os.kill(nursery._pid, signal.SIGKILL)
    capacities = []
    for _each in range(20):
        with maker.bound(True) as bound:
            capacities.append(bound.capacity)
    assert capacities == sorted(capacities, reverse=True)
    assert capacities[-1] == HOST


def test_a_child_that_hangs_is_not_waited_for(maker: ReplySockets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_queue, "_START_TIME", 0.2)
    maker.start()
    nursery = maker._nursery
    assert nursery is not None
    os.kill(nursery._pid, signal.SIGSTOP)
    with maker.bound(True) as bound:
        assert bound.capacity in (HOST, ROOMY_QUEUE + 1)
    child = nursery._pid
    maker.close()
    assert not os.path.exists(f"/proc/{child}")


@pytest.mark.usefixtures("elsewhere")
def test_the_child_ends_with_its_parent() -> None:
    def start() -> int:
        maker = ReplySockets()
        maker.bound(True).__exit__()
        assert maker._nursery is not None
        return maker._nursery._pid

    child = as_user(0, start)
    wait_until(lambda: not procfs.alive(child), 60, f"the end of {child}")


def test_the_child_keeps_nothing_of_ours_open(maker: ReplySockets) -> None:
    """A program that waits for the end of one of our pipes would also wait for it."""
    reading, writing = os.pipe()
    maker.start()
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_sockets_of_the_child_are_inherited_by_nobody(maker: ReplySockets) -> None:
    with maker.bound(True) as bound:
        assert not os.get_inheritable(bound.sock.fileno())
        assert maker._nursery is not None
        assert not any(os.get_inheritable(sock.fileno()) for sock in maker._nursery._ready)


def test_closing_leaves_nothing(maker: ReplySockets) -> None:
    before = descriptors()
    maker.bound(True).__exit__()
    assert os.path.isdir(maker.directory)
    maker.close()
    maker.close()
    assert descriptors() == before
    assert not os.path.exists(maker._directory)


def test_closing_leaves_what_others_use(maker: ReplySockets) -> None:
    other = ReplySockets()
    with other.bound(False) as bound:
        maker.bound(False).__exit__()
        maker.close()
        assert os.path.exists(bound.path)
    other.close()
    assert not os.path.exists(bound.path)


def test_comers_and_goers_get_their_sockets(maker: ReplySockets) -> None:
    """Each takes the directory along when it believes to be the last."""
    failed: list[Exception] = []

    def come_and_go() -> None:
        for _each in range(50):
            mine = ReplySockets(roomy=False)
            try:
                mine.bound(False).__exit__()
            except Exception as err:
                failed.append(err)
            mine.close()

    threads = [threading.Thread(target=come_and_go) for _each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


# Many exchanges.


def test_two_thousand_exchanges_leave_nothing(uml_dir: Path, maker: ReplySockets) -> None:
    with FakeConsole(uml_dir) as fake:
        console = Console(str(fake.console), sockets=maker)
        console.proc("uptime")
        before, names = descriptors(), os.listdir(maker.directory)
        for number in range(2000):
            _said = console.proc("uptime") if number % 4 == 0 else console.ask("config con1")
        spare = len(maker._nursery._ready) if maker._nursery else 0
        assert len(descriptors() - before) <= spare
        assert len(descriptors()) - len(before) <= 8
        assert os.listdir(maker.directory) == names


def test_failed_exchanges_leave_nothing(uml_dir: Path, maker: ReplySockets) -> None:
    maker.bound(False).__exit__()
    before, names = descriptors(), os.listdir(maker.directory)
    for _each in range(100):
        with pytest.raises(Error):
            Console(str(uml_dir / "none" / "mconsole"), sockets=maker).command("version")
    assert (descriptors(), os.listdir(maker.directory)) == (before, names)


def test_threads_share_the_child(maker: ReplySockets) -> None:
    capacities: list[int] = []

    def take() -> None:
        for _each in range(10):
            with maker.bound(True) as bound:
                capacities.append(bound.capacity)

    threads = [threading.Thread(target=take) for _each in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert capacities == [ROOMY_QUEUE + 1] * 640
