# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the disks of real guests that write all the time; UML_BACKUPS says how many of them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._backup.backup import put_in_place
from ansible_collections.uml.mconsole.plugins.module_utils._files import copying
from support import guest as guests
from support import kernels, processes, uml
from support.paths import CHECKOUT, TREE
from support.run_operation import operate
from support.wait import wait_until

BACKUPS = int(os.environ.get("UML_BACKUPS", "3"))
WRITER = """mount -t ext4 /dev/ubdb /mnt && (
while :; do dd if=/dev/urandom of=/mnt/f$((i = (i + 1) % 9)) bs=64k count=9; done
) 2>/dev/null &"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Return where the copies go."""
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies"


@pytest.fixture
def writer(launch_guest: Callable[..., uml.Instance], uml_dir: Path) -> uml.Instance:
    """Yield a guest that writes to its second disk without pause."""
    disk = guests.ext4_image(uml_dir / "disk.img", size=guests.LARGE)
    instance = launch_guest("web1", f"ubd1={disk}")
    instance.guest(WRITER)
    return instance


@pytest.fixture
def backup(uml_dir: Path, dest: Path) -> Run:
    """Yield the operation."""

    def run(check: bool = False, **params: Any) -> dict[str, Any]:
        named = {} if "umids" in params else {"umid": "web1"}
        given = {"uml_dir": str(uml_dir), "dest": str(dest), "sync_timeout": 0.5, **named, **params}
        return operate("disk_backup", check, **given)

    return run


def good(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result that is not a failure."""
    assert not result.get("failed"), result["msg"]
    return result


def fsck(path: Path | str) -> str:
    """Replay a copy's journal and check all of it, as the next boot would; an open file is not a fault."""
    first = subprocess.run(["/sbin/e2fsck", "-p", str(path)], capture_output=True, text=True, check=False)
    done = subprocess.run(["/sbin/e2fsck", "-f", "-n", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else first.stdout + first.stderr + done.stdout + done.stderr


def runs(instance: uml.Instance) -> bool:
    """Return whether the guest runs on: its clock goes, and its writer writes."""
    assert instance.request("go") == (1, "Not stopped")
    return instance.guest("echo alive") == "alive\n"


def leftovers(dest: Path) -> list[str]:
    """List what is in the directory."""
    return sorted(path.name for path in dest.iterdir())


def test_each_copy_is_clean_and_the_guest_lives(writer: uml.Instance, backup: Run, dest: Path) -> None:
    """A guest that writes without pause, copied again and again."""
    for _number in range(BACKUPS):
        result = good(backup(overwrite=True))
        [copy] = result["copies"]
        assert (copy["device"], copy["path"], copy["size"]) == ("ubd1", str(dest / "web1-ubd1.img"), 32 << 20)
        assert copy["method"] in ("sparse", "reflink")
        assert (result["changed"], result["commands"]) == (True, ["sysrq s", "stop", "go"])
        assert 0 < result["pause"] < 60
        assert fsck(copy["path"]) == ""
        assert runs(writer)
    assert leftovers(dest) == ["web1-ubd1.img"]
    assert os.stat(copy["path"]).st_mode & 0o777 == 0o600


def test_a_late_write_has_it_copied_again(
    writer: uml.Instance, backup: Run, uml_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until nothing is written meanwhile, or the time is over."""
    disk, times = uml_dir / "disk.img", iter([1, 2])

    def late(source: str, *args: Any) -> copying.Copied:
        copied = copying_copy(source, *args)
        if next(times, None):
            os.utime(disk)
        return copied

    copying_copy = copying.copy
    monkeypatch.setattr(copying, "copy", late)
    good(backup())
    assert next(times, None) is None
    times = iter(range(1, 10**6))
    result = backup(overwrite=True, max_pause=0.5)
    assert "was not done within max_pause" in result["msg"]
    assert runs(writer)


@pytest.mark.parametrize("series", kernels.wanted())
def test_what_was_written_before_is_in_the_copy(series: str, launch_guest: Any, uml_dir: Path, backup: Run) -> None:
    """An idle guest has all of it written out, on each kernel."""
    disk = guests.ext4_image(uml_dir / "disk.img")
    instance = launch_guest("web1", f"ubd1={disk}", kernel=kernels.path(series))
    instance.guest("mount -t ext4 /dev/ubdb /mnt && echo precious > /mnt/note")
    result = good(backup(sync_timeout=30))
    assert result["synced"]
    copy = result["copies"][0]["path"]
    assert fsck(copy) == ""
    shown = subprocess.run(["/sbin/debugfs", "-R", "cat /note", copy], capture_output=True, text=True, check=True)
    assert shown.stdout == "precious\n"
    assert runs(instance)


def test_the_directory_is_made_and_goes_with_a_failure(
    writer: uml.Instance, backup: Run, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the directory and its parents. A failure removes them again."""
    deep = dest / "a" / "b"
    with monkeypatch.context() as patch:
        patch.setattr(copying, "_PART", 4096)
        patch.setattr(copying, "_clone", lambda *args: False)
        assert backup(dest=str(deep), max_pause=0.01)["failed"]
    assert leftovers(dest) == []
    good(backup(dest=str(deep)))
    assert (leftovers(deep), deep.stat().st_mode & 0o777) == (["web1-ubd1.img"], 0o700)


def test_check_mode_copies_nothing(writer: uml.Instance, backup: Run, dest: Path) -> None:
    """Check mode returns what would be sent and made."""
    planned = good(backup(True))
    assert (planned["changed"], planned["commands"]) == (True, ["sysrq s", "stop", "go"])
    assert [each["path"] for each in planned["copies"]] == [str(dest / "web1-ubd1.img")]
    assert leftovers(dest) == []


def test_a_copy_on_write_pair_stays_a_pair(launch_guest: Any, uml_dir: Path, backup: Run, dest: Path) -> None:
    """The copy boots with the backing file it was made for, or with a copy of that, header and times included."""
    base = guests.ext4_image(uml_dir / "base.img")
    os.utime(base, (1_700_000_000, 1_700_000_000))
    instance = launch_guest("web1", f"ubd1={uml_dir}/a.cow,{base}")
    instance.guest("mount -t ext4 /dev/ubdb /mnt && echo precious > /mnt/note && umount /mnt && sync")
    kept = good(backup())["copies"][0]
    assert (kept["path"], kept["backing_file"]) == (str(dest / "web1-ubd1.cow"), str(base))
    moved = good(backup(backing="copy", overwrite=True))["copies"][0]
    assert moved["backing_file"] == str(dest / "base.img")
    assert good(backup(backing="copy", overwrite=True))["copies"][0] == moved
    Path(base).unlink()
    other = launch_guest("other", f"ubd1={moved['path']}")
    assert other.request("config ubd1")[1] == f"{moved['path']},{dest}/base.img"
    assert other.guest("mount -t ext4 /dev/ubdb /mnt && cat /mnt/note") == "precious\n"


def test_a_full_target_leaves_the_guest_running_and_nothing_else(
    writer: uml.Instance, backup: Run, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen before the pause; and in the middle, when the room was taken meanwhile."""
    writer.guest("until [ -s /mnt/f8 ]; do sleep 0.1; done; sync", timeout=120)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dest], check=True)
    try:
        result = backup()
        assert f"and {dest} has" in result["msg"]
        assert result["commands"] == []
        monkeypatch.setattr(copying, "can_share", lambda *args: True)
        result = backup()
        assert result["msg"] == f"the copy of web1 into {dest} failed: No space left on device; nothing of it is left"
        assert result["error"]["pause"] > 0
        assert leftovers(dest) == []
        assert runs(writer)
    finally:
        subprocess.run(["umount", dest], check=True)


def test_a_pause_is_bounded(writer: uml.Instance, backup: Run, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that takes too long is given up."""
    monkeypatch.setattr(copying, "_PART", 4096)
    monkeypatch.setattr(copying, "_clone", lambda *args: False)
    result = backup(max_pause=0.01)
    assert "was not done within max_pause, 0.01 s; it was given up, and the instance runs on" in result["msg"]
    assert leftovers(dest) == []
    assert runs(writer)


@pytest.mark.parametrize("paused", [False, True])
def test_one_that_somebody_resumes_is_no_copy(
    paused: bool, writer: uml.Instance, backup: Run, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the copy would be of another moment, even if another program had paused the instance."""
    original = copying.copy

    def slow(source: str, target: str, *more: Any) -> Any:
        assert writer.request("go") in ((0, ""), (1, "Not stopped"))  # a write that came in between has it copied again
        return original(source, target, *more)

    if paused:
        assert writer.request("stop")[0] == 0
    monkeypatch.setattr(copying, "copy", slow)
    assert "was resumed while its disks were copied, so the copies were thrown away" in backup()["msg"]
    assert leftovers(dest) == []
    assert runs(writer)


CLIENT = """
import sys, time
from ansible_collections.uml.mconsole.plugins.module_utils._backup.backup import put_in_place
from ansible_collections.uml.mconsole.plugins.module_utils._files import copying
from support.run_operation import operate
original = copying.copy
def slow(source, target, *more):
    found = original(source, target, *more)
    print("copied", flush=True)
    time.sleep(60)
    return found
copying.copy = slow
operate("disk_backup", umid="web1", uml_dir=sys.argv[1], dest=sys.argv[2], max_pause=float(sys.argv[3]),
        sync_timeout=0.5)
"""


@pytest.fixture
def client(uml_dir: Path, dest: Path) -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    """Yield `client(max_pause)`: a client in its own process that has copied, and not resumed the instance yet."""
    started: list[subprocess.Popen[str]] = []

    def start(max_pause: float) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": f"{TREE}:{CHECKOUT}/tests"}
        words = [sys.executable, "-c", CLIENT, str(uml_dir), str(dest), str(max_pause)]
        started.append(subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "copied\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_client_that_dies_in_the_middle_leaves_the_guest_running(
    how: str, writer: uml.Instance, client: Any, dest: Path
) -> None:
    """Killed or stopped, while the guest is paused: it runs again, and what is unfinished goes."""
    process = client(60 if how == "killed" else 1)
    assert writer.request("stop")[1] == "Already stopped"
    helpers = [pid for pid in processes.descendants(process.pid) if pid != process.pid]
    process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    wait_until(lambda: writer.request("go") == (1, "Not stopped"), 20, "resumed")
    process.kill()
    wait_until(lambda: not [pid for pid in helpers if Path(f"/proc/{pid}").exists()], 20, "no process left")
    assert runs(writer)
    if how == "killed":
        assert leftovers(dest) == []


@pytest.mark.parametrize("series", kernels.wanted())
def test_what_the_sync_itself_makes_dirty_does_not_count(
    series: str, launch_guest: Any, uml_dir: Path, backup: Run
) -> None:
    """The kernel reports each sync, and a guest such as one with journald writes that to its disk."""
    disk = guests.ext4_image(uml_dir / "disk.img", size=guests.LARGE)
    instance = launch_guest("web1", f"ubd1={disk}", kernel=kernels.path(series))
    instance.guest(
        "mount -t ext4 /dev/ubdb /mnt && (while read -r line; do echo $line; done < /dev/kmsg >> /mnt/log) &"
    )
    instance.guest("dd if=/dev/urandom of=/mnt/precious bs=64k count=32")
    result = good(backup(sync_timeout=20))
    assert result["synced"]
    assert fsck(result["copies"][0]["path"]) == ""
    said = instance.guest("sha1sum < /mnt/precious").split()[0]
    shown = ["/sbin/debugfs", "-R", "cat /precious", result["copies"][0]["path"]]
    assert hashlib.sha1(subprocess.run(shown, capture_output=True, check=True).stdout).hexdigest() == said


def test_a_paused_one_stays_paused(writer: uml.Instance, backup: Run) -> None:
    """It is copied as it is, and nothing is sent."""
    assert writer.request("stop")[0] == 0
    result = good(backup())
    assert (result["commands"], result["synced"], result["pause"]) == ([], False, 0)
    assert fsck(result["copies"][0]["path"]) == ""
    assert writer.request("stop")[1] == "Already stopped"
    assert writer.request("go")[0] == 0


BAD = [
    ({"dest": "/etc/hostname/x"}, "dest cannot be a directory: /etc/hostname is not a directory"),
    ({"dest": "/proc/x"}, "no file can be made in /proc: No such file or directory"),
    ({"disks": ["ubd7"]}, "web1 has no disk ubd7"),
    ({"disks": ["con1"]}, "'con1' is not a disk; expected ubd0 to ubd15"),
    ({"disks": ["ubd99"]}, "'ubd99' is out of range"),
    ({"disks": []}, "web1 has no disk with a file that could be copied"),
    ({"max_pause": 0}, "max_pause is 0; expected seconds, more than 0"),
    ({"sync_timeout": -1}, "sync_timeout is -1; expected seconds, more than 0"),
    ({"umid": "nobody"}, "no instance 'nobody'"),
]


def test_bad_input_pauses_nothing(writer: uml.Instance, backup: Run, dest: Path) -> None:
    """Each error is one sentence, also in check mode."""
    for params, said in BAD:
        for check in (True, False):
            result = backup(check, **params)
            assert said in result["msg"]
            assert result.get("commands", []) == []
    assert runs(writer)
    assert leftovers(dest) == []


def test_what_is_there_is_kept(writer: uml.Instance, backup: Run, dest: Path) -> None:
    """Unless the user says otherwise; and a file that was taken away is named."""
    (dest / "web1-ubd1.img").write_text("mine")
    assert "web1-ubd1.img exists already; set overwrite=true to replace it" in backup()["msg"]
    assert (dest / "web1-ubd1.img").read_text() == "mine"
    (writer.uml_dir / "disk.img").unlink()
    assert "of ubd1 of web1 is not there: No such file or directory" in backup(disks=["ubdb"])["msg"]


@pytest.mark.parametrize("series", kernels.wanted())
def test_a_file_that_was_replaced_is_not_copied(
    series: str, launch_guest: Any, uml_dir: Path, backup: Run, dest: Path
) -> None:
    """The guest has the old file open; `device` does not call the disk verified either."""
    disk, other = guests.ext4_image(uml_dir / "a.img"), guests.ext4_image(uml_dir / "b.img")
    instance = launch_guest("web1", f"ubd1={disk}", kernel=kernels.path(series))
    instance.guest("mount -t ext4 /dev/ubdb /mnt && echo precious > /mnt/note && sync")
    good(backup(True))
    disk.unlink()
    disk.write_bytes(other.read_bytes())
    for check in (True, False):
        result = backup(check)
        assert "ubd1 of web1 is not the file that" in result["msg"]
        assert result.get("commands", []) == []
    assert leftovers(dest) == []
    device = operate("device", umid="web1", uml_dir=str(uml_dir), name="ubd1", file=str(disk))
    assert (device["verified"], device["changed"]) == (False, False)
    assert "was replaced" in device["reason"]


def test_all_copies_are_there_or_none(launch_guest: Any, uml_dir: Path, backup: Run, dest: Path) -> None:
    """A target that cannot be taken is seen before the pause, and the old backup of the other disk is kept."""
    first, second = (guests.ext4_image(uml_dir / f"{name}.img") for name in "ab")
    launch_guest("web1", f"ubd1={first}", f"ubd2={second}")
    (dest / "web1-ubd1.img").write_text("old")
    (dest / "web1-ubd2.img").mkdir()
    result = backup(overwrite=True)
    assert f"{dest}/web1-ubd2.img is a directory" in result["msg"]
    assert (dest / "web1-ubd1.img").read_text() == "old"
    assert leftovers(dest) == ["web1-ubd1.img", "web1-ubd2.img"]


def test_what_was_there_comes_back_when_a_copy_cannot_be_put_in_place(tmp_path: Path) -> None:
    for name in ("part1", "part2", "part3"):
        (tmp_path / name).write_text("new")
    (tmp_path / "old").write_text("old")
    (tmp_path / "folder").mkdir()
    pairs = [("part1", "old"), ("part2", "fresh"), ("part3", "folder")]
    with pytest.raises(OSError, match=r"directory|permitted"):
        put_in_place([(str(tmp_path / part), str(tmp_path / target)) for part, target in pairs])
    assert (tmp_path / "old").read_text() == "old"
    assert not (tmp_path / "fresh").exists()


def test_several_at_once(launch_guest: Any, uml_dir: Path, backup: Run, dest: Path) -> None:
    """Each has its own pause, and a backing file that they share is copied once."""
    base = guests.ext4_image(uml_dir / "base.img")
    for umid in ("web1", "web2"):
        launch_guest(umid, f"ubd1={uml_dir}/{umid}.cow,{base}")
    result = good(backup(umids=["web*"], backing="copy"))
    assert sorted(result["instances"]) == ["web1", "web2"]
    assert leftovers(dest) == ["base.img", "web1-ubd1.cow", "web2-ubd1.cow"]
