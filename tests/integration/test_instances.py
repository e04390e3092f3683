# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real instances in every state, started in every way, are found and distinguished."""

from __future__ import annotations

import contextlib
import os
import pty
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import instances, states
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import (
    InputError,
    NotAllowedError,
    NotThereError,
)
from support import amx, processes, uml
from support import guest as guests
from support.run_operation import operate
from support.wait import wait_until

Launch = Callable[..., uml.Instance]
TIMEOUT = 3.0


def state_of(guest: uml.Instance, timeout: float = TIMEOUT) -> tuple[str, str]:
    """Return how an instance is found to be."""
    (found,) = [each for each in instances.discover([str(guest.uml_dir)]) if each.place.umid == guest.umid]
    return states.run_state(found, timeout=timeout)


def running(pid: int) -> instances.Instance | None:
    """Return the instance with that main process when it answers; before its pid file is there it has no name."""
    found = next((each for each in instances.discover() if each.pid == pid), None)
    return found if found is not None and states.run_state(found)[0] == "running" else None


def wedge(guest: uml.Instance) -> None:
    """Let the console's worker read from a terminal that never says anything."""
    with contextlib.suppress(TimeoutError):
        guest.request("proc 1/root/dev/tty0", timeout=0.3)


def freeze(guest: uml.Instance) -> None:
    """Change a device while it is paused until that freezes it, which it does every other time or so."""

    def frozen() -> bool:
        try:
            guest.request("stop", timeout=1)
            guest.request("config con5=null", timeout=1)
            return guest.request("go", timeout=1)[0] != 0
        except TimeoutError:
            return True

    wait_until(frozen, 60, "the instance froze")


def has_orphans(guest: uml.Instance) -> bool:
    """Return whether helpers outlive the main process: they do before 7.0."""
    return int(guest.request("version")[1].split()[2].split(".")[0]) < 7


def test_a_running_one_answers(guest: uml.Instance) -> None:
    assert state_of(guest) == ("running", "")


def test_a_paused_one_is_seen_and_not_resumed(guest: uml.Instance) -> None:
    guest.request("stop")
    assert [state_of(guest)[0] for _look in range(3)] == ["paused"] * 3
    guest.request("go")
    assert state_of(guest)[0] == "running"


def test_one_without_a_console_yet_is_booting(launch_guest: Launch) -> None:
    guest = launch_guest("young", wait=False)
    wait_until(lambda: instances.discover([str(guest.uml_dir)]), 60, "it was found")
    assert state_of(guest)[0] == "booting"
    guest.wait_up()
    assert state_of(guest)[0] == "running"


def test_one_that_reboots_is_booting(guest: uml.Instance) -> None:
    guest.request("reboot")
    wait_until(lambda: not guest.console.exists(), 60, "its console went away")
    assert state_of(guest)[0] == "booting"
    guest.wait_up(boots=2)
    assert state_of(guest)[0] == "running"


def test_one_that_reboots_is_never_gone(guest: uml.Instance) -> None:
    """While a kernel executes itself again, the host shows neither its command line nor its memory."""
    for boots in range(2, 6):
        guest.request("reboot")
        for look in range(300):
            found = instances.discover([str(guest.uml_dir)])
            assert [each.alive for each in found] == [True], f"look {look} while it boots for time {boots}"
        guest.wait_up(boots=boots)


def test_a_stopped_process_hangs_and_is_not_waited_for(guest: uml.Instance) -> None:
    processes.stop(guest.pid)
    begin = time.monotonic()
    state, reason = state_of(guest, 60.0)
    assert (state, "stopped by a signal" in reason) == ("hung", True), reason
    assert time.monotonic() - begin < 30


def test_a_wedged_worker_hangs_while_the_kernel_answers(guest: uml.Instance) -> None:
    wedge(guest)
    state, reason = state_of(guest)
    assert state == "hung"
    assert "'help' was answered" in reason


def test_a_frozen_one_is_no_paused_one(guest: uml.Instance) -> None:
    freeze(guest)
    assert state_of(guest)[0] == "frozen"


def test_a_killed_one_leaves_orphans_on_old_kernels_only(guest: uml.Instance) -> None:
    expected = "orphaned" if has_orphans(guest) else "stale"
    os.kill(guest.pid, signal.SIGKILL)
    guest.wait_dead()
    wait_until(lambda: state_of(guest)[0] == expected, 60, lambda: f"{expected}, not {state_of(guest)}")
    guest.kill()
    state, reason = state_of(guest)
    assert state == "stale"
    assert str(guest.pid) in reason


def test_a_crashed_one_is_stale(launch_guest: Launch) -> None:
    guest = launch_guest("crash")
    with contextlib.suppress(TimeoutError):
        guest.request("sysrq c", timeout=1)
    guest.wait_dead()
    assert state_of(guest)[0] == "stale"


def test_those_that_hang_are_waited_for_side_by_side(launch_guest: Launch) -> None:
    guests_ = [launch_guest(f"g{number}") for number in range(3)]
    for guest in guests_[:2]:
        wedge(guest)
    found = instances.discover([str(guests_[0].uml_dir)])
    begin = time.monotonic()
    probes = states.probe_all(found, timeout=TIMEOUT)
    assert time.monotonic() - begin < 2 * TIMEOUT
    assert [probe.state for probe in probes] == ["hung", "hung", "running"]


def test_a_umid_in_use_gives_a_random_name_that_is_found(launch_guest: Launch, uml_dir: Path) -> None:
    first = launch_guest("same")
    second = launch_guest("same", wait=False)
    wait_until(lambda: "guest is up" in second.console_log(), 60, second.console_log)
    found = {each.pid: each for each in instances.discover([str(uml_dir)])}
    assert found[first.pid].place.umid == "same"
    assert len(found[second.pid].place.umid) == 6
    assert states.run_state(found[second.pid])[0] == "running"
    second.kill()


def test_one_without_any_name_is_found_in_its_home(launch_guest: Launch, tmp_path: Path, kernel: Path) -> None:
    home = Path(instances.default_uml_dir()).parent
    lines = ["con0=null,fd:1", "con=null", "ssl=null"]
    command = [str(kernel), "mem=128M", f"initrd={guests.initrd()}", "rdinit=/init", *lines]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"HOME": str(home)}, start_new_session=True
        )
    try:
        found = wait_until(lambda: running(process.pid), 60, "it was found and answered")
        assert found.place.uml_dir == instances.default_uml_dir()
        assert len(found.place.umid) == 6
    finally:
        process.terminate()
        process.wait()
        processes.kill_all(lambda: processes.of_session(process.pid), "an instance without a name")


def test_a_relative_uml_dir_is_one_of_its_process(launch_guest: Launch) -> None:
    guest = launch_guest("rel", "uml_dir=here", wait=False)
    guest.uml_dir = guest.scratch / "here"
    guest.wait_up()
    (found,) = [each for each in instances.discover() if each.pid == guest.pid]
    assert found.place.uml_dir == str(guest.scratch / "here")
    assert states.run_state(found)[0] == "running"


def test_one_whose_path_is_too_long_runs_without_a_console(launch_guest: Launch, uml_dir: Path) -> None:
    deep = uml_dir / ("d" * 100)
    guest = launch_guest("long", uml_dir=deep, wait=False)
    wait_until(lambda: "guest is up" in guest.console_log(), 60, guest.console_log)
    (found,) = instances.discover([str(deep)])
    assert (found.place.umid, found.pid, found.alive) == ("long", guest.pid, True)
    state, reason = states.run_state(found)
    assert state == "unknown"
    assert "at most 107" in reason


def test_one_whose_console_was_taken_away_is_not_booting(guest: uml.Instance) -> None:
    guest.console.unlink()
    state, reason = state_of(guest)
    assert state == "unknown"
    assert "is gone" in reason


def test_one_in_the_foreground_of_a_shell_is_its_group_and_not_the_shell(uml_dir: Path, kernel: Path) -> None:
    """An interactive shell makes its jobs leaders of groups, so that the kernel's own setsid fails."""
    words = (
        f"umid=job uml_dir={uml_dir} mem=128M initrd={guests.initrd()} rdinit=/init con0=null,fd:1 con=null ssl=null"
    )
    shell, terminal = pty.fork()
    if shell == 0:
        os.execvpe("bash", ["bash", "--norc", "-i"], {**os.environ, **amx.by_hand()})
    try:
        os.write(terminal, f"{kernel} {words} </dev/null >{uml_dir}/log 2>&1 &\n".encode())
        wait_until((uml_dir / "job" / "mconsole").exists, 60, "it has a console")
        (found,) = instances.discover([str(uml_dir)])
        assert found.alive
        assert found.pid in found.members
        assert shell not in found.members
        assert operate("instance", umid="job", uml_dir=str(uml_dir), state="absent", stop_methods=["kill"])["changed"]
        assert processes_alive(found.members) == []
        assert processes_alive([shell]) == [shell]
    finally:
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        os.close(terminal)


def processes_alive(pids: Any) -> list[int]:
    """List those that still run."""
    return [each.pid for each in processes.running() if each.pid in pids]


def test_a_reused_number_in_a_pid_file_is_no_instance(guest: uml.Instance) -> None:
    guest.kill()
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        (guest.directory / "pid").write_text(f"{other.pid}\n")
        try:
            assert state_of(guest)[0] == "stale"
            result = operate("instance", umid=guest.umid, uml_dir=str(guest.uml_dir), state="absent")
            assert result["changed"]
            assert other.poll() is None
        finally:
            other.kill()
    assert not guest.directory.exists()


def test_a_program_with_such_an_argument_is_no_instance(uml_dir: Path) -> None:
    words = ["bash", "-c", "echo up; read", "bash", "umid=fake", f"uml_dir={uml_dir}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as program:
        assert program.stdout.readline() == b"up\n"
        assert instances.discover([str(uml_dir)]) == []
        program.communicate(b"\n")


def test_other_directories_of_a_uml_dir_are_no_instances(guest: uml.Instance) -> None:
    (guest.uml_dir / "logs").mkdir()
    (guest.uml_dir / "logs" / "pid").write_text("1\n")
    (guest.uml_dir / "logs" / "log").write_text("")
    (guest.uml_dir / "link").symlink_to(guest.directory)
    assert [each.place.umid for each in instances.discover([str(guest.uml_dir)])] == [guest.umid]


# Where a name is looked for.


def test_a_name_is_found_wherever_it_runs(guest: uml.Instance) -> None:
    place = (guest.umid, str(guest.uml_dir))
    assert instances.locate(guest.umid, str(guest.uml_dir)) == place
    assert instances.locate(guest.umid, f"{guest.uml_dir}/../{guest.uml_dir.name}") == place
    with pytest.raises(NotThereError, match=r"looked in .*\.uml and among all instances of this host; there are "):
        instances.locate(f"{guest.umid}-of-nobody")
    with pytest.raises(NotThereError, match=rf"looked in {guest.uml_dir}; there are {guest.umid}$"):
        instances.locate(f"{guest.umid}-of-nobody", str(guest.uml_dir))
    with pytest.raises(NotThereError, match="looked in /nowhere; there are no instances"):
        instances.locate(guest.umid, "/nowhere")


def test_two_of_one_name_are_both_named(launch_guest: Launch, uml_dir: Path) -> None:
    places = [uml_dir / name for name in ("a", "b")]
    for place in places:
        launch_guest("twin", uml_dir=place)
    with pytest.raises(InputError, match=rf"{places[0]}.*{places[1]}"):
        instances.locate("twin")
    assert instances.locate("twin", str(places[1])).uml_dir == str(places[1])
    assert ("twin", str(places[0])) in instances.places()


@contextlib.contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Be another user for a moment, as far as files go."""
    entry = pwd.getpwnam(name)
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_what_another_user_may_not_see_says_whose_it_is(launch_guest: Launch, make_user: Any, uml_dir: Path) -> None:
    owner, other = make_user("has"), make_user("hasnot")
    home = uml_dir / "closed"
    launch_guest("secret", uml_dir=home, user=owner)
    home.chmod(0o700)
    with acting_as(other), pytest.raises(NotAllowedError, match=rf"{home}, which belongs to {owner}"):
        instances.locate("secret", str(home))
    (row,) = operate("instance_info", umid="secret")["instances"]
    assert (row["owner"], row["state"], row["uml_dir"]) == (owner, "running", str(home))


# What the results say of them.


def test_all_is_told_of_an_instance(guest: uml.Instance, kernel: Path) -> None:
    result = operate("instance_info", uml_dir=str(guest.uml_dir))
    (row,) = result["instances"]
    assert not result["changed"]
    assert result["commands"] == ["version"]
    assert row["console"] == str(guest.console)
    assert row["pid"] == guest.pid
    assert row["processes"] > 1
    assert row["owner"] == "root"
    assert row["kernel"] == guest.request("version")[1].split()[2]
    assert row["kernel_path"] == str(kernel.resolve())
    assert f"umid={guest.umid}" in row["arguments"]
    assert row["console_log"] == str(guest.log)
    assert row["cwd"] == str(guest.scratch)
    assert row["networks"] == []
    assert abs(row["started"] - time.time()) < 60
    assert 8 << 20 < row["memory"] < 96 << 20
    assert row["world_writable"] is False


def test_one_that_all_may_control_is_pointed_out(guest: uml.Instance) -> None:
    guest.console.chmod(0o777)
    result = operate("instance_info", uml_dir=str(guest.uml_dir))
    assert result["instances"][0]["world_writable"] is True
    assert "every user of the VM host may control guest" in result["warnings"][0]


def test_facts_are_gathered_on_request(guest: uml.Instance) -> None:
    (row,) = operate("instance_info", uml_dir=str(guest.uml_dir), gather_subset=["min"])["instances"]
    assert row["facts"]["kernel"] == row["kernel"]
    guest.request("stop")
    (row,) = operate("instance_info", uml_dir=str(guest.uml_dir), gather_subset=["min"])["instances"]
    assert row["facts"] is None


def test_a_uml_dir_that_is_not_there_is_empty(uml_dir: Path) -> None:
    result = operate("instance_info", uml_dir=str(uml_dir / "none"))
    assert result["instances"] == []
    assert "is not there" in result["warnings"][0]
