# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the collector: a notify socket, a console log that grows, patterns, and what is written of it all."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._collector import patterns, recorder, session
from ansible_collections.uml.mconsole.plugins.module_utils._collector.log_follower import LogFollower
from ansible_collections.uml.mconsole.plugins.module_utils._collector.rate_limit import RateLimit
from ansible_collections.uml.mconsole.plugins.module_utils._collector.recorder import Recorder
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import notify
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.notify import Datagram, Listener
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from ansible_collections.uml.mconsole.plugins.module_utils._program import bundle

# The notify socket.


@pytest.fixture
def path(uml_dir: Path) -> str:
    """Return a path for a notify socket."""
    return str(uml_dir / ".notify")


def test_a_datagram_comes_with_its_sender(path: str) -> None:
    with contextlib.closing(Listener(path)) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for text in (b"one", b"", b"x" * 4000):
            sender.sendto(text, path)
        assert listener.drain(2) == [Datagram(b"one", os.getpid()), Datagram(b"", os.getpid())]
        (long,) = listener.drain(9)
        assert len(long.data) > 528  # longer than any notification, so that it shows
        assert listener.drain(9) == []


def test_descriptors_that_are_sent_along_are_not_taken(path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.closing(Listener(path)) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(path)
        socket.send_fds(sender, [b"x"], [0, 1, 2])
        assert [each.data for each in listener.drain(9)] == [b"x"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_is_its_owner_s_alone_and_its_queue_is_long(path: str) -> None:
    with contextlib.closing(Listener(path)) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        assert os.stat(path).st_mode & 0o777 == 0o600
        sender.setblocking(False)
        for _each in range(100):
            sender.sendto(b"x", path)
        assert len(listener.drain(1000)) == 100


def test_what_is_in_its_place_is_left_alone(path: str, uml_dir: Path) -> None:
    precious = uml_dir / "precious"
    precious.write_text("kept")
    Path(path).symlink_to(precious)
    with pytest.raises(Error, match="is not a socket"):
        Listener(path)
    os.unlink(path)
    Path(path).symlink_to(uml_dir / "nowhere")
    with pytest.raises(Error, match="is not a socket"):
        Listener(path)
    assert (precious.read_text(), sorted(uml_dir.iterdir())) == ("kept", [Path(path), precious])


def test_one_that_is_heard_is_left_alone_and_a_dead_one_is_replaced(path: str) -> None:
    first = Listener(path)
    with pytest.raises(Error, match="another process listens"):
        Listener(path)
    os.rename(path, f"{path}.old")
    assert not first.is_reached()
    with contextlib.closing(Listener(path)) as second:
        first.close()
        assert second.is_reached()
    assert not os.path.exists(path)
    os.rename(f"{path}.old", path)  # no collector holds it any more
    with contextlib.closing(Listener(path)) as third:
        assert third.is_reached()


@pytest.mark.parametrize(("place", "said"), [("x" * 120, "over 107 bytes"), ("none/.notify", "no directory")])
def test_a_path_that_cannot_be_is_told(place: str, said: str, uml_dir: Path) -> None:
    with pytest.raises(Error, match=said):
        Listener(str(uml_dir / place))


LINES: list[tuple[list[str], str | None]] = [
    ([], None),
    (["mem=64M"], None),
    (["mconsole=notify:/a"], "/a"),
    (["mconsole=notify:/a", "mconsole=notify:/b"], "/b"),
    (["mconsole=notify:n.sock"], "/work/dir/n.sock"),
    (['mconsole="notify:/a"'], "/a"),
    (["mconsole=notify:"], None),
    (["--", "mconsole=notify:/a"], None),
]


@pytest.mark.parametrize(("words", "found"), LINES, ids=[" ".join(words) for words, _found in LINES])
def test_a_command_line_tells_its_notify_socket(words: list[str], found: str | None) -> None:
    assert notify.path_of(["linux", *words], "/work/dir") == found


# Console logs.

EACH = patterns.watches([{"name": "x", "regex": "x"}])


class Log:
    """A console log and its follower."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"x before\n")
        self.follower = LogFollower(str(path), os.open(path, os.O_RDONLY))

    def add(self, data: bytes) -> list[str]:
        """Write more and return what is found in it."""
        with self.path.open("ab") as stream:
            stream.write(data)
        return self.read_new_lines()

    def read_new_lines(self) -> list[str]:
        """Return what is found now."""
        found: list[str] = []
        more = True
        while more:
            lines, more = self.follower.read_new_lines(EACH)
            found += [line for _watch, line in lines]
        return found


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Yield a log that is followed from its present end."""
    return Log(tmp_path / "log")


def test_lines_are_found_as_they_end(log: Log) -> None:
    assert log.read_new_lines() == []
    assert log.add(b"x one\nother\nx tw") == ["x one"]
    assert log.add(b"o\r\n\nx\n") == ["x two", "x"]


def test_a_prompt_is_found_once(log: Log) -> None:
    assert log.add(b"x login: ") == []
    assert log.read_new_lines() == ["x login: "]
    assert log.read_new_lines() == []
    assert log.add(b"root\nx\n") == ["x"]


def test_half_a_line_that_is_nothing_yet_is_looked_at_again(log: Log) -> None:
    log.add(b"half")
    assert log.read_new_lines() == []
    assert log.add(b" x\n") == ["half x"]


def test_an_endless_line_is_cut_and_told_once(log: Log) -> None:
    found = log.add(b"x" * 2_000_000 + b"\nx after\n")
    assert [len(line) for line in found] == [8192, 7]


def test_nothing_hides_between_escapes(log: Log) -> None:
    (line,) = log.add(b"\x1b[3\x1b[1m\x1b]0;title\x07\x00 \x1b[31mx\xff\n")
    assert line.isprintable()
    assert line.endswith(" x\ufffd")


def test_a_log_that_is_cut_is_read_from_its_new_beginning(log: Log) -> None:
    log.add(b"x\nrest")
    os.truncate(log.path, 0)
    assert log.add(b"x new\n") == ["x new"]
    assert log.follower.cuts == 1


def test_a_log_that_is_renamed_is_followed_on(log: Log) -> None:
    log.path = log.path.rename(log.path.with_suffix(".1"))
    log.path.with_suffix("").write_bytes(b"x another's\n")
    assert log.add(b"x mine\n") == ["x mine"]


def test_what_comes_too_fast_is_left_out_and_counted(log: Log) -> None:
    with log.path.open("ab") as stream:
        stream.truncate(1 << 30)  # a hole, which costs no disk
    assert log.add(b"\nx end\n") == ["x end"]
    assert log.follower.skipped > 900 << 20


# Patterns: lines as real kernels print them.

KERNEL_LINES = {
    "Kernel panic - not syncing: sysrq triggered crash": "panic",
    "[   12.3] Oops: 0002 [#1] SMP": "oops",
    "BUG: kernel NULL pointer dereference, address: 0000000000000000": "oops",
    "Kernel mode fault at addr 0x0, ip 0x6003": "oops",
    "kernel BUG at fs/ext4/inode.c:1234!": "bug",
    "BUG: scheduling while atomic: swapper/0/0x00000002": "bug",
    "Out of memory: Killed process 123 (stress) total-vm:1kB": "out_of_memory",
    "sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0": "out_of_memory",
    "INFO: task mount:42 blocked for more than 120 seconds.": "hung_task",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]": "soft_lockup",
    "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:": "soft_lockup",
    "web1 login: ": "login",
    "web1 login:": "login",
    "login: root on tty1": None,
    "random: crng init done": None,
    "a debugger was found": None,
}


@pytest.mark.parametrize("line", KERNEL_LINES)
def test_what_is_unusual_is_found(line: str) -> None:
    found = [watch.name for watch, _line in patterns.find(patterns.watches([]), ["first", line, "last"])]
    assert found == ([KERNEL_LINES[line]] if KERNEL_LINES[line] else [])


def test_the_user_s_own_come_first_and_may_replace_one() -> None:
    wanted = patterns.watches([{"name": "bug", "regex": "^mine", "severity": "info"}])
    assert [(each.name, each.severity) for each, _line in patterns.find(wanted, ["mine", "BUG: x"])] == [
        ("bug", "info")
    ]


# What is written.


class Disk:
    """A journal that may be full."""

    def __init__(self) -> None:
        self.full = False
        self.events: list[dict[str, Any]] = []

    def append(self, event: dict[str, Any]) -> None:
        """Take one event."""
        if self.full:
            raise OSError(28, "No space left on device")
        self.events.append(event)


def test_a_full_disk_costs_the_oldest_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_RETRY", 0.0)
    disk = Disk()
    found = Recorder(disk.append, "here")
    disk.full = True
    for number in range(2500):
        found.add("message", str(number))
        if number % 100 == 0:
            found.flush()
    found.flush()
    disk.full = False
    found.flush()
    gap, *rest = disk.events
    assert (gap["type"], gap["lost"]) == ("gap", 1500)
    assert "No space left" in gap["data"]
    assert [each["data"] for each in rest] == [str(number) for number in range(1500, 2500)]
    assert found.counters == {"written": 1000, "lost": 1500, "limited": 0}


SAID = {
    "plain": "plain",
    "tab\tnew\nline": "tab\tnew\nline",
    "\x1b[31mred\x1b[0m": "red",
    "nul\0bell\a": "nulbell",
    "\udcff": "\ufffd",
    "{{ 1 }}": "{{ 1 }}",
    "\u202egnp.exe": "gnp.exe",
}


@pytest.mark.parametrize("text", SAID)
def test_what_a_guest_said_is_harmless(text: str) -> None:
    assert recorder.safe(text) == SAID[text]


def test_what_a_guest_said_is_bounded() -> None:
    assert recorder.safe("y" * 100000) == "y" * 8192
    assert len(recorder.safe("\u20ac" * 100000).encode()) <= 8192


def test_an_allowance_is_a_burst_and_then_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    allowance = RateLimit(10)
    assert sum(allowance.take() for _each in range(1000)) == 200
    assert allowance.pop_suppressed(is_over=False) == 0
    now[0] += 1.0
    assert allowance.pop_suppressed(is_over=False) == 800
    assert sum(allowance.take() for _each in range(1000)) == 10
    assert allowance.pop_suppressed(is_over=True) == 990
    assert all(RateLimit(0).take() for _each in range(10000))


# The program that a collector is started from.


def test_the_carried_program_is_whole_and_has_no_ansible() -> None:
    found = bundle.sources(session.ENTRY)
    assert {
        "uml_mconsole._collector.session",
        "uml_mconsole._journal.journal",
        "uml_mconsole._program.bootstrap",
    } <= set(found)
    assert not {f"uml_mconsole._operations.{name}" for name in registry.NAMES} & set(found)
    assert all(isinstance(source, str) for source in found.values())
