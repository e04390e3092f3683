# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places, names and command lines of instances; what runs is a fake console, whose process is this one."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._backup import backup
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import removal, shutdown
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import instances, kernel_processes, procfs, states
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import (
    InputError,
    NotAllowedError,
    NotThereError,
)
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Instance, Place
from support.fake import FakeConsole
from support.wait import wait_until

HOME = os.path.expanduser("~")


@pytest.fixture
def fake(uml_dir: Path) -> Iterator[FakeConsole]:
    """Yield a fake console."""
    with FakeConsole(uml_dir) as started:
        yield started


def dead(uml_dir: Path, umid: str, pid: str | None = "999999999") -> Path:
    """Make what a crash leaves: a socket without a listener, and a pid file."""
    folder = uml_dir / umid
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "mconsole"))
    if pid is not None:
        (folder / "pid").write_text(pid)
    return folder


def test_a_place_knows_its_files() -> None:
    place = Place("web1", "/run/uml")
    assert (place.directory, place.console) == ("/run/uml/web1", "/run/uml/web1/mconsole")
    assert place.pid_file == "/run/uml/web1/pid"


def test_the_default_uml_dir_is_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert instances.default_uml_dir() == "/somewhere/.uml"
    monkeypatch.delenv("HOME")
    assert instances.default_uml_dir() == f"{pwd.getpwuid(os.getuid()).pw_dir}/.uml"


@pytest.mark.parametrize(("given", "meant"), [("~/x", f"{HOME}/x"), ("/a/../b/", "/b"), (None, f"{HOME}/.uml")])
def test_a_uml_dir_is_made_absolute(given: str | None, meant: str) -> None:
    assert instances.place("web1", given) == ("web1", meant)


def test_no_place_has_a_deadly_name() -> None:
    with pytest.raises(InputError):
        instances.place("..", "/run/uml")


LINES: list[tuple[list[str], str]] = [
    (["uml_dir=/run/uml"], "/run/uml"),
    (["uml_dir=/run/uml/"], "/run/uml"),
    (["uml_dir=/a", "uml_dir=/b"], "/b"),
    (["uml_dir=~/x"], "{home}/x"),
    (["uml_dir="], "{home}/.uml"),
    (["umid=x"], "{home}/.uml"),
    (["uml_dir=rel"], "{cwd}/rel"),
]


@pytest.mark.parametrize(("words", "meant"), LINES, ids=[str(words) for words, _meant in LINES])
def test_a_command_line_tells_the_uml_dir(words: list[str], meant: str) -> None:
    home = procfs.environ(os.getpid()).get("HOME", HOME)
    expected = meant.format(home=home, cwd=os.getcwd())
    assert kernel_processes.uml_dir_of(os.getpid(), ["linux", *words]) == expected


def test_a_process_that_executes_itself_has_a_command_line_all_the_while() -> None:
    """As a kernel that reboots: until its old memory is freed, its cmdline reads empty and its maps have one line."""
    program = "import os; ballast = b'x' * (256 << 20); os.execv('/bin/sh', ['sh', '-c', 'read until_the_end'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        seen: list[str] = []
        while "read until_the_end" not in (seen or [""])[-1]:
            seen.append(" ".join(procfs.argv(process.pid)))
        assert process.stdin is not None
        process.stdin.close()
    assert all(seen), f"{seen.count('')} looks of {len(seen)} saw no command line"


# Two that wake each other in turn, as a kernel and the helper that writes its disks; they end when the first is killed.
IN_TURNS = """
import os, signal, sys
stop = []
signal.signal(signal.SIGUSR1, lambda *_args: stop.append(1))
(theirs_too, ours_too), (ours, theirs) = os.pipe(), os.pipe()
child = os.fork()
read, write = (ours, ours_too) if child else (theirs_too, theirs)
for end in {ours, theirs, ours_too, theirs_too} - {read, write}:
    os.close(end)
if child:
    print(child, flush=True)
    sys.stdin.readline()
    while not stop:
        os.write(write, b"x")
        os.read(read, 1)
    print("done", flush=True)
    sys.stdin.read()
else:
    while word := os.read(read, 1):
        os.write(write, word)
"""


def test_two_that_work_in_turns_do_not_rest_until_they_are_done() -> None:
    """Seen one after the other, both are asleep at times."""
    with subprocess.Popen(
        [sys.executable, "-c", IN_TURNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pids = [process.pid, int(process.stdout.readline())]
            wait_until(lambda: backup._rests(pids), 60, "both wait")
            print(file=process.stdin, flush=True)
            wait_until(lambda: not backup._rests(pids), 60, "they work")
            assert not any(backup._rests(pids) for _look in range(300))
            process.send_signal(signal.SIGUSR1)
            assert process.stdout.readline() == "done\n"
            wait_until(lambda: backup._rests(pids), 60, "both wait again")
        finally:
            process.kill()


def test_a_listening_console_is_an_instance(fake: FakeConsole, uml_dir: Path) -> None:
    (found,) = instances.discover([str(uml_dir)])
    assert (found.place, found.pid, found.alive) == ((fake.umid, str(uml_dir)), os.getpid(), True)
    assert instances.find_instance(found.place) == found._replace(members=(os.getpid(),))
    assert states.probe(found).state == "running"
    assert fake.received == ["version"]


@pytest.mark.parametrize("pid", [None, "", "x", "-1", "999999999", "1\n", "9" * 30, "\u0663"])
def test_whatever_a_pid_file_says_a_dead_one_is_stale(pid: str | None, uml_dir: Path) -> None:
    dead(uml_dir, "gone", pid)
    (found,) = instances.discover([str(uml_dir)])
    assert (found.alive, found.members) == (False, ())
    assert states.run_state(found)[0] == "stale"
    assert instances.places(str(uml_dir)) == [("gone", str(uml_dir))]


def test_a_pid_file_may_be_a_trap(uml_dir: Path) -> None:
    folder = dead(uml_dir, "trap", None)
    os.mkfifo(folder / "pid")
    assert [each.pid for each in instances.discover([str(uml_dir)])] == [None]


def test_a_boot_that_ended_early_is_seen(uml_dir: Path) -> None:
    (uml_dir / "early").mkdir()
    (uml_dir / "early" / "pid").write_text("999999999\n")
    assert [each.place.umid for each in instances.discover([str(uml_dir)])] == ["early"]


def test_what_is_no_instance_is_none(uml_dir: Path) -> None:
    (uml_dir / "empty").mkdir()
    (uml_dir / "file").touch()
    (uml_dir / "program").mkdir()
    (uml_dir / "program" / "pid").write_text("1\n")
    (uml_dir / "program" / "mconsole").touch()
    dead(uml_dir, "real")
    (uml_dir / "link").symlink_to(uml_dir / "real")
    assert [each.place.umid for each in instances.discover([str(uml_dir)])] == ["real"]


def test_two_spellings_of_a_directory_are_one(uml_dir: Path) -> None:
    dead(uml_dir, "one")
    (uml_dir / "link").symlink_to(uml_dir)
    found = instances.discover([str(uml_dir), f"{uml_dir}/.", str(uml_dir / "link"), "/nonexistent"])
    assert [each.place.uml_dir for each in found] == [str(uml_dir)]


def test_a_name_that_is_not_there_says_what_is(uml_dir: Path) -> None:
    for number in range(12):
        dead(uml_dir, f"i{number:02}")
    with pytest.raises(NotThereError, match=r"there are i00, .*, i09 and 2 more$") as caught:
        instances.locate("web1", str(uml_dir))
    assert len(caught.value.facts["known"]) == 12


def test_the_default_directory_comes_first(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(uml_dir))
    (uml_dir / ".uml").mkdir()
    dead(uml_dir / ".uml", "web1")
    assert instances.locate("web1") == ("web1", f"{uml_dir}/.uml")


def test_a_closed_directory_names_its_owner(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(instances.os, "lstat", refuse)
    with pytest.raises(NotAllowedError, match=rf"look for 'web1' in {uml_dir}, which belongs to"):
        instances.locate("web1", str(uml_dir))


def test_one_look_at_a_host_with_many_is_quick(uml_dir: Path) -> None:
    for number in range(50):
        dead(uml_dir, f"i{number}")
    times = []
    for _again in range(5):
        begin = time.perf_counter()
        assert len(instances.discover([str(uml_dir)])) == 50
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.25  # 0.01 on an idle machine


# What is done to what is left.


def stale(uml_dir: Path, umid: str, pid: int) -> Instance:
    """Return a dead instance."""
    return Instance(Place(umid, str(uml_dir)), pid, False, (), "", (), os.getuid(), 0)


def test_what_a_crash_left_is_removed(uml_dir: Path) -> None:
    folder = dead(uml_dir, "gone")
    removal.remove(Place("gone", str(uml_dir)), 999999999)
    assert not folder.exists()


def test_what_another_has_taken_meanwhile_is_not(uml_dir: Path) -> None:
    folder = dead(uml_dir, "taken", "1\n")
    removal.remove(Place("taken", str(uml_dir)), 999999999)
    assert sorted(os.listdir(folder)) == ["mconsole", "pid"]


def test_files_of_others_and_links_are_not(uml_dir: Path) -> None:
    folder = dead(uml_dir, "mixed")
    (folder / "note").write_text("mine")
    with pytest.raises(NotAllowedError, match="cannot be removed"):
        removal.remove(Place("mixed", str(uml_dir)), 999999999)
    assert os.listdir(folder) == ["note"]
    (uml_dir / "link").symlink_to(dead(uml_dir, "real"))
    removal.remove(Place("link", str(uml_dir)), 999999999)
    assert sorted(os.listdir(uml_dir / "real")) == ["mconsole", "pid"]


def test_nobody_is_killed_for_a_number_in_a_file(uml_dir: Path) -> None:
    assert shutdown.kill_members(stale(uml_dir, "gone", os.getpid())) == []
    assert shutdown.kill_members(stale(uml_dir, "gone", os.getsid(0))) == []


CONSOLE_OWNER = """
import os, socket, sys
console = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
console.bind(sys.argv[3] + "/mconsole")
memory = open(sys.argv[3] + "/../vm_file-x", "w")
os.unlink(memory.name)
print("up", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("names_itself", [True, False])
def test_a_removed_pid_file_hides_no_process(names_itself: bool, tmp_path: Path) -> None:
    """A random umid is in no command line; then the name is that of the console which the process has open."""
    (tmp_path / "a").mkdir()
    (tmp_path / "owner").write_text(CONSOLE_OWNER)
    words = ["umid=a" if names_itself else "mem=64M", f"uml_dir={tmp_path}"]
    program = [sys.executable, str(tmp_path / "owner")]
    with subprocess.Popen(
        [*program, words[1], words[0], str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        where = Place("a", str(tmp_path))
        found = instances.find_instance(where)
        assert found is not None
        assert (found.pid, found.alive) == (process.pid, True)
        assert Console(where.console, "a").pid() == process.pid
        removal.remove(where, None)
        assert (tmp_path / "a" / "mconsole").exists()
        process.kill()
    assert Console(where.console, "a").pid() is None
