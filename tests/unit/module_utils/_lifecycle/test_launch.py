# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel command lines, written and read back; what a log shows; and which task a lock lets in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._guest import console_log
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import (
    kernel_arg_groups,
    kernel_args,
    launch,
    readiness,
    removal,
)
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import liveness, locks, parsing, procfs
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error, InputError, UnansweredError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Place

PLACE = Place("web1", "/run/uml")
NOTIFY = "mconsole=notify:/run/uml/.notify"
DEFAULTS = ["mem=128M", NOTIFY, "ubd0c=/dev/null", "con0=null,fd:1", "ssl1=pts", "ssl=null", "con=null"]

OPTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"memory": "96M"}, ["mem=96M"]),
    ({"memory": "128MB"}, ["mem=128M"]),
    ({"memory": "128 MiB"}, ["mem=128M"]),
    ({"memory": "0x8000000"}, ["mem=128M"]),
    ({"memory": "1.5G"}, ["mem=1536M"]),
    ({"memory": "1T"}, ["mem=1T"]),
    ({"memory": "100000k"}, ["mem=100000K"]),
    ({"devices": {"ubd1": {"file": "/i", "read_only": "false", "synchronous": "yes"}}}, ["ubd1s=/i"]),
    ({"devices": {"con1": {"state": "absent"}, "ubd1": {"state": "absent"}}}, ["con1=none"]),
    ({"ncpus": 2}, ["ncpus=2"]),
    ({"notify": "/run/n.sock"}, ["mconsole=notify:/run/n.sock"]),
    ({"root": {"image": "/i"}}, ["root=/dev/ubda", "rw", "ubd0=/i"]),
    ({"root": {"image": "/i", "read_only": True}}, ["root=/dev/ubda", "ro", "ubd0r=/i"]),
    ({"root": {"image": "/i", "cow": "/{umid}.cow"}}, ["root=/dev/ubda", "rw", "ubd0=/web1.cow,/i"]),
    ({"kernel_args": {"id": "{machine_id}"}}, ["id=9f84a643dc8caf670390540d1b2fec8d"]),
    ({"devices": {"vec0": "transport=tap,ifname=t,mac={mac}"}}, ["vec0:transport=tap,ifname=t,mac=02:3f:2b:c4:cb:2f"]),
    ({"devices": {"vec1": "transport=tap,ifname=t,mac={mac1}"}}, ["vec1:transport=tap,ifname=t,mac=02:bf:61:32:d6:5a"]),
    ({"root": {"image": "/i", "cow": "/c", "read_only": True}}, ["root=/dev/ubda", "ro", "ubd0=/c,/i"]),
    (
        {"root": {"image": "/i", "fstype": "ext4", "init": "/x"}},
        ["root=/dev/ubda", "rootfstype=ext4", "rw", "init=/x", "ubd0=/i"],
    ),
    ({"root": {"hostfs": "/srv//r"}}, ["rootfstype=hostfs", "rootflags=/srv/r", "rw"]),
    ({"root": {"initrd": "/r.gz", "init": "/x"}}, ["initrd=/r.gz", "rdinit=/x"]),
    (
        {"root": {"initrd": "/r", "image": "/i", "init": "/x"}},
        ["root=/dev/ubda", "rw", "init=/x", "initrd=/r", "ubd0=/i"],
    ),
    ({"devices": {"ubd1": "/a,/b"}}, ["ubd1=/a,/b"]),
    ({"devices": {"ubdbr": "/a"}}, ["ubd1r=/a"]),
    ({"devices": {"ubd2": {"file": "/a", "read_only": True}}}, ["ubd2r=/a"]),
    ({"devices": {"ubd0": "/data"}}, ["ubd0=/data"]),
    ({"devices": {"con1": "pts", "ssl3": "none"}}, ["con1=pts", "ssl3=none"]),
    ({"kernel_args": ["quiet", "a=b_c", 'd="e f"']}, ["quiet", "a=b_c", 'd="e f"']),
    (
        {"kernel_args": {"quiet": None, "debug": True, "x": False, "n": 5, "host": "{umid}.de"}},
        ["quiet", "debug", "n=5", "host=web1.de"],
    ),
]


@pytest.mark.parametrize(("options", "words"), OPTIONS, ids=[str(options) for options, _words in OPTIONS])
def test_options_become_words(options: dict[str, Any], words: list[str]) -> None:
    found = kernel_args.desired(options, "web1")
    assert sorted(word for group in found.values() for word in group) == sorted(words)


@pytest.mark.parametrize(("options", "words"), OPTIONS, ids=[str(options) for options, _words in OPTIONS])
def test_words_read_back_are_no_difference(options: dict[str, Any], words: list[str]) -> None:
    wanted = kernel_args.desired(options, "web1")
    line = kernel_args.compose(PLACE, wanted)
    assert kernel_args.differences(wanted, kernel_arg_groups.split(line)) == {}
    assert line[:2] == ["umid=web1", "uml_dir=/run/uml"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory": "64XB"}, "not a size"),
    ({"memory": "128"}, "128 bytes; did you mean 128M"),
    ({"memory": "-64M"}, "not a size"),
    ({"notify": "n.sock"}, "relative path"),
    ({"root": {"read_only": True}}, "neither image nor hostfs nor initrd"),
    ({"root": {"image": "/i", "hostfs": "/"}}, "one of them"),
    ({"root": {"initrd": "/i", "cow": "/c"}}, "cow without image"),
    ({"root": {"image": "/a,b"}}, "comma or a colon"),
    ({"root": {"image": "/a b"}}, "not one word"),
    ({"root": {"initrd": "/a\nb"}}, "not one word"),
    ({"root": {"image": "/i"}, "devices": {"ubd0": "/j"}}, "given twice"),
    ({"devices": {"ubd1": "/i", "ubdb": "/j"}}, "given twice"),
    ({"devices": {"mem": "+1"}}, "memory is not a device"),
    ({"devices": {"ubd1": None}}, "devices.ubd1 is empty; expected a setting"),
    ({"devices": {"con1": {}}}, "devices.con1 is empty; expected a setting, or one of channel"),
    ({"devices": {"vec0": {}}}, "devices.vec0 is empty"),
    ({"devices": {"ubd1": 5}}, "devices.ubd1 is 5; expected a text or a dictionary"),
    ({"devices": {"ubd1": ["/i"]}}, "expected a text or a dictionary"),
    ({"devices": {"ubd1": {"fiel": "/i"}}}, "devices.ubd1 has unknown options: fiel; expected"),
    (
        {"devices": {"ubd1": {"file": "/i", "read_only": "maybe"}}},
        "devices.ubd1.read_only is 'maybe'; expected true or",
    ),
    ({"devices": {"ubd1": {"file": ["/i"]}}}, r"devices.ubd1.file is \['/i'\]; expected a text"),
    ({"devices": {"ubd1": {"channel": "pts"}}}, "no channel"),
    ({"kernel_args": "quiet"}, "expected a list of words or a dictionary"),
    ({"kernel_args": ["umid=x"]}, "option umid"),
    ({"kernel_args": {"uml_dir": "/x"}}, "option uml_dir"),
    ({"kernel_args": ["--help"]}, "takes no options"),
    ({"kernel_args": [""]}, "not one word"),
    ({"kernel_args": ["a\0b"]}, "not one word"),
    ({"kernel": "/nonexistent"}, "the kernel /nonexistent does not exist"),
    ({"kernel": "/etc/passwd"}, "the kernel /etc/passwd is not executable by this user"),
    (
        {"kernel": "linux.umll"},
        "no kernel named 'linux.umll' in /usr/local/sbin:.*; install the package",
    ),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=[str(options) for options, _said in REFUSED])
def test_what_a_kernel_would_misread_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        kernel_args.desired(options, "web1")


def test_defaults_give_way() -> None:
    assert kernel_args.compose(PLACE, {})[2:] == DEFAULTS
    wanted = kernel_args.desired({"devices": {"con0": "pts", "ubd0": "/i"}}, "web1")
    words = ["mem=128M", NOTIFY, "ubd0=/i", "ssl1=pts", "ssl=null", "con=null", "con0=pts"]
    assert kernel_args.compose(PLACE, wanted)[2:] == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"notify": "/n"}, ["mconsole=notify:/n"]),
        ({"kernel_args": ["mconsole=notify:/n"]}, ["mconsole=notify:/n"]),
        ({"notify": ""}, []),
    ],
    ids=["notify", "arguments", "none"],
)
def test_another_notify_socket_takes_the_place_of_the_shared_one(options: dict[str, Any], words: list[str]) -> None:
    line = kernel_args.compose(PLACE, kernel_args.desired(options, "web1"))
    assert [word for word in line if word.startswith("mconsole=")] == words


def test_a_notify_path_that_is_not_one_word_is_left_out() -> None:
    assert "notify" not in " ".join(kernel_args.compose(Place("web1", "/run/u m l"), {}))


def test_an_instance_of_before_gets_no_notify_socket_by_a_restart() -> None:
    assert "mconsole=" not in " ".join(kernel_args.compose(PLACE, kernel_args.desired({"memory": "96M"}, "web1"), OLD))


OLD = [
    "/usr/bin/linux",
    "umid=old",
    "uml_dir=here",
    "mem=64M",
    "root=98:0",
    "ubd0=/i",
    "con0=fd:0,fd:1",
    "quiet",
    "x=1",
]


def test_what_is_not_wanted_otherwise_is_kept() -> None:
    wanted = kernel_args.desired({"memory": "96M"}, "web1")
    line = kernel_args.compose(PLACE, wanted, OLD)
    assert set(line) == {"umid=web1", "uml_dir=/run/uml", "mem=96M", *OLD[4:]}
    assert kernel_args.differences(wanted, kernel_arg_groups.split(OLD[1:])) == {
        "memory": {"running": ["mem=64M"], "wanted": ["mem=96M"]}
    }


def test_a_group_is_compared_as_a_whole_and_in_any_order() -> None:
    actual = kernel_arg_groups.split(OLD[1:])
    assert kernel_args.differences(kernel_args.desired({"kernel_args": ["x=1", "quiet"]}, "old"), actual) == {}
    assert set(kernel_args.differences(kernel_args.desired({"kernel_args": ["quiet"]}, "old"), actual)) == {
        "kernel_args"
    }
    assert kernel_args.differences(kernel_args.desired({"memory": "65536k"}, "old"), actual) == {}


def test_words_after_two_dashes_are_for_init() -> None:
    assert kernel_arg_groups.split(["mem=64M", "--", "mem=1"])["kernel_args"] == ["--", "mem=1"]


@pytest.mark.parametrize(("text", "bytes_"), [("64M", 64 << 20), ("1g", 1 << 30), ("65536K", 64 << 20), ("123", 123)])
def test_sizes(text: str, bytes_: int) -> None:
    assert parsing.parse_size(text) == bytes_


# The console log.


PANIC = "booting\nKernel panic - not syncing: no root\nCPU: 0\n [<6002d37a>] show_stack\nKernel panic - twice\n"


def test_the_first_panic_is_what_a_kernel_ended_by(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Kernel panic - of an older boot\n" + PANIC)
    start = len("Kernel panic - of an older boot\n")
    assert console_log.complaint(str(log), start) == "Kernel panic - not syncing: no root"
    assert console_log.tail(str(log), start) == ["booting", "Kernel panic - not syncing: no root"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it printed nothing"),
        ("one\ntwo\n\n", "two"),
        ("x Too few physical memory! Needed=2\nbye\n", "Too few physical memory! Needed=2"),
    ],
)
def test_else_the_last_words_are(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(text)
    assert console_log.complaint(str(tmp_path / "log"), 0) == said


def test_a_guest_cannot_write_to_the_terminal_of_who_reads() -> None:
    evil = "a\x1b[31mred\x1b[0m\x1b]0;title\x07b\x00\x07\x9b31m\u202ec\r\nd\te\n"
    assert console_log.harmless(evil) == "aredb31mc\nd\te\n"


def test_a_log_is_made_for_its_owner_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _again in range(2):
        descriptor = console_log.open_log(str(path))
        os.write(descriptor, b"x")
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    assert path.read_text() == "xx"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_is_no_link_and_no_pipe(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.touch()
    (tmp_path / "soft").symlink_to(precious)
    os.link(precious, tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    for name in ("soft", "hard", "pipe", "."):
        with pytest.raises(InputError):
            console_log.open_log(str(tmp_path / name))
    os.close(console_log.open_log(os.devnull))


# Locks.


HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "r+b")
fcntl.lockf(stream, fcntl.LOCK_SH if sys.argv[2] == "shared" else fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("kind", "reader", "writer"), [("shared", False, True), ("exclusive", True, True)])
def test_who_holds_a_disk_is_known(kind: str, reader: bool, writer: bool, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"0" * 512)
    command = [sys.executable, "-c", HOLD, str(path), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert locks.holder(str(path), False) == (holder.pid if reader else None)
        assert locks.holder(str(path), True) == (holder.pid if writer else None)
        holder.communicate(b"")
    assert locks.holder(str(path), True) is None
    assert locks.holder(str(tmp_path / "none"), True) is None


def test_a_name_is_held_by_one_at_a_time_and_leaves_nothing(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _turn in range(20):
            with locks.named(lambda: str(tmp_path), "name", time.monotonic() + 30, "busy"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_taken_although_the_directory_is_removed_again_and_again(tmp_path: Path) -> None:
    """The last client of a user removes the private directory, also between the moment that it is made and its use."""
    private, removals = tmp_path / "private", [None] * 3

    def directory() -> str:
        private.mkdir(exist_ok=True)
        if removals:
            removals.pop()
            private.rmdir()
        return str(private)

    with locks.named(directory, "name", time.monotonic() + 30, "busy"):
        (lock,) = private.iterdir()
        lock.unlink()  # as a cleaner of /tmp does
    assert list(private.iterdir()) == []


def test_who_waits_too_long_does_nothing(tmp_path: Path) -> None:
    with locks.named(lambda: str(tmp_path), "name", time.monotonic() + 1, "busy"):
        with pytest.raises(UnansweredError, match="busy; nothing was done"):
            locks.named(lambda: str(tmp_path), "name", time.monotonic() + 0.1, "busy").__enter__()
        with locks.named(lambda: str(tmp_path), "other", time.monotonic() + 1, "busy"):
            pass


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    with locks.named(lambda: str(tmp_path), "name", time.monotonic() + 1, "busy"):
        (left,) = tmp_path.iterdir()
        text = left.name
    (tmp_path / text).touch()
    with locks.named(lambda: str(tmp_path), "name", time.monotonic() + 1, "busy"):
        pass
    assert list(tmp_path.iterdir()) == []


# What a kernel is started with.


def test_a_kernel_finds_nothing_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "TMP", "TEMP", "DISPLAY", "SECRET"):
        monkeypatch.setenv(name, "/nonexistent")
    assert set(launch.environment()) == {"HOME", "PATH", "USER", "LOGNAME"}
    assert launch.environment("/dev/shm")["TMPDIR"] == "/dev/shm"


def test_a_line_that_came_just_before_the_end_is_found(tmp_path: Path) -> None:
    """The guest writes its line and powers off between two looks: the kernel's process has ended at the next one."""
    log = tmp_path / "log"
    log.write_text("DONE\n")
    made = launch.Launch(PLACE, ["/k"], {}, "/", str(log))
    started = launch.Started(made, Ended(), 0)
    readiness.Readiness("log", "^DONE").wait(started, None, time.monotonic() + 1)
    with pytest.raises(Error, match="ended with status 0"):
        readiness.Readiness("log", "^NEVER").wait(started, None, time.monotonic() + 1)


class Ended:
    """A kernel's process that has ended."""

    pid = 1

    def poll(self) -> int:
        """Return its status."""
        return 0

    def terminate(self) -> None:
        """Do nothing."""


def test_the_directory_of_a_live_console_is_never_cleared(tmp_path: Path) -> None:
    """Also where the process cannot be seen: neither by its pid file nor in this pid namespace."""
    where = Place("a", str(tmp_path))
    (tmp_path / "a").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as console:
        console.bind(str(tmp_path / "a" / "mconsole"))
        removal.remove(where, None)
        assert (tmp_path / "a" / "mconsole").exists()
    removal.remove(where, None)
    assert not (tmp_path / "a").exists()


def test_a_file_system_of_several_machines_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    line = f"1 2 {os.major(device)}:{os.minor(device)} / {tmp_path} rw - {{}} server:/home rw\n"
    for kind, found in (("nfs4", "nfs4"), ("ext4", None), ("fuse.sshfs", "fuse.sshfs")):
        monkeypatch.setattr(procfs, "read_text", lambda _path, kind=kind: line.format(kind))
        assert liveness.shared_filesystem(str(tmp_path)) == found
