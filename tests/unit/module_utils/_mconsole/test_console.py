# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exchanges with a fake console: what is sent, what is not, and what becomes of bad manners."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import exchange, socket_id
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import (
    DangerError,
    InputError,
    NotThereError,
    ProtocolError,
    RefusedError,
    UnansweredError,
)
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.wire import Assembly
from support import fake as fakes
from support.fake import FakeConsole
from support.fake_kernel import Kernel
from support.wait import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
SHORT = 0.3


@pytest.fixture
def fake(uml_dir: Path) -> Iterator[FakeConsole]:
    """Yield a fake 6.1."""
    with FakeConsole(uml_dir) as started:
        yield started


@pytest.fixture
def console(fake: FakeConsole, sockets: ReplySockets) -> Console:
    """Return a console to the fake."""
    return Console(str(fake.console), sockets=sockets)


def test_a_command_is_answered(console: Console, fake: FakeConsole) -> None:
    reply = console.command("version")
    assert (reply.ok, reply.err, reply.packets, reply.truncated) == (True, 0, 1, False)
    assert reply.text.startswith("Linux fake 6.1.")
    assert console.sent == fake.received == ["version"]


def test_exactly_the_request_is_sent(console: Console, fake: FakeConsole) -> None:
    console.command("config con1=pts")
    assert fake.datagrams == [b"\xbe\xba\xfe\xca\x02\0\0\0\x0f\0\0\0config con1=pts"]


def test_a_no_is_an_error_with_what_was_said(console: Console) -> None:
    with pytest.raises(RefusedError, match=r"^fake refused 'go': Not stopped$") as caught:
        console.command("go")
    assert caught.value.facts == {"umid": "fake", "command": "go", "err": 1, "said": "Not stopped"}


NOES = {"config eth0=nosuch": "Input/output error", "remove ubd1": "Device doesn't exist"}


@pytest.mark.parametrize(("text", "said"), NOES.items())
def test_a_no_without_words_is_put_into_words(console: Console, text: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        console.command(text)


def test_a_query_that_is_refused_is_none(console: Console) -> None:
    assert console.ask("config con1") == "null"
    assert console.ask("config con16") is None
    assert console.proc("sys/kernel/ostype") == "Linux\n"
    assert console.proc("nosuch") is None


def test_what_is_no_command_is_not_sent(console: Console, fake: FakeConsole) -> None:
    with pytest.raises(InputError):
        console.command("halt_me")
    assert (fake.datagrams, console.sent) == ([], [])


def test_a_change_planned_in_check_mode_is_our_fault(fake: FakeConsole, sockets: ReplySockets) -> None:
    console = Console(str(fake.console), sockets=sockets, read_only=True)
    with pytest.raises(AssertionError, match="check mode"):
        console.command("config con1=pts")
    assert console.ask("config con1") == "null"
    assert fake.received == ["config con1"]


def test_what_is_sent_is_told(fake: FakeConsole, sockets: ReplySockets) -> None:
    told: list[str] = []
    Console(str(fake.console), sockets=sockets, log=told.append).command("version")
    assert told == ["version"]


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 50_000])
def test_a_file_arrives_whole(console: Console, fake: FakeConsole, size: int) -> None:
    fake.kernel.files["big"] = b"0123456789" * (size // 10) + b"x" * (size % 10)
    assert console.proc("big") == fake.kernel.files["big"].decode()


def test_a_file_is_cut_at_the_nul_of_each_chunk(console: Console, fake: FakeConsole) -> None:
    fake.kernel.files["odd"] = b"a\0b".ljust(4095, b"c") + b"d"
    assert console.proc("odd") == "ad"


def test_bytes_that_are_no_text_survive(console: Console, fake: FakeConsole) -> None:
    fake.kernel.files["odd"] = b"\xff\x1b[2J"
    assert console.proc("odd") == "\udcff\x1b[2J"


# Bad manners.


def test_no_answer_is_an_error_in_time(console: Console, fake: FakeConsole) -> None:
    fake.manner = fakes.silent
    start = time.monotonic()
    with pytest.raises(UnansweredError, match=r"^fake did not answer 'version' within its time; it may have happened"):
        console.command("version", timeout=SHORT)
    assert SHORT <= time.monotonic() - start < SHORT + 2
    assert console.sent == ["version"]
    assert not console.has_restarted()


def gone(fake: FakeConsole) -> fakes.Manner:
    """Return the manner of one that ends instead of answering."""

    def manner(packets: list[bytes]) -> list[bytes]:
        fake.console.unlink()
        return []

    return manner


def replaced(fake: FakeConsole, stack: contextlib.ExitStack) -> fakes.Manner:
    """Return the manner of one that is another when it should answer."""

    def manner(packets: list[bytes]) -> list[bytes]:
        fake.console.unlink()
        stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(str(fake.console))
        return []

    return manner


def test_no_answer_of_one_that_has_ended_is_told_as_such(console: Console, fake: FakeConsole) -> None:
    fake.manner = gone(fake)
    with pytest.raises(UnansweredError, match=r"it may have happened, and the instance has ended or"):
        console.command("version", timeout=SHORT)
    assert not console.has_restarted()


def test_no_answer_of_one_that_started_anew_is_told_as_such(console: Console, fake: FakeConsole) -> None:
    console.command("version")
    with contextlib.ExitStack() as stack:
        fake.manner = replaced(fake, stack)
        with pytest.raises(UnansweredError, match=r"it may have happened, and .* has restarted$"):
            console.command("version", timeout=SHORT)
        assert console.has_restarted()


def test_one_without_a_console_that_has_a_process_is_told_to_boot(uml_dir: Path, sockets: ReplySockets) -> None:
    (uml_dir / "young").mkdir()
    young = Console(str(uml_dir / "young" / "mconsole"), sockets=sockets)
    (uml_dir / "young" / "pid").write_text(str(os.getpid()))
    with pytest.raises(NotThereError, match=f"no console at .* yet; process {os.getpid()} of its pid file runs"):
        young.command("version")
    (uml_dir / "young" / "pid").write_text("")
    with pytest.raises(NotThereError, match=r"no console at [^ ]*$"):
        young.command("version")


@pytest.mark.parametrize("manner", [fakes.lying_length, fakes.cut_header, fakes.garbage])
def test_what_is_no_reply_is_an_error(console: Console, fake: FakeConsole, manner: fakes.Manner) -> None:
    fake.manner = manner
    with pytest.raises(ProtocolError, match=r"^fake answered 'version' with a packet that is not a reply"):
        console.command("version")


def test_what_comes_after_the_end_is_not_heard(console: Console, fake: FakeConsole) -> None:
    fake.manner = fakes.extra
    assert console.command("version").packets == 1
    fake.manner = None
    assert console.ask("config con1") == "null"


def test_a_reply_without_an_end_is_truncated(console: Console, fake: FakeConsole) -> None:
    fake.manner = fakes.unterminated
    reply = console.command("version", timeout=SHORT)
    assert (reply.text, reply.truncated) == ("x", True)
    with pytest.raises(UnansweredError, match="did not arrive whole") as caught:
        Console(console.path, timeout=SHORT).ask("version")
    assert caught.value.facts["truncated"] is True


def test_an_endless_reply_ends_with_the_time(console: Console, fake: FakeConsole) -> None:
    fake.manner = fakes.endless
    start = time.monotonic()
    assert console.command("proc uptime", timeout=SHORT).truncated
    assert time.monotonic() - start < SHORT + 2


def test_ten_megabytes_are_read(console: Console, fake: FakeConsole) -> None:
    fake.manner = fakes.huge
    reply = console.command("proc uptime", timeout=60)
    assert len(reply.text) == 10 * (1 << 20) // 511 * 511


def test_a_lost_end_is_not_waited_for_all_the_time(fake: FakeConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven packets fill a queue, and the end may have been the twelfth."""
    monkeypatch.setattr(exchange, "_QUIET", 0.1)
    fake.manner = lambda packets: [fakes.HEADER.pack(0, 1, 2) + b"x\0"] * 11
    monkeypatch.setattr(Assembly, "may_be_cut", True)
    start = time.monotonic()
    reply = Console(str(fake.console), sockets=ReplySockets(roomy=False)).command("proc uptime", timeout=20)
    assert (reply.packets, reply.truncated) == (11, True)
    assert time.monotonic() - start < 10


def test_a_late_answer_is_not_taken_for_the_next(console: Console, fake: FakeConsole) -> None:
    gate = threading.Event()

    def late(packets: list[bytes]) -> Iterator[bytes]:
        gate.wait(5)
        yield from packets

    fake.manner = late
    with pytest.raises(UnansweredError):
        console.command("version", timeout=SHORT)
    fake.manner = None
    gate.set()
    assert console.ask("config con1") == "null"
    assert fake.received == ["version", "config con1"]


def test_a_stranger_cannot_answer(console: Console, fake: FakeConsole, sockets: ReplySockets) -> None:
    """From the moment it is connected the socket hears its instance alone."""
    refused: list[OSError] = []

    def foreign(packets: list[bytes]) -> list[bytes]:
        name = next(name for name in os.listdir(sockets.directory) if name.startswith(f"r{os.getpid()}-"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            try:
                stranger.sendto(b"\0" * 8 + b"\x05\0\0\0fake\0", f"{sockets.directory}/{name}")
            except OSError as err:
                refused.append(err)
        return packets

    fake.manner = foreign
    assert console.command("version").text.startswith("Linux ")
    assert isinstance(refused[0], PermissionError)


def test_an_error_in_the_middle_of_a_file_is_seen(console: Console, fake: FakeConsole) -> None:
    fake.manner = lambda packets: [*packets[:-1], fakes.HEADER.pack(1, 0, 20) + b"Read of file failed\0"]
    assert console.proc("uptime") is None


# Nothing listens.


def test_no_instance_is_not_there(uml_dir: Path) -> None:
    with pytest.raises(NotThereError, match=r"^no instance 'none': there is no console at "):
        Console(str(uml_dir / "none" / "mconsole")).command("version")


def test_an_instance_that_is_gone_is_not_there(console: Console, fake: FakeConsole) -> None:
    fake.kernel.paused = True
    with pytest.raises(UnansweredError):
        console.command("halt", force=True, timeout=SHORT)
    fake.wait_dead()
    with pytest.raises(NotThereError, match=r"^the instance 'fake' is gone: no process listens at "):
        console.command("version")


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_is_no_socket_is_not_there(uml_dir: Path, make: object) -> None:
    path = uml_dir / "x" / "mconsole"
    path.parent.mkdir()
    make(path)  # type: ignore[operator]
    with pytest.raises(NotThereError):
        Console(str(path)).command("version")


def test_a_path_that_is_too_long_is_refused(uml_dir: Path) -> None:
    folder = uml_dir / ("x" * 100)
    folder.mkdir()
    (folder / "mconsole").touch()
    with pytest.raises(InputError, match="over 107 bytes"):
        Console(str(folder / "mconsole")).command("version")


# Dangers: what is never sent.


@pytest.mark.parametrize("text", ["config con1=pts", "remove con1", "proc uptime", "halt", "reboot"])
def test_a_paused_instance_is_left_alone(console: Console, fake: FakeConsole, text: str) -> None:
    console.command("stop")
    with pytest.raises(DangerError):
        console.command(text)
    assert text not in fake.received
    console.command("go")
    wait_until(lambda: console.paused() is False, 60, "it runs again")


def test_a_ghost_is_not_removed(console: Console, fake: FakeConsole) -> None:
    with pytest.raises(DangerError):
        console.command("remove ubd0")
    assert fake.received == ["proc devices", "proc partitions", "config ubd0", "proc 1/root/sys/block/ubda/size"]
    assert fake.alive
    console.request("remove ubd00", force=True)
    fake.wait_dead()


@pytest.mark.parametrize("text", ["proc 1/root/dev/tty0", "sysrq c", "sysrq t"])
def test_a_danger_is_not_sent(console: Console, fake: FakeConsole, text: str) -> None:
    with pytest.raises(DangerError):
        console.command(text)
    assert text not in fake.received


# What the host shows.


def test_a_pause_is_seen_from_the_host_also_after_a_reboot(console: Console) -> None:
    def seen(paused: bool) -> None:
        wait_until(lambda: console.paused() is paused, 60, f"paused is {paused}")

    seen(False)
    console.command("stop")
    seen(True)
    console.command("go")
    seen(False)
    console.command("reboot")
    wait_until(console.has_restarted, 60, "its new socket")
    seen(False)
    console.command("stop")
    seen(True)


def test_what_cannot_be_seen_is_none(console: Console, fake: FakeConsole) -> None:
    pid = fake.directory / "pid"
    for text in ("", "x", "²", "999999999", "9" * 30):
        pid.write_text(text)
        assert Console(console.path).paused() is None
    pid.unlink()
    assert Console(console.path).paused() is None


def test_a_pid_file_that_is_a_pipe_holds_nobody_up(console: Console, fake: FakeConsole) -> None:
    (fake.directory / "pid").unlink()
    os.mkfifo(fake.directory / "pid")
    assert console.pid() is None


@pytest.mark.parametrize("nodename", ["guest", "(none)", "two words", "", "1.0 #1"])
def test_the_release_is_found_behind_any_nodename(uml_dir: Path, sockets: ReplySockets, nodename: str) -> None:
    with FakeConsole(uml_dir, "named", Kernel(nodename=nodename)) as fake:
        assert Console(str(fake.console), sockets=sockets).release() == "6.1.176"


def test_many_threads_share_one_maker_of_sockets(fake: FakeConsole, sockets: ReplySockets) -> None:
    """Each hears the answer to its own question."""
    wrong: list[str | None] = []

    def ask(number: int) -> None:
        console = Console(str(fake.console), sockets=sockets, timeout=60)
        for _each in range(5):
            said = console.ask(f"config ssl{number}") if number % 2 else console.proc(f"f{number}")
            if said != (f"fd:{number}" if number % 2 else f"{number}" * 5000):
                wrong.append(said)

    for number in range(64):
        fake.kernel.files[f"f{number}"] = f"{number}".encode() * 5000
        fake.kernel.lines[f"ssl{number}"] = f"fd:{number}"
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


# A user who may write to the directory.


def _a_link(path: Path, other: Path) -> None:
    path.symlink_to(other)


def _a_second_name(path: Path, other: Path) -> None:
    os.link(other, path)


@pytest.mark.parametrize("make", [_a_link, _a_second_name])
def test_a_command_for_one_does_not_go_to_another(
    uml_dir: Path, fake: FakeConsole, sockets: ReplySockets, make: Callable[[Path, Path], None]
) -> None:
    with FakeConsole(uml_dir, "taken") as taken:
        console = Console(str(taken.console), sockets=sockets)
        assert console.command("version").ok
        taken.console.unlink()
        make(taken.console, fake.console)
        with pytest.raises(NotThereError, match="no process listens"):
            console.command("halt")
    assert "halt" not in fake.received


def test_a_folder_that_is_a_link_is_not_followed(uml_dir: Path, fake: FakeConsole, sockets: ReplySockets) -> None:
    (uml_dir / "link").symlink_to(fake.directory)
    with pytest.raises(NotThereError):
        Console(str(uml_dir / "link" / "mconsole"), sockets=sockets).command("halt")
    assert "halt" not in fake.received


def test_another_process_that_took_over_the_path_is_asked_and_heard_alone(
    uml_dir: Path, fake: FakeConsole, sockets: ReplySockets
) -> None:
    """A restarted instance has a new socket at the path; the earlier instance cannot answer for it."""
    console = Console(str(fake.console), sockets=sockets)
    assert console.command("version").ok
    fake.console.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(fake.console))
        other.settimeout(SHORT)
        with pytest.raises(UnansweredError):
            console.command("version", timeout=SHORT)
        assert other.recv(1024).endswith(b"version")
    assert fake.received == ["version"]


def test_a_pid_file_that_is_a_link_is_not_read(uml_dir: Path, fake: FakeConsole) -> None:
    (uml_dir / "number").write_text(f"{os.getpid()}\n")
    (fake.directory / "pid").unlink()
    (fake.directory / "pid").symlink_to(uml_dir / "number")
    assert Console(str(fake.console)).pid() is None


# A console that is new.


@pytest.mark.parametrize(("age", "is_young"), [(0.0, True), (9.0, True), (11.0, False), (-5.0, False)])
def test_a_console_is_young_for_some_seconds_by_a_clock_that_goes_on(
    console: Console, monkeypatch: pytest.MonkeyPatch, age: float, is_young: bool
) -> None:
    monkeypatch.setattr(socket_id, "age", lambda _path: age)
    assert console.is_young is is_young


def test_a_console_that_is_not_there_is_not_young(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert Console(str(uml_dir / "a" / "mconsole")).age() == math.inf


def test_the_disk_driver_is_looked_for_once_a_boot(console: Console, fake: FakeConsole) -> None:
    assert [console.drives_disks() for _look in range(3)] == [True] * 3
    assert fake.received == ["proc devices"]
    fake.kernel.files["devices"] = b"Block devices:\n  7 loop\n"
    console.command("reboot")
    wait_until(lambda: not console.drives_disks(), 60, "another boot, without a driver")
