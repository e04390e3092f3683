# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real instances started, paused, stopped and restarted, as a user would, and against resistance."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import kernel_file
from support import amx, ansible, kernels, mconsole, processes, uml, vmhost
from support import guest as guests
from support.paths import CHECKOUT, TREE
from support.run_operation import operate
from support.wait import wait_until

Run = Callable[..., dict[str, Any]]
Launch = Callable[..., uml.Instance]
NO_SHUTDOWN = ["halt", "terminate", "kill"]


@pytest.fixture
def initrd(uml_dir: Path) -> str:
    """Return the guest's file system where every user can read it."""
    return str(shutil.copy(guests.initrd(), uml_dir / "initrd.gz"))


@pytest.fixture
def root(initrd: str) -> dict[str, str]:
    """Return the option that says what to boot."""
    return {"initrd": initrd}


@pytest.fixture
def run(uml_dir: Path, kernel: Path) -> Iterator[Run]:
    """Yield the operation on the instance `a` of the uml_dir, and end what it starts."""

    def instance(check: bool = False, **params: Any) -> dict[str, Any]:
        names = {} if "umids" in params else {"umid": "a"}
        given = (
            {"kernel": str(kernel), "memory": "128M", **params} if "root" in params or "devices" in params else params
        )
        return operate("instance", check, **{**names, "uml_dir": str(uml_dir), **given})

    yield instance
    processes.kill_all(lambda: of_uml_dir(uml_dir), f"an instance of {uml_dir}")


def of_uml_dir(uml_dir: Path) -> list[int]:
    """List all processes of all instances of a uml_dir: those that have it on the command line, and their sessions."""
    marked = {each.session for each in processes.running() if str(uml_dir) in command_line(each.pid)}
    own = os.getsid(0)
    return [each.pid for each in processes.running() if each.session in marked - {own}]


def command_line(pid: int) -> str:
    """Return a process's command line when it is an instance's."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return " ".join(word for word in words if word.startswith("uml_dir="))
    return ""


def good(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result that did not fail."""
    assert not result.get("failed"), result
    return result


def request(uml_dir: Path, text: str, umid: str = "a") -> tuple[int, str]:
    """Send a console command by the rig's own client."""
    return mconsole.request(uml_dir / umid / "mconsole", text)


def log_of(uml_dir: Path, umid: str = "a") -> str:
    """Return the console log."""
    return (uml_dir / f"{umid}.log").read_text(errors="replace")


def boot_id(uml_dir: Path) -> str:
    """Return what names this boot."""
    return request(uml_dir, "proc sys/kernel/random/boot_id")[1].strip()


# Starting.


def test_an_instance_is_started_once(run: Run, root: Any, uml_dir: Path) -> None:
    first = good(run(root=root, memory="128M"))
    assert (first["changed"], first["state"], first["steps"]) == (True, "running", ["start"])
    assert request(uml_dir, "version")[0] == 0
    assert (uml_dir / "a" / "pid").read_text() == f"{first['pid']}\n"
    second = good(run(root=root, memory="131072K"))
    assert (second["changed"], second["pid"], second["differences"]) == (False, first["pid"], {})


def test_it_is_detached_and_has_nothing_of_ours(run: Run, root: Any, uml_dir: Path, kernel: Path) -> None:
    with socket.socket() as ours:
        os.set_inheritable(ours.fileno(), True)
        pid = good(run(root=root))["pid"]
    links = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    assert links["0"] == "/dev/null"
    assert links["1"] == links["2"] == str(uml_dir / "a.log")
    assert os.getsid(pid) == os.getpgid(pid) == pid
    environment = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    assert {pair.partition("=")[0] for pair in environment} == {
        *("HOME", "PATH", "USER", "LOGNAME"),
        *(amx.by_hand() if kernel_file.inspect(str(kernel)).is_before(6, 13) else ()),
    }
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert not {link for link in links.values() if link.startswith(("socket:", "pipe:"))} & set(own_links())


def own_links() -> Iterator[str]:
    """Yield what this process has open."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{name}")


def test_its_memory_is_where_it_always_is_and_ours_is_not(run: Run, root: Any) -> None:
    """A kernel counts a random gap before its heap as its own memory, and 6.1 then sometimes fails to make threads."""
    before = Path("/proc/self/personality").read_text()
    result = good(run(root=root))
    gap = int(Path(f"/proc/{result['pid']}/personality").read_text(), 16) & 0x0040000
    assert gap, "as `setarch -R` has it"
    assert Path("/proc/self/personality").read_text() == before
    assert "exec-shield gap" not in Path(result["console_log"]).read_text()


def test_its_files_are_not_for_others(run: Run, root: Any, uml_dir: Path) -> None:
    old = os.umask(0)
    try:
        good(run(root=root))
    finally:
        os.umask(old)
    assert stat.S_IMODE((uml_dir / "a" / "mconsole").stat().st_mode) & 0o022 == 0
    assert stat.S_IMODE((uml_dir / "a.log").stat().st_mode) == 0o600


def test_a_disk_image_is_the_root(run: Run, uml_dir: Path) -> None:
    image = guests.copy_root_image(uml_dir / "root.ext4")
    cow = uml_dir / "a.cow"
    result = good(run(root={"image": str(image), "cow": f"{uml_dir}/{{umid}}.cow", "init": "/init"}))
    assert result["state"] == "running"
    assert cow.exists()
    assert request(uml_dir, "config ubd0") == (0, f"{cow},{image}")


def test_a_directory_of_the_host_is_the_root(run: Run, uml_dir: Path) -> None:
    good(run(root={"hostfs": "/", "init": "/bin/sleep"}, kernel_args=["1000"]))
    assert " / hostfs rw" in request(uml_dir, "proc 1/mounts")[1]
    assert request(uml_dir, "config ubd0") == (0, "/dev/null")


def test_devices_and_arguments_are_there_from_the_start(run: Run, root: Any, uml_dir: Path) -> None:
    disk = guests.ext4_image(uml_dir / "data.ext4")
    devices = {"ubd1": {"file": str(disk), "read_only": True}, "ssl1": "pts", "con1": "null"}
    arguments = {"hostname": "{umid}.example", "panic": 5, "debug": None}
    good(run(root=root, devices=devices, kernel_args=arguments, wait_for="log", wait_pattern="guest is up"))
    assert request(uml_dir, "config ubd1") == (0, str(disk))
    assert request(uml_dir, "proc 1/root/sys/block/ubdb/ro")[1].strip() == "1"
    words = request(uml_dir, "proc cmdline")[1].split()
    assert {"hostname=a.example", "panic=5", "debug"} <= set(words)
    again = good(run(root=root, devices={"ssl1": "pts", "con1": "null", "ubd1r": str(disk)}))
    assert again["differences"] == {}


def test_many_are_started_by_one_task(run: Run, root: Any, uml_dir: Path) -> None:
    umids = ["m1", "m2", "m3"]
    result = good(run(umids=umids, root=root, kernel_args=["hostname={umid}"]))
    assert result["changed"]
    assert [request(uml_dir, "version", umid)[1].split()[1] for umid in umids] == umids
    assert not good(run(umids=umids, root=root, kernel_args=["hostname={umid}"]))["changed"]
    assert good(run(umids=["n*"], state="absent"))["warnings"] == ["no instance of this VM host matches 'n*'"]
    gone = good(run(umids=["m*"], state="absent", stop_methods=["kill"]))
    assert {umid: each["state"] for umid, each in gone["instances"].items()} == dict.fromkeys(umids, "absent")


def test_two_tasks_at_once_start_one(run: Run, root: Any, uml_dir: Path) -> None:
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(run(root=root))) for _each in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(good(each)["changed"] for each in results) == [False, False, True]
    assert len({each["pid"] for each in results}) == 1
    assert sorted(path.name for path in uml_dir.iterdir()) == ["a", "a.log", "initrd.gz"]


def test_six_tasks_at_once_on_one_that_runs_all_end_well(run: Run, root: Any, uml_dir: Path) -> None:
    """Use separate clients: the one that ends first removes the private directory of all."""
    good(run(root=root))
    call = f"operate('instance', umid='a', uml_dir='{uml_dir}')"
    program = f"import json; from support.run_operation import operate; print(json.dumps({call}))"
    environment = {**os.environ, "PYTHONPATH": f"{TREE}:{CHECKOUT}/tests"}
    for _turn in range(2):
        tasks = [
            subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
            for _number in range(6)
        ]
        results = [json.loads(task.communicate()[0]) for task in tasks]
        assert [result.get("msg") for result in results if result.get("failed")] == []
        assert {result["changed"] for result in results} == {False}


def test_it_outlives_the_ssh_session(vm_host: vmhost.VmHost, run: Run, root: Any, uml_dir: Path) -> None:
    arguments = {"umid": "a", "uml_dir": str(uml_dir), "root": root}
    ansible.adhoc("here", "uml.mconsole.instance", arguments, {"here": vm_host.inventory_vars()}).ok()
    assert request(uml_dir, "version")[0] == 0
    assert not good(run())["changed"]


READY: dict[str, dict[str, str]] = {
    "console": {},
    "log": {"wait_pattern": "^guest is up"},
    "message": {"wait_pattern": "^up", "notify": "{uml_dir}/{umid}.sock"},
}


@pytest.mark.parametrize("kind", READY)
def test_it_is_waited_for(kind: str, run: Run, root: Any, uml_dir: Path) -> None:
    more = {name: value.replace("{uml_dir}", str(uml_dir)) for name, value in READY[kind].items()}
    assert good(run(root=root, wait_for=kind, **more))["state"] == "running"
    if kind != "console":
        assert "guest is up" in log_of(uml_dir) or kind == "message"
    assert not (uml_dir / "a.sock").exists()


def test_nothing_need_be_waited_for(run: Run, root: Any) -> None:
    result = good(run(root=root, wait_for="none"))
    assert result["state"] in ("booting", "running")
    assert good(run())["state"] == "running"


def test_a_late_one_is_left_running_and_told(run: Run, root: Any, uml_dir: Path) -> None:
    result = run(root=root, wait_for="log", wait_pattern="never to be seen", wait_timeout=2)
    assert result["failed"]
    assert result["changed"]
    assert result["error"]["kind"] == "unanswered"
    assert "was left running" in result["msg"]
    assert processes_alive(result["error"]["pid"])


def processes_alive(pid: int) -> bool:
    """Return whether a process runs."""
    return pid in [each.pid for each in processes.running()]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("does not exist", {"kernel": "/nonexistent/linux"}),
    ("not executable", {"kernel": "/etc/passwd"}),
    ("initrd .* is not there", {"root": {"initrd": "/nonexistent"}}),
    ("disk file .* is not there", {"root": {"image": "/nonexistent"}}),
    ("is a directory", {"root": {"image": "/tmp"}}),
    ("root directory .* is not there", {"root": {"hostfs": "/nonexistent"}}),
    ("disk file .* is not there", {"devices": {"ubd3": "/nonexistent"}}),
    ("less than 64M", {"memory": "32M"}),
    ("is not a size", {"memory": "much"}),
    ("memory: 128 is 128 bytes; did you mean 128M", {"memory": 128}),
    ("cannot hold", {"memory": "4096G"}),
    ("relative path", {"console_log": "a.log"}),
    ("which the kernel clears", {"console_log": "{dir}/a/log"}),
    ("not a regular file", {"console_log": "{dir}"}),
    ("is not there", {"memory_dir": "/nonexistent"}),
    ("noexec|cannot hold", {"memory_dir": "/proc"}),
    ("use the option umid instead", {"kernel_args": ["umid=b"]}),
    ("takes no options", {"kernel_args": ["--showconfig"]}),
    ("not one word", {"kernel_args": ["a b"]}),
    ("given twice", {"memory": "64M", "kernel_args": {"mem": "96M"}}),
    ("out of range", {"devices": {"ubd16": "/dev/null"}}),
    ("not a regular expression", {"wait_for": "log", "wait_pattern": "("}),
    ("set notify", {"wait_for": "message"}),
    ("at least 1", {"ncpus": 0}),
]


@pytest.mark.parametrize(("said", "params"), BAD, ids=[f"{said}-{index}" for index, (said, _params) in enumerate(BAD)])
def test_what_would_fail_is_told_before_anything_starts(
    said: str, params: dict[str, Any], run: Run, root: Any, uml_dir: Path
) -> None:
    given = json.loads(json.dumps({"root": root, **params}).replace("{dir}", str(uml_dir)))
    for check in (True, False):
        result = run(check, **given)
        assert result["failed"]
        assert not result["changed"]
        assert re.search(said, result["msg"]), result["msg"]
    assert sorted(path.name for path in uml_dir.iterdir()) == ["initrd.gz"]


def test_a_path_too_long_for_a_console_is_refused(run: Run, root: Any, uml_dir: Path) -> None:
    deep = uml_dir / ("d" * 100)
    result = run(root=root, uml_dir=str(deep))
    assert result["failed"]
    assert "at most 107" in result["msg"]
    assert not deep.exists()


def test_a_disk_of_another_is_refused_also_after_a_crash(run: Run, uml_dir: Path) -> None:
    image = {"image": str(guests.copy_root_image(uml_dir / "root.ext4")), "init": "/init"}
    good(run(root=image))
    refused = run(umids=["b"], root=image)["instances"]["b"]
    assert "in use by the instance 'a'" in refused["msg"]
    release = request(uml_dir, "version")[1].split()[2]
    os.kill(int((uml_dir / "a" / "pid").read_text()), signal.SIGKILL)
    again = run(umids=["b"], root=image)["instances"]["b"]
    assert again.get("failed", False) == release.startswith("6.")
    if release.startswith("6."):
        assert "in use by the instance 'a'" in again["msg"]
        assert good(run(root=image))["steps"] == ["clear", "start"]


def test_a_locked_disk_that_would_panic_a_kernel_is_refused(run: Run, root: Any, uml_dir: Path) -> None:
    """Kernels from 6.12 on lock even /dev/null, and panic when another has."""
    good(run(root=root, devices={"ubd0": "/dev/null"}))
    locks = "/dev/null is in use by the instance 'a'"
    second = run(umids=["b"], root=root, devices={"ubd0": "/dev/null"})["instances"]["b"]
    assert locks in second["msg"] if second.get("failed") else second["state"] == "running"
    assert good(run(umids=["c"], root=root))["instances"]["c"]["state"] == "running"


def test_nothing_says_what_to_start(run: Run) -> None:
    assert "set root" in run()["msg"]


DEADLY: dict[str, tuple[dict[str, str], str]] = {
    "no init in the initrd": ({"initrd": "{initrd}", "init": "/nonexistent"}, "Unable to mount root fs"),
    "no init in the directory": ({"hostfs": "{dir}", "init": "/nonexistent"}, "Requested init /nonexistent failed"),
    "no file system in the image": ({"image": "{dir}/empty"}, "Unable to mount root fs"),
}


@pytest.mark.parametrize("case", DEADLY)
@pytest.mark.parametrize("quiet", [[], ["quiet"]], ids=["loud", "quiet"])
def test_a_kernel_that_dies_while_booting_says_why(
    case: str, quiet: list[str], run: Run, initrd: str, uml_dir: Path
) -> None:
    (uml_dir / "empty").write_bytes(bytes(1 << 20))
    root, said = DEADLY[case]
    root = {name: value.format(initrd=initrd, dir=uml_dir) for name, value in root.items()}
    result = run(root=root, kernel_args=quiet)
    assert result["failed"]
    assert f"signal 6 while it booted: Kernel panic - not syncing: {said}" in result["msg"].replace("VFS: ", "")
    assert said in result["error"]["console_log_lines"][-1]
    assert result["state"] == "absent"
    assert not (uml_dir / "a").exists()


def test_who_gives_little_memory_is_warned_once(run: Run, root: Any) -> None:
    small = good(run(True, umids=["m1", "m2"], root=root, memory="64M"))
    assert [text.split(" of memory")[0] for text in small["warnings"]] == ["m1, m2: with less than 112M"]
    assert not good(run(True, root=root, memory="112M")).get("warnings")


def test_too_little_memory_can_be_forced_and_is_told(run: Run, root: Any) -> None:
    result = run(root=root, memory="8M", force=True)
    assert result["failed"]
    assert "while it booted" in result["msg"]


# Pausing.


def test_pause_and_resume(run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root))["pid"]
    paused = good(run(state="paused"))
    assert (paused["changed"], paused["state"], paused["commands"], paused["pid"]) == (True, "paused", ["stop"], pid)
    assert request(uml_dir, "stop")[1] == "Already stopped"
    assert not good(run(state="paused"))["changed"]
    resumed = good(run())
    assert (resumed["changed"], resumed["state"], resumed["commands"]) == (True, "running", ["go"])
    assert request(uml_dir, "go")[1] == "Not stopped"
    assert not good(run())["changed"]


def test_one_that_is_not_there_is_started_and_paused(run: Run, root: Any) -> None:
    result = good(run(root=root, state="paused"))
    assert (result["steps"], result["state"]) == (["start", "pause"], "paused")


# Stopping.


def test_a_guest_that_powers_off_is_stopped_by_its_shutdown(run: Run, root: Any) -> None:
    good(run(root=root, kernel_args=["cad=poweroff"], wait_for="log", wait_pattern="guest is up"))
    result = good(run(state="stopped"))
    assert (result["stopped_by"], result["synced"], result["commands"]) == ("shutdown", True, ["sysrq s", "cad"])
    assert (result["changed"], result["state"], result["pid"]) == (True, "absent", None)
    assert not good(run(state="stopped"))["changed"]


def test_a_guest_that_restarts_is_halted_when_it_comes_up(run: Run, root: Any, uml_dir: Path) -> None:
    good(run(root=root, wait_for="log", wait_pattern="guest is up"))
    result = good(run(state="stopped"))
    assert (result["stopped_by"], result["synced"], result["commands"]) == (
        "shutdown",
        True,
        ["sysrq s", "cad", "halt"],
    )
    assert log_of(uml_dir).count("guest is up") == 1


def test_a_guest_that_does_not_care_is_halted(run: Run, root: Any) -> None:
    good(run(root=root, kernel_args=["cad=ignore"], wait_for="log", wait_pattern="guest is up"))
    result = good(run(state="stopped", stop_timeout=1))
    assert result["commands"] == ["sysrq s", "cad", "sysrq s", "sysrq u", "halt"]
    assert (result["stopped_by"], result["synced"]) == ("halt", True)


def test_a_kernel_that_would_restart_at_once_is_not_told_to(run: Run, uml_dir: Path) -> None:
    """Ctrl-alt-del restarts the kernel, with nothing written out, unless an init has asked for the signal."""
    good(run(root={"hostfs": "/", "init": "/bin/sleep"}, kernel_args=["1000"]))
    result = good(run(state="stopped"))
    assert result["commands"] == ["sysrq s", "sysrq u", "halt"]
    assert (result["stopped_by"], result["synced"]) == ("halt", True)


@pytest.mark.parametrize("way", ["halt", "terminate"])
def test_what_was_written_is_on_the_disk(way: str, launch_guest: Launch, run: Run, uml_dir: Path) -> None:
    image = guests.copy_root_image(uml_dir / "root.ext4")
    guest = launch_guest("a", root=image)
    guest.guest("echo precious > /note")
    result = good(run(state="stopped", stop_methods=[way]))
    assert (result["stopped_by"], result["synced"]) == (way, True)
    guest.process.wait()
    shown = subprocess.run(["/sbin/debugfs", "-R", "cat /note", image], capture_output=True, text=True, check=True)
    assert shown.stdout == "precious\n"
    subprocess.run(["/sbin/e2fsck", "-f", "-n", image], capture_output=True, check=True)


@pytest.mark.parametrize("series", kernels.wanted())
@pytest.mark.parametrize("cad", ["poweroff", "cut", "lose"])
def test_synced_is_what_was_seen(cad: str, series: str, launch_guest: Launch, run: Run, uml_dir: Path) -> None:
    """One that unmounts its disks has lost nothing; one that does not has what it wrote before its shutdown."""
    image = guests.copy_root_image(uml_dir / "root.ext4")
    guest = launch_guest("a", f"cad={cad}", root=image, kernel=kernels.path(series))
    guest.guest("dd if=/dev/urandom of=/kept bs=64k count=64; sha1sum < /kept > /sum")
    result = good(run(state="stopped", stop_timeout=60))
    assert (result["stopped_by"], result["synced"]) == ("shutdown", cad == "poweroff")
    guest.process.wait()
    subprocess.run(["/sbin/e2fsck", "-p", image], capture_output=True, check=False)
    kept, said = (
        subprocess.run(["/sbin/debugfs", "-R", f"cat {path}", image], capture_output=True, check=True).stdout
        for path in ("/kept", "/sum")
    )
    assert (len(kept), hashlib.sha1(kept).hexdigest()) == (4 << 20, said.decode().split()[0])


def test_a_kill_takes_all_and_cleans_up(run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root))["pid"]
    members = processes.of_session(pid)
    result = good(run(state="stopped", stop_methods=["kill"]))
    assert (result["stopped_by"], result["synced"], result["commands"]) == ("kill", False, [])
    assert [each for each in members if processes_alive(each)] == []
    assert not (uml_dir / "a").exists()


def test_a_paused_one_is_resumed_before_it_is_stopped(run: Run, root: Any) -> None:
    good(run(root=root, state="paused"))
    result = good(run(state="stopped", stop_methods=NO_SHUTDOWN))
    assert result["commands"] == ["go", "sysrq s", "sysrq u", "halt"]
    assert result["stopped_by"] == "halt"


def test_a_stopped_process_is_woken(run: Run, root: Any) -> None:
    pid = good(run(root=root))["pid"]
    processes.stop(pid)
    hung = run(timeout=3)
    assert "is hung" in hung["msg"]
    assert not hung["changed"]
    result = good(run(state="stopped", stop_methods=NO_SHUTDOWN))
    assert (result["stopped_by"], result["synced"]) == ("halt", True)


def test_a_wedged_one_is_ended_by_a_signal(run: Run, root: Any, uml_dir: Path) -> None:
    good(run(root=root, wait_for="log", wait_pattern="guest is up"))
    with contextlib.suppress(TimeoutError):
        mconsole.request(uml_dir / "a" / "mconsole", "proc 1/root/dev/tty0", timeout=0.3)
    result = good(run(state="restarted", timeout=3))
    assert (result["stopped_by"], result["synced"], result["state"]) == ("terminate", False, "running")


def test_a_booting_one_can_be_stopped(run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root, wait_for="none"))["pid"]
    result = good(run(state="absent"))
    assert result["state"] == "absent"
    assert not processes_alive(pid)
    assert not (uml_dir / "a").exists()


def test_orphans_and_what_a_crash_left_are_removed(run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root))["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_alive(pid), 60, "its main process ended")
    result = good(run(state="absent"))
    assert (result["changed"], result["state"], result["steps"]) == (True, "absent", ["clear"])
    assert processes.of_session(pid) == []
    assert not (uml_dir / "a").exists()
    assert not good(run(state="absent"))["changed"]


def test_a_live_one_is_never_cleared_and_links_are_not_followed(run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root))["pid"]
    precious = uml_dir / "precious"
    precious.mkdir()
    (precious / "pid").write_text("0\n")
    (uml_dir / "b").symlink_to(precious)
    good(run(umids=["b"], state="absent"))
    assert (precious / "pid").exists()
    assert processes_alive(pid)


def test_files_of_others_in_its_directory_are_kept(run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root))["pid"]
    (uml_dir / "a" / "note").write_text("mine")
    processes.kill_all(lambda: processes.of_session(pid), "the instance")
    result = run(state="absent")
    assert result["failed"]
    assert "cannot be removed" in result["msg"]
    assert (uml_dir / "a" / "note").read_text() == "mine"


def test_one_without_a_console_is_ended_by_a_signal(launch_guest: Launch, run: Run, uml_dir: Path) -> None:
    deep = uml_dir / ("d" * 100)
    guest = launch_guest("a", uml_dir=deep, wait=False)
    wait_until(lambda: "guest is up" in guest.console_log(), 60, guest.console_log)
    result = good(run(uml_dir=str(deep), state="absent"))
    assert (result["stopped_by"], result["state"]) == ("terminate", "absent")
    assert not guest.alive()


def test_no_way_is_no_way(run: Run, root: Any) -> None:
    pid = good(run(root=root))["pid"]
    result = run(state="stopped", stop_methods=[])
    assert "stop_methods is empty; expected at least one method" in result["msg"]
    assert processes_alive(pid)


# Restarting.


def test_one_started_by_hand_comes_back_as_it_was(launch_guest: Launch, run: Run, uml_dir: Path) -> None:
    guest = launch_guest("a", "answer=42")
    before = boot_id(uml_dir), command_words(guest.pid)
    result = good(run(state="restarted", stop_methods=NO_SHUTDOWN, wait_for="log", wait_pattern="guest is up"))
    guest.process.wait()
    pid = result["pid"]
    assert (result["changed"], result["steps"]) == (True, ["stop", "clear", "start"])
    assert boot_id(uml_dir) != before[0]
    assert sorted(command_words(pid)) == sorted(word.rstrip("/") for word in before[1])
    assert os.readlink(f"/proc/{pid}/cwd") == str(guest.scratch)
    assert result["console_log"] == str(guest.log)
    assert guest.console_log().count("guest is up") == 2


def command_words(pid: int) -> list[str]:
    """Return a process's command line."""
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def test_one_that_runs_otherwise_is_restarted_when_that_is_wished(run: Run, root: Any, uml_dir: Path) -> None:
    first = good(run(root=root, memory="128M", kernel_args=["one"]))
    same = good(run(memory="160M"))
    assert (same["changed"], same["pid"]) == (False, first["pid"])
    assert same["differences"] == {"memory": {"running": ["mem=128M"], "wanted": ["mem=160M"]}}
    planned = good(run(True, memory="160M", restart="when_required"))
    assert (planned["changed"], planned["pid"]) == (True, first["pid"])
    done = good(run(memory="160M", restart="when_required", stop_methods=NO_SHUTDOWN))
    assert done["diff"] == planned["diff"]
    assert done["diff"]["before"] == {"state": "running", "boot_line": {"memory": ["mem=128M"]}}
    assert done["diff"]["after"] == {"state": "running", "boot_line": {"memory": ["mem=160M"]}}
    assert {"mem=160M", "one", f"initrd={root['initrd']}"} <= set(command_words(done["pid"]))
    assert not good(run(memory="160M", restart="when_required"))["changed"]


def test_a_kernel_that_was_replaced_is_another_one(run: Run, root: Any, uml_dir: Path, kernel: Path) -> None:
    copy = uml_dir / "linux"
    shutil.copy(kernel, copy)
    good(run(root=root, kernel=str(copy)))
    assert not good(run(kernel=str(copy), restart="when_required"))["changed"]
    shutil.copy(kernel, uml_dir / "new")
    (uml_dir / "new").rename(copy)
    result = good(run(kernel=str(copy), restart="when_required", stop_methods=NO_SHUTDOWN))
    assert result["steps"] == ["stop", "clear", "start"]
    assert not good(run(kernel=str(copy), restart="when_required"))["changed"]


def test_a_cow_file_on_another_base_or_a_touched_one_is_refused_first(run: Run, uml_dir: Path) -> None:
    """Before anything starts or stops, with what to do; a kernel would take the base that the file's header names."""
    bases = [guests.copy_root_image(uml_dir / f"base{number}") for number in (1, 2)]
    os.utime(bases[0], (1_600_000_000, 1_600_000_000))
    cow = f"{uml_dir}/root.cow"
    first = good(run(root={"image": str(bases[0]), "cow": cow}))
    moved = run(root={"image": str(bases[1]), "cow": cow}, restart="when_required")
    assert f"the COW file {cow!r} does not fit {str(bases[1])!r}: it was made for" in moved["msg"]
    assert "touch -d @1600000000" in moved["msg"]
    os.utime(bases[0])
    assert "does not fit" in run(state="restarted")["msg"]
    assert good(run())["pid"] == first["pid"]
    good(run(state="stopped"))
    for params in ({"root": {"image": str(bases[0]), "cow": cow}}, {"root": {"image": cow}}):
        assert "does not fit" in run(**params)["msg"]
    assert not (uml_dir / "a").exists()


def test_one_file_is_not_a_disk_twice(run: Run, root: Any, uml_dir: Path) -> None:
    image = str(guests.copy_root_image(uml_dir / "disk"))
    cow = f"{uml_dir}/disk.cow"
    twice = run(root=root, devices={"ubd1": image, "ubd2": image})
    assert f"ubd1 and ubd2 are both {image}; expected a file for each, or shared=true" in twice["msg"]
    below = run(root=root, devices={"ubd1": {"file": cow, "backing_file": image}, "ubd2": image})
    assert f"ubd2 is {image}, the backing file of ubd1" in below["msg"]
    both = run(root={"image": image}, umids=["a", "b"])
    assert all("would be of" in result["msg"] for result in both["instances"].values())
    good(run(root={"image": image}, wait_for="none"))
    other = operate("instance", umid="b", uml_dir=str(uml_dir), root={"image": image})
    assert "is in use by the instance 'a'" in other["msg"]
    assert not (uml_dir / "b").exists()


def test_a_partition_is_the_root(run: Run, uml_dir: Path) -> None:
    image = uml_dir / "disk"
    with image.open("wb") as stream:
        stream.truncate(20 << 20)
    with image.open("r+b") as stream:
        stream.seek(446)  # of the boot record: the first partition, of type 83, three empty ones, and the signature
        stream.write(struct.pack("<xxxxBxxxII48xH", 0x83, 2048, (20 << 11) - 2048, 0xAA55))
        stream.seek(2048 * 512)
        stream.write(guests.root_image().read_bytes())
    good(run(root={"image": str(image), "partition": 1}, wait_for="log", wait_pattern="guest is up"))
    assert "root=/dev/ubda1" in request(uml_dir, "proc cmdline")[1]


def test_a_restart_that_could_not_start_stops_nothing(run: Run, root: Any, initrd: str) -> None:
    pid = good(run(root=root))["pid"]
    os.unlink(initrd)
    result = run(state="restarted")
    assert result["failed"]
    assert "is not there" in result["msg"]
    assert processes_alive(pid)


def _delete_kernel(folder: Path) -> None:
    (folder / "linux").unlink()


def _replace_kernel(folder: Path) -> None:
    (folder / "new").write_text("not a program")
    (folder / "new").chmod(0o755)
    (folder / "new").rename(folder / "linux")


def _shorten_kernel(folder: Path) -> None:
    (folder / "linux").unlink()
    (folder / "linux").touch(0o755)


def _delete_working_directory(folder: Path) -> None:
    (folder / "cwd").rmdir()


def _delete_memory_directory(folder: Path) -> None:
    (folder / "memory").rmdir()


UNSTARTABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "the kernel is gone": (_delete_kernel, "kernel .*linux does not exist"),
    "the kernel is text": (_replace_kernel, "kernel .*linux is not a program"),
    "the kernel is empty": (_shorten_kernel, "kernel .*linux is not a program"),
    "the working directory is gone": (_delete_working_directory, "working directory .*cwd"),
    "the memory directory is gone": (_delete_memory_directory, "directory .*memory .*is not there"),
}


@pytest.fixture
def start_by_hand() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start kernels with words and options of Popen of one's own; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(words: list[str], **options: Any) -> subprocess.Popen[bytes]:
            environment = {**os.environ, **amx.by_hand(), **options.pop("env", {})}
            process = subprocess.Popen(words, env=environment, start_new_session=True, **options)
            stack.callback(process.wait)
            stack.callback(processes.kill_all, lambda: processes.of_session(process.pid), "started by hand")
            return process

        yield start


@pytest.mark.parametrize("case", UNSTARTABLE)
def test_a_restart_looks_at_all_that_the_start_needs(
    case: str, run: Run, start_by_hand: Any, initrd: str, kernel: Path, uml_dir: Path
) -> None:
    for name in ("cwd", "memory"):
        (uml_dir / name).mkdir()
    shutil.copy(kernel, uml_dir / "linux")
    words = [f"umid=a uml_dir={uml_dir} mem=128M initrd={initrd} rdinit=/init con0=null,fd:1 con=null ssl=null"]
    command = [str(uml_dir / "linux"), *words[0].split()]
    environment = {"TMPDIR": str(uml_dir / "memory")}
    with (uml_dir / "a.log").open("wb") as log:
        process = start_by_hand(command, stdin=subprocess.DEVNULL, stdout=log, cwd=uml_dir / "cwd", env=environment)
    wait_until((uml_dir / "a" / "mconsole").exists, 60, "console")
    spoil, said = UNSTARTABLE[case]
    spoil(uml_dir)
    for check in (True, False):
        result = run(check, state="restarted")
        assert result["failed"]
        assert re.search(said, result["msg"]), result["msg"]
        assert process.poll() is None, "it was stopped, and cannot be started"


def test_an_instance_of_another_user_stays_so(launch_guest: Launch, make_user: Any, run: Run, uml_dir: Path) -> None:
    owner = make_user("runs")
    guest = launch_guest("a", user=owner)
    result = good(run(state="restarted", stop_methods=["kill"]))
    assert Path(f"/proc/{result['pid']}").owner() == owner
    assert Path(f"/proc/{result['pid']}").group() == owner
    assert result["console_log"] == str(guest.log)
    assert (uml_dir / "a" / "mconsole").owner() == owner


AS_ANOTHER = """
import json, os, pwd, sys
entry = pwd.getpwnam(sys.argv[1])
os.environ["HOME"] = entry.pw_dir
os.setgroups([]); os.setgid(entry.pw_gid); os.setuid(entry.pw_uid)
from support.run_operation import operate
print(json.dumps(operate(sys.argv[2], **json.loads(sys.argv[3]))))
"""


def operate_as(user: str, name: str, **params: Any) -> dict[str, Any]:
    """Return the result of an operation that another user runs."""
    path = os.pathsep.join(word for word in sys.path if word)
    tree = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    starter = f"import sys; sys.path.insert(0, {tree!r})\n{AS_ANOTHER}"
    done = subprocess.run(
        [sys.executable, "-c", starter, user, name, json.dumps(params)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("state", ["paused", "stopped", "absent", "restarted"])
def test_an_instance_of_another_user_cannot_be_touched(
    state: str, make_user: Any, run: Run, root: Any, uml_dir: Path
) -> None:
    pid = good(run(root=root))["pid"]
    result = operate_as(make_user("intruder"), "instance", umid="a", uml_dir=str(uml_dir), state=state)
    assert result["failed"]
    assert not result["changed"]
    assert result["error"]["kind"] == "not_allowed"
    assert good(run())["pid"] == pid


def test_a_user_starts_an_instance_in_the_own_home(make_user: Any, root: Any, uml_dir: Path) -> None:
    user = make_user("starts")
    started = good(operate_as(user, "instance", umid="mine", root=root))
    home = Path(f"~{user}").expanduser()
    assert started["uml_dir"] == str(home / ".uml")
    assert Path(f"/proc/{started['pid']}").owner() == user
    pointed_out = good(operate("instance", umid="mine", state="absent"))
    assert not pointed_out["changed"]
    assert f"{user} runs another instance mine in {home}/.uml" in pointed_out["warnings"][0]
    together = good(operate("instance", umids=["min[e]"], state="absent"))
    assert (together["changed"], together["instances"]) == (False, {})
    assert together["warnings"] == [
        f"instances in other directories match as well; without uml_dir they are left out: {home}/.uml/mine"
    ]
    assert good(operate_as(user, "instance", umid="mine", state="absent", stop_methods=["halt"]))["changed"]


def test_a_pid_file_cannot_aim_at_another_user(make_user: Any, run: Run, root: Any, uml_dir: Path) -> None:
    """Root acts in a directory that a user may write to."""
    pid = good(run(root=root))["pid"]
    user = make_user("aims")
    trap = uml_dir / "trap" / "a"
    trap.mkdir(parents=True)
    (trap / "pid").write_text(f"{pid}\n")
    for path in (trap.parent, trap, trap / "pid"):
        shutil.chown(path, user, user)
    result = run(uml_dir=str(trap.parent), state="absent", stop_methods=["kill"])
    assert "nothing was done" in result["msg"]
    assert processes_alive(pid)


# Check mode.


def test_check_mode_starts_nothing(run: Run, root: Any, uml_dir: Path) -> None:
    planned = good(run(True, root=root, memory="128M"))
    assert (planned["changed"], planned["state"], planned["steps"]) == (True, "running", ["start"])
    assert sorted(path.name for path in uml_dir.iterdir()) == ["initrd.gz"]
    assert good(run(root=root, memory="128M"))["diff"] == planned["diff"]


@pytest.mark.parametrize("state", ["paused", "stopped", "absent", "restarted"])
def test_check_mode_sends_nothing(state: str, run: Run, root: Any, uml_dir: Path) -> None:
    pid = good(run(root=root))["pid"]
    boot = boot_id(uml_dir)
    planned = good(run(True, state=state, stop_methods=NO_SHUTDOWN))
    assert planned["changed"]
    assert (boot_id(uml_dir), request(uml_dir, "go")[1]) == (boot, "Not stopped")
    assert good(run())["pid"] == pid
    done = good(run(state=state, stop_methods=NO_SHUTDOWN))
    for key in ("diff", "commands", "steps", "state"):
        assert done[key] == planned[key], key


def test_a_frozen_one_is_not_stopped_by_words(run: Run, root: Any, uml_dir: Path) -> None:
    good(run(root=root))

    def frozen() -> bool:
        try:
            request(uml_dir, "stop")
            mconsole.request(uml_dir / "a" / "mconsole", "config con5=null", timeout=1)
            return mconsole.request(uml_dir / "a" / "mconsole", "go", timeout=1)[0] != 0
        except TimeoutError:
            return True

    wait_until(frozen, 60, "the instance froze")
    result = good(run(state="stopped", timeout=3))
    assert (result["stopped_by"], result["commands"]) == ("terminate", [])


# What a VM host, a supervisor or a cleaner does beside the tasks.


def test_a_removed_pid_file_hides_nothing(launch_guest: Launch, run: Run, uml_dir: Path) -> None:
    guest = launch_guest("a")
    (uml_dir / "a" / "pid").unlink()
    names = {"umid": "a", "uml_dir": str(uml_dir)}
    assert good(run())["pid"] == guest.pid
    attached = good(operate("device", name="con3", config="pts", **names))
    assert attached["changed"]
    assert not operate("memory", True, size="100M", **names).get("failed")
    paused = good(run(state="paused"))
    assert (paused["pid"], paused["state"]) == (guest.pid, "paused")
    assert good(run(state="absent"))["steps"] == ["stop", "clear"]
    guest.wait_dead()
    assert not (uml_dir / "a").exists()


ROOT_ONLY: list[tuple[str, dict[str, str], str, tuple[str, ...]]] = [
    ("tuntap", {"eth0": "tuntap"}, "has no eth interfaces; they are in kernels up to 6.12", ("7.2",)),
    ("no switch", {"eth1": "daemon,,unix,/nonexistent/switch"}, "no switch listens", ("6.1", "6.12")),
    ("no interface", {"vec0": "transport=raw,ifname=nosuch0"}, "no interface 'nosuch0'", ("6.1", "6.12", "7.2")),
    ("no descriptor", {"vec0": "transport=fd,fd=77"}, "no descriptor 77", ("6.1", "6.12", "7.2")),
    ("no terminal", {"con3": "tty:/dev/nosuch"}, "no terminal '/dev/nosuch'", ("6.1", "6.12", "7.2")),
    ("no socket", {"virtio_uml0": "/nonexistent/socket:1"}, "no socket", ("6.1", "6.12", "7.2")),
]


@pytest.mark.parametrize(
    ("devices", "said", "series"), [row[1:] for row in ROOT_ONLY], ids=[row[0] for row in ROOT_ONLY]
)
def test_what_launches_is_checked_as_what_is_attached(
    devices: dict[str, str], said: str, series: tuple[str, ...], run: Run, root: Any
) -> None:
    for name in series:
        result = run(root=root, devices=devices, kernel=str(kernels.path(name)))
        assert result["failed"]
        assert re.search(said, result["msg"]), result["msg"]
        assert "force=true" in result["msg"]
        forced = run(check=True, root=root, devices=devices, kernel=str(kernels.path(name)), force=True)
        assert re.search(said, " ".join(good(forced)["warnings"]))


def test_a_restart_that_loses_a_descriptor_is_refused_without_force(
    start_by_hand: Any, run: Run, uml_dir: Path, kernel: Path, initrd: str
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        number = theirs.fileno()
        words = f"umid=a uml_dir={uml_dir} mem=128M initrd={initrd} rdinit=/init con0=null,fd:1 con=null ssl=null"
        command = [str(kernel), *words.split(), f"vec0:transport=fd,fd={number}"]
        with (uml_dir / "a.log").open("wb") as log:
            process = start_by_hand(command, stdin=subprocess.DEVNULL, stdout=log, pass_fds=[number])
        wait_until(lambda: guests.UP in (uml_dir / "a.log").read_text(errors="replace"), 60, "boot")
        for check in (True, False):
            result = run(check, state="restarted")
            assert result["failed"]
            assert f"vec0 uses the descriptor {number}" in result["msg"]
        assert process.poll() is None
        forced = good(run(state="restarted", force=True, stop_methods=["kill"]))
        assert any(f"vec0 uses the descriptor {number}" in text for text in forced["warnings"])


def test_a_restart_that_loses_a_terminal_is_refused_without_force(
    start_by_hand: Any, run: Run, uml_dir: Path, kernel: Path, initrd: str
) -> None:
    master, terminal = os.openpty()
    try:
        words = f"umid=a uml_dir={uml_dir} mem=128M initrd={initrd} rdinit=/init con0=fd:0,fd:1 con=null ssl=null"
        process = start_by_hand([str(kernel), *words.split()], stdin=terminal, stdout=terminal, stderr=terminal)
        wait_until(lambda: mconsole.answers(uml_dir / "a" / "mconsole"), 60, "console")
        result = run(state="restarted")
        assert result["failed"]
        assert "con0 uses a terminal" in result["msg"]
        assert process.poll() is None
    finally:
        os.close(terminal)
        os.close(master)


def test_a_kernel_that_is_a_script_is_no_difference(run: Run, root: Any, uml_dir: Path, kernel: Path) -> None:
    script = uml_dir / "wrap"
    script.write_text(f'#!/bin/sh\nexec {kernel} "$@"\n')
    script.chmod(0o755)
    first = good(run(root=root, kernel=str(script)))
    assert Path(f"/proc/{first['pid']}/exe").resolve() == kernel.resolve()
    again = good(run(kernel=str(script), restart="when_required"))
    assert (again["changed"], again["differences"], again["pid"]) == (False, {}, first["pid"])
    restarted = good(run(state="restarted", stop_methods=["kill"]))
    assert good(run(kernel=str(script)))["differences"] == {}
    assert list(good(run(kernel=str(kernel)))["differences"]) == ["kernel"]
    assert restarted["pid"] != first["pid"]


def test_a_foreign_supervisor_is_named(run: Run, uml_dir: Path, kernel: Path, initrd: str) -> None:
    words = f"umid=a uml_dir={uml_dir} mem=128M initrd={initrd} rdinit=/init con0=null,fd:1 con=null ssl=null"
    script = f"while :; do {kernel} {words} </dev/null >>{uml_dir}/a.log 2>&1; done"
    shell = subprocess.Popen(["sh", "-c", script], env={**os.environ, **amx.by_hand()}, start_new_session=True)
    try:
        wait_until(lambda: mconsole.answers(uml_dir / "a" / "mconsole"), 60, "console")
        result = run(state="stopped", stop_methods=["terminate"])
        assert result["failed"]
        assert result["changed"]
        assert f"its parent process {shell.pid} (sh" in result["msg"], result["msg"]
    finally:
        shell.kill()
        shell.wait()
        processes.kill_all(lambda: processes.of_session(shell.pid), "supervised")


IN_ANOTHER_PID_NAMESPACE = """
import json, sys
from support.run_operation import operate
print(json.dumps(operate("instance", False, **json.loads(sys.argv[1]))))
"""


@pytest.mark.parametrize("state", ["running", "restarted", "stopped", "absent"])
def test_one_home_on_two_vm_hosts(state: str, launch_guest: Launch, uml_dir: Path, kernel: Path, root: Any) -> None:
    """Two pid namespaces over one uml_dir: neither sees the other's processes."""
    guest = launch_guest("a")
    params = {"umid": "a", "uml_dir": str(uml_dir), "state": state, "root": root, "kernel": str(kernel)}
    path = os.pathsep.join(word for word in sys.path if word)
    tree = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    starter = f"import sys; sys.path.insert(0, {tree!r})\n{IN_ANOTHER_PID_NAMESPACE}"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", starter, json.dumps(params)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["failed"], result
    assert "cannot be seen here" in result["msg"]
    assert guest.alive()
    assert mconsole.answers(guest.console)


def test_a_crashed_one_says_what_would_start_it(launch_guest: Launch, run: Run) -> None:
    launch_guest("a").kill()
    result = run()
    assert "has ended, and its command line with it" in result["msg"]
    assert "set root" in result["msg"]
