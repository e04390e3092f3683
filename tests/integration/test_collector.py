# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collector on real kernels: messages of instances, their ends, and its own restarts and failures."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, kernels, processes, uml, vmhost
from support import guest as guest_image
from support.events import Collecting, collecting
from support.run_operation import operate
from support.wait import wait_until

Launch = Callable[..., uml.Instance]


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that is not started yet."""
    with collecting(uml_dir) as found:
        yield found


@pytest.fixture
def running(collect: Collecting) -> Collecting:
    """Yield a collector that runs."""
    collect()
    return collect


def crash(guest: uml.Instance) -> None:
    """Let the guest's kernel panic; its answer has no end."""
    with contextlib.suppress(TimeoutError):
        guest.request("sysrq c", timeout=0.2)
    guest.wait_dead()


def told(collect: Collecting, umid: str) -> list[tuple[str, int, str]]:
    """Return (type, boot, data) of all that is in the journal about an instance, without its console log."""
    return [(each["type"], each["boot"], each["data"]) for each in collect.events(umid=umid) if each["type"] != "log"]


# Messages of instances.


@pytest.mark.parametrize("series", kernels.wanted())
def test_the_life_of_an_instance_is_told(series: str, running: Collecting, launch_guest: Launch) -> None:
    guest = launch_guest("a", kernel=kernels.path(series), notify=running.notify)
    guest.guest("printf 'one\\ntwo\\n' > /proc/mconsole")
    guest.request("stop")
    running.wait("paused", "a")
    guest.request("go")
    running.wait("resumed", "a")
    guest.request("reboot")
    running.wait("boot", "a", after=running.wait("resumed")["seq"])
    guest.wait_up(boots=2)
    crash(guest)
    running.wait("crashed", "a")
    console = str(guest.console)
    assert told(running, "a")[1:] == [
        ("boot", 1, console),
        ("message", 1, "up"),
        ("message", 1, "one\ntwo"),
        ("paused", 1, "its console shows it"),
        ("resumed", 1, "its console shows it"),
        ("boot", 2, console),
        ("message", 2, "up"),
        ("panic", 2, "sysrq triggered crash"),
        ("crashed", 2, running.events("crashed")[0]["data"]),
    ]
    assert {each["pid"] for each in running.events(umid="a")} == {guest.pid}
    assert {each["uml_dir"] for each in running.events(umid="a")} == {str(running.uml_dir)}
    assert running.events("log", umid="a")[-1]["pattern"] == "panic"


@pytest.mark.parametrize("series", kernels.wanted())
def test_an_instance_that_ends_by_itself_has_not_crashed(
    series: str, running: Collecting, launch_guest: Launch
) -> None:
    guest = launch_guest("a", kernel=kernels.path(series), notify=running.notify)
    guest.request("halt")
    event = running.wait("exited", "a")
    assert event.get("status", 0) == 0
    assert not running.events("crashed", "panic", "stale")


def test_an_instance_without_a_notify_socket_is_covered_as_far_as_it_can_be(
    running: Collecting, launch_guest: Launch
) -> None:
    guest = launch_guest("a")
    guest.guest("echo 'BUG: not really' > /dev/console; printf 'a login: ' > /dev/console")
    assert running.wait("log", data="BUG")["severity"] == "error"
    assert running.wait("log", data="login")["pattern"] == "login"
    guest.request("reboot")
    found = running.wait("boot", "a", after=running.events("log")[-1]["seq"])
    assert found["boot"] == 2, [(e["seq"], e["type"], e.get("boot"), e.get("data")) for e in running.events()]
    (row,) = running()["instances"]
    assert (row["notifications"], row["console_followed"]) == (False, True)
    assert "without a notify socket" in row["notifications_reason"]
    guest.kill()
    assert running.wait("crashed", "a").get("status", -9) == -9
    assert not running.events("message")


@pytest.mark.parametrize("series", kernels.wanted())
def test_nobody_who_listens_hurts_nobody(series: str, uml_dir: Path, launch_guest: Launch) -> None:
    """A guest boots, writes and panics if the notify socket is missing, is dead, or is not a socket."""
    path = uml_dir / ".notify"
    guest = launch_guest("a", kernel=kernels.path(series), notify=path)
    guest.guest("echo to nobody > /proc/mconsole")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    guest.guest("i=0; while [ $i -lt 100 ]; do echo to the dead > /proc/mconsole; i=$((i+1)); done")
    path.unlink()
    path.write_text("")
    guest.guest("echo to a file > /proc/mconsole")
    assert path.read_text() == ""
    crash(guest)


def test_what_a_crash_has_left_is_told_once(collect: Collecting, launch_guest: Launch) -> None:
    guest = launch_guest("a")
    crash(guest)
    collect()
    assert collect.wait("stale", "a")["pid"] == guest.pid
    launch_guest("b").request("halt")
    collect.wait("exited", "b")
    assert len(collect.events("stale")) == 1


def test_an_instance_of_the_module_is_covered_and_one_of_before_is_told(
    running: Collecting, launch_guest: Launch, uml_dir: Path
) -> None:
    old = launch_guest("old")
    root = {"initrd": str(guest_image.initrd()), "init": "/init"}
    arguments = {"uml_dir": str(uml_dir), "memory": "128M", "root": root}
    try:
        result = operate("instance", umid="new", **arguments)
        assert not result.get("failed"), result
        running.wait("message", "new", "up")
        assert not operate("instance", umid="new", restart="when_required", **arguments)["changed"]
        assert not operate("instance", umid="old", uml_dir=str(uml_dir))["changed"]
        assert coverage(uml_dir) == {"new": (True, "", True, ""), "old": (False, WITHOUT, True, "")}
        running("stopped")
        assert coverage(uml_dir) == {"new": (False, NOBODY, False, NOBODY), "old": (False, WITHOUT, False, NOBODY)}
        assert operate("instance", umid="new", state="restarted", **arguments)["state"] == "running"
    finally:
        operate("instance", umid="new", uml_dir=str(uml_dir), state="absent", stop_methods=["kill"])
    assert old.alive()


WITHOUT = "it was started without a notify socket"
NOBODY = "no collector covers it"


def coverage(uml_dir: Path) -> dict[str, tuple[bool, str, bool, str]]:
    """Return what instance_info says is covered of each instance, and why not."""
    rows = {
        each["umid"]: each["collector_coverage"] for each in operate("instance_info", uml_dir=str(uml_dir))["instances"]
    }
    parts = ("notifications", "notifications_reason", "console", "console_reason")
    return {umid: tuple(row[part] for part in parts) for umid, row in rows.items()}


# What a guest says is data.

LOOKUP = "{{ lookup(\\047pipe\\047, \\047touch /tmp/x\\047) }}"
NASTY = f"\\033[31mr\\033[0med\\033]0;title\\007 nul\\000 \\377\\376 {LOOKUP} \\302\\233x"


def test_what_a_guest_says_is_harmless(running: Collecting, launch_guest: Launch) -> None:
    running(patterns=[{"name": "any", "regex": "^(red|long)"}])
    guest = launch_guest("a", notify=running.notify)
    guest.guest(f"printf '{NASTY}' > /proc/mconsole; printf '{NASTY}\\n' > /dev/console")
    guest.guest("{ printf long; head -c 1000000 /dev/zero | tr '\\0' y; echo; echo long after; } > /dev/console")
    running.wait("log", data="long after")
    for event in running.events("message", "log", umid="a"):
        assert event["data"].isprintable(), event
        assert len(event["data"]) <= 8192
    assert "red nul \ufffd\ufffd {{ lookup('pipe', 'touch /tmp/x') }} x" in running.events("message")[-1]["data"]
    assert len(running.events("log", umid="a")) == 3  # one line each, however long


def test_odd_datagrams_are_told_and_hurt_nothing(running: Collecting, launch_guest: Launch) -> None:
    guest = launch_guest("a", notify=running.notify)
    hang = struct.pack("=QIiI", 0xCAFEBABE, 2, 2, 0) + b"\1\2\3\4"
    guest.guest("true")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"", b"x", hang, b"\xff" * 4000, struct.pack("=IIiI", 0xCAFEBABE, 2, 77, 0)):
            stranger.sendto(datagram, str(running.notify))
    guest.guest("echo after > /proc/mconsole")
    running.wait("message", "a", "after")
    odd = running.events("unknown")
    assert len(odd) == 5
    assert {each["umid"] for each in odd} == {None}
    assert {each["pid"] for each in odd} == {os.getpid()}


# What becomes of the collector.


def test_killed_and_started_again(running: Collecting, launch_guest: Launch) -> None:
    """No guest waits for it meanwhile, the journal is whole, and it records the gap."""
    pid = running()["pid"]
    guest = launch_guest("a", notify=running.notify)
    guest.guest("for i in 1 2 3 4 5 6 7 8 9; do echo before $i > /proc/mconsole; done")
    running.wait("message", "a", "before 9")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(pid), 60, "the collector gone")
    guest.guest("i=0; while [ $i -lt 500 ]; do echo meanwhile > /proc/mconsole; i=$((i+1)); done")
    again = running()
    assert again["changed"]
    guest.guest("echo after > /proc/mconsole")
    running.wait("message", "a", "after")
    assert not [each for each in running.events("message") if "meanwhile" in each["data"]]
    (gap,) = running.events("gap")
    assert "killed" in gap["data"]
    assert gap["seconds"] > 0
    lines = running.lines()
    assert [each["seq"] for each in lines] == list(range(1, len(lines) + 1))


def processes_of(pid: int) -> list[int]:
    """Return the process, if it runs."""
    return [each.pid for each in processes.running() if each.pid == pid]


def test_one_that_hangs_is_replaced_with_its_settings_kept(running: Collecting) -> None:
    pid = running(event_rate=7.0)["pid"]
    os.kill(pid, signal.SIGSTOP)
    result = operate("collector", journal_dir=str(running.directory))
    assert result["diff"]["before"]["state"] == "hung"
    assert not processes_of(pid)
    assert result["diff"]["after"]["uml_dirs"] == [str(running.uml_dir)]
    assert result["diff"]["after"]["event_rate"] == 7.0


def test_its_sockets_are_made_again(running: Collecting, launch_guest: Launch) -> None:
    guest = launch_guest("a", notify=running.notify)
    running.notify.unlink()
    wait_until(running.notify.exists, 60, "the notify socket again")
    guest.guest("echo again > /proc/mconsole")
    running.wait("message", "a", "again")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as thief:
        running.notify.unlink()
        thief.bind(str(running.notify))
        thief.settimeout(10)
        guest.guest("echo stolen > /proc/mconsole")
        assert b"stolen" in thief.recv(4096)
        wait_until(lambda: "another process" in running()["instances"][0]["notifications_reason"], 60, "it noticed")
    guest.guest("echo lost > /proc/mconsole")
    wait_until(lambda: running()["instances"][0]["notifications"], 60, "it has it back")
    guest.guest("echo mine > /proc/mconsole")
    running.wait("message", "a", "mine")


def test_it_ends_cleanly(running: Collecting) -> None:
    pid = running()["pid"]
    assert running("stopped", check=True)["changed"]
    assert running()["pid"] == pid
    result = running("stopped")
    assert (result["changed"], result["state"], result["pid"]) == (True, "stopped", None)
    assert not processes_of(pid)
    assert not running.notify.exists()
    said = [event["type"] for event in running.events() if event["type"] != "operation"]  # that it was stopped, by us
    assert said[-1] == "collector_stopped"
    assert not running("stopped")["changed"]


def test_a_full_disk_is_accounted_for(running: Collecting, launch_guest: Launch) -> None:
    """It still reads what comes, keeps a part, and says later how much could not be written."""
    pid = running()["pid"]
    guest = launch_guest("a", notify=running.notify)
    running.wait("message", "a", "up")
    with full(running.directory, pid):
        guest.guest("i=0; while [ $i -lt 1500 ]; do echo full > /proc/mconsole; i=$((i+1)); done")
        wait_until(lambda: running()["counters"]["lost"] >= 490, 60, "some of it lost")
    guest.guest("echo after > /proc/mconsole")
    running.wait("message", "a", "after")
    kept = [event for event in running.events("message") if event["data"] == "full"]
    assert 990 <= len(kept) <= 1000  # and what else came then
    assert sum(event["lost"] for event in running.events("gap")) == 1500 - len(kept)


@contextlib.contextmanager
def full(directory: Path, pid: int) -> Iterator[None]:
    """Let every write of a process fail, as on a full disk, by a bound on the size of its files."""
    import resource

    old = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, old)


def test_one_that_says_too_much_is_bounded(running: Collecting, launch_guest: Launch) -> None:
    running(event_rate=10)
    guest = launch_guest("a", notify=running.notify)
    guest.guest("i=0; while [ $i -lt 1000 ]; do echo flood > /proc/mconsole; i=$((i+1)); done")
    crash(guest)
    running.wait("crashed", "a")
    kept = [each for each in running.events("message", umid="a") if each["data"] == "flood"]
    assert 190 <= len(kept) < 1000
    ups = len([each for each in running.events("message", umid="a") if each["data"] == "up"])
    assert len(kept) + sum(each["lost"] for each in running.events("gap", umid="a")) == 1000 + 1 - ups
    assert running.events("panic", umid="a")


# The module.


def test_it_is_started_once(collect: Collecting) -> None:
    assert collect(check=True)["changed"]
    assert not collect.directory.exists()
    first = collect()
    assert first["changed"]
    assert first["diff"]["before"] == {"state": "stopped"}
    again = collect()
    assert not again["changed"]
    assert again["pid"] == first["pid"]


def test_other_settings_restart_it_and_those_not_given_are_kept(running: Collecting) -> None:
    wanted = {"patterns": [{"name": "x", "regex": "y", "severity": "info"}], "event_rate": 7.0}
    before = running()["pid"]
    assert running(check=True, **wanted)["changed"]
    assert running()["pid"] == before
    changed = running(**wanted)
    assert changed["changed"]
    assert "patterns" in changed["reason"]
    assert not running(**wanted)["changed"]
    restarted = running("restarted")
    assert restarted["changed"]
    assert restarted["pid"] != changed["pid"]
    assert restarted["diff"]["after"]["patterns"] == wanted["patterns"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"patterns": [{"name": "x", "regex": "("}]}, "not a regular expression"),
    ({"patterns": [{"name": "x", "regex": "a"}, {"name": "x", "regex": "b"}]}, "given twice"),
    ({"event_rate": -1}, "expected events per second"),
    ({"journal_size": "much"}, "not a size"),
    ({"journal_size": 64}, "did you mean 64M"),
    ({"journal_dir": "/proc/nowhere"}, "cannot be made"),
    ({"uml_dirs": ["here"]}, "relative path"),
]


@pytest.mark.parametrize(("params", "said"), BAD, ids=[said for _params, said in BAD])
def test_nonsense_is_refused(params: dict[str, Any], said: str, collect: Collecting) -> None:
    result = operate("collector", **{**collect.arguments, **params})
    assert result["failed"]
    assert said in result["msg"]


def test_it_works_both_ways_over_ssh(
    collect: Collecting, vm_host: vmhost.VmHost, launch_guest: Launch, ansible_home: Path
) -> None:
    """By the connection of an instance and as an ordinary module, with the same code; it outlives both."""
    guest = launch_guest("a", notify=collect.notify)
    there = vm_host.inventory_vars()
    console = {**there, "ansible_connection": "uml.mconsole.mconsole", "ansible_uml_dir": str(collect.uml_dir)}
    hosts = {"here": there, "a": console}

    def run(host: str, **more: Any) -> dict[str, Any]:
        arguments = {**collect.arguments, **more}
        return ansible.adhoc(host, "uml.mconsole.collector", arguments, hosts, home=ansible_home).ok().only(host).result

    first = run("here")
    assert first["changed"]
    second = run("a")
    assert not second["changed"]
    assert second["pid"] == first["pid"]
    assert second["code"] == first["code"] == collect()["code"]
    assert run("a", state="restarted")["pid"] != first["pid"]
    ansible.close_connections(ansible_home)
    guest.guest("echo still > /proc/mconsole")
    collect.wait("message", "a", "still")


# Users.


def test_a_user_collects_with_its_own_means(
    make_user: Callable[..., str], make_vm_host: Callable[..., vmhost.VmHost], launch_guest: Launch, ansible_home: Path
) -> None:
    """With no argument at all: in its own journal, its own instances, by sockets that are its own."""
    name = make_user("collects")
    home = Path(pwd.getpwnam(name).pw_dir)
    hosts = {"there": make_vm_host(name).inventory_vars()}

    def run(module: str, **arguments: Any) -> dict[str, Any]:
        done = ansible.adhoc("there", f"uml.mconsole.{module}", arguments, hosts, home=ansible_home).ok()
        return done.only("there").result

    guest = launch_guest("u", user=name, uml_dir=home / ".uml", notify=home / ".uml/.notify")
    collector = run("collector", state="started")
    try:
        assert collector["journal_dir"] == str(home / ".local/state/uml-mconsole")
        assert [(each["umid"], each["notifications"]) for each in collector["instances"]] == [("u", True)]
        guest.guest("i=0; while [ $i -lt 500 ]; do echo mine $i > /proc/mconsole; i=$((i+1)); done")
        found = run("event_info", types=["message"], limit=500, order="oldest")["events"]
        assert [each["data"] for each in found] == [f"mine {number}" for number in range(500)]
        assert operate("instance_info", uml_dir=str(home / ".uml"))["instances"][0]["collector_coverage"][
            "notifications"
        ]
    finally:
        run("collector", state="stopped")
    assert not (home / ".uml/.notify").exists()


def test_root_covers_the_instances_of_a_user(
    make_user: Callable[..., str], launch_guest: Launch, uml_dir: Path
) -> None:
    """The socket is the user's, so that the user's instance can send to it, and is not root's to be misled with."""
    name = make_user("covered")
    folder = uml_dir / "theirs"
    guest = launch_guest("u", user=name, uml_dir=folder, notify=folder / ".notify")
    with collecting(uml_dir) as collect:
        (row,) = collect(uml_dirs=[str(folder)])["instances"]
        assert (row["notifications"], row["console_followed"]) == (True, True)
        assert (folder / ".notify").stat().st_uid == pwd.getpwnam(name).pw_uid
        guest.guest("echo heard > /proc/mconsole")
        collect.wait("message", "u", "heard")
