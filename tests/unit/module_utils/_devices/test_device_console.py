# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What device, devices and memory say to a console that keeps a record, as each kernel answers."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands, socket_id
from support import fake as fakes
from support.devices import image
from support.fake import FakeConsole
from support.fake_disks import KernelWithSysfs
from support.fake_kernel import Disk, Part, Refusal
from support.run_operation import operate

SERIES = ("6.1", "6.12", "7.2")
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def launch(uml_dir) -> Iterator[Callable[..., FakeConsole]]:
    """Yield `launch(series, **fields of the kernel)`."""
    started: list[FakeConsole] = []

    def start(series: str = "6.1", kind: type[KernelWithSysfs] = KernelWithSysfs, **fields: Any) -> FakeConsole:
        started.append(FakeConsole(uml_dir, kernel=kind(series=series, **fields)))
        return started[-1]

    yield start
    for fake in started:
        fake.close()


@pytest.fixture
def run(sockets, uml_dir) -> Run:
    """Run an operation on the fake."""

    def one(operation: str, check: bool = False, /, **params: Any) -> dict[str, Any]:
        return operate(operation, check, sockets, umid="fake", uml_dir=str(uml_dir), **params)

    return one


def changing(fake: FakeConsole) -> list[str]:
    """Return the commands received since the last call that change something."""
    found = [text for text in fake.received if commands.parse(text).changes]
    fake.received.clear()
    return found


WISHES: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "a disk": (SERIES, "device", {"name": "ubd1", "file": "{folder}/a"}),
    "a disk as a text": (SERIES, "device", {"name": "ubdb", "config": "{folder}/a"}),
    "flags": (SERIES, "device", {"name": "ubd1rt", "config": "{folder}/a,,s1"}),
    "a COW pair": (SERIES, "device", {"name": "ubd1", "config": "{folder}/cow,{folder}/b"}),
    "a line": (SERIES, "device", {"name": "con5", "channel": "pts"}),
    "a serial line": (SERIES, "device", {"name": "ssl7", "config": "fd:0,fd:1"}),
    "a line less": (SERIES, "device", {"name": "con5", "state": "absent"}),
    "an interface": (SERIES, "device", {"name": "vec1", "config": "transport=tap,ifname=lo,mac=52:54:00:12:34:56"}),
    "an old interface": (("6.1", "6.12"), "device", {"name": "eth1", "config": "tuntap,,52:54:00:12:34:56"}),
    "a set": (SERIES, "devices", {"config": {"ubd1": "{folder}/a", "ubd2": {"file": "{folder}/b"}, "con5": "pts"}}),
    "nothing but a disk": (SERIES, "devices", {"config": {"ubd1": "{folder}/a"}, "state": "overridden"}),
    "nothing": (SERIES, "devices", {"config": {}, "state": "overridden"}),
}
CASES = [(series, name) for name, (kernels, _operation, _params) in WISHES.items() for series in kernels]


@pytest.mark.parametrize(("series", "case"), CASES)
def test_check_mode_sends_nothing_that_changes_and_foretells_what_is_sent(launch, run, uml_dir, series, case):
    fake = launch(series)
    fake.kernel.lines["con6"] = "pts"
    for name in "abc":
        image(uml_dir / name)
    assert run("device", name="ubd3", file=f"{uml_dir}/c")["changed"]
    fake.received.clear()
    _kernels, operation, params = WISHES[case]
    params = filled(params, str(uml_dir))
    foretold = run(operation, True, **params)
    assert changing(fake) == []
    assert not foretold.get("failed"), foretold
    done = run(operation, **params)
    assert without_repeats(changing(fake)) == foretold["commands"] == done["commands"]
    assert done["changed"] == foretold["changed"] == bool(done["commands"])
    again = run(operation, **params)
    assert not again["changed"]
    assert changing(fake) == []
    assert fake.alive


def filled(value: Any, folder: str) -> Any:
    """Put the folder in."""
    if isinstance(value, dict):
        return {key: filled(each, folder) for key, each in value.items()}
    return value.replace("{folder}", folder) if isinstance(value, str) else value


def without_repeats(sent: list[str]) -> list[str]:
    """Leave out what was sent again, because the kernel was not ready for it."""
    return [text for index, text in enumerate(sent) if index == 0 or sent[index - 1] != text]


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("params", [{"state": "absent"}, {"file": "{folder}/a"}, {"file": "root_fs"}])
def test_a_ghost_is_reported_and_left_alone(launch, run, uml_dir, series, params):
    fake = launch(series)
    image(uml_dir / "a")
    for check in (True, False):
        refused = run("device", check, name="ubd0", **filled(params, str(uml_dir)))
        assert refused["failed"]
        if "root_fs" not in params.values():  # which is not a file, and the module sees that first or last
            assert "it is a ghost" in refused["msg"]
        assert changing(fake) == []
    forced = run("device", name="ubd0", state="absent", force=True)
    assert "it is a ghost" in forced["msg"]
    assert changing(fake) == []
    assert fake.alive


LACKING = [("7.2", "eth0"), ("6.1", "virtio_uml3"), ("6.12", "virtio_uml3"), ("7.2", "vfio_uml.0000:01:00.0")]


@pytest.mark.parametrize(("series", "name"), LACKING)
def test_a_class_that_the_kernel_lacks_is_refused_before_anything_is_sent(launch, run, uml_dir, series, name):
    fake = launch(series)
    config = {"eth0": "tuntap", "virtio_uml3": "/s:1"}.get(name)
    for check in (True, False):
        refused = run("device", check, name=name, **({"config": config} if config else {}))
        assert refused["failed"]
        assert f"has no {name.rstrip('0123456789').partition('.')[0]} devices" in refused["msg"]
        assert changing(fake) == []
    assert not run("device", name=name, state="absent")["changed"]


class LateKernel(KernelWithSysfs):
    """One whose lines come after its console, as they do."""

    late = 10

    def answer(self, command: str) -> Iterator[Part] | None:
        """Answer a command."""
        if command.startswith("config con") and self.late:
            self.late -= 1
            return iter([Part(1, "Bad configuration option")])
        return super().answer(command)


class KernelWithLateDisks(KernelWithSysfs):
    """One whose disk driver comes after its console, as it does, and panics when it finds disks then."""

    late = 10

    def _file(self, path: str) -> bytes:
        data = super()._file(path)
        if path == "devices" and self.late:
            self.late -= 1
            return data.replace(b" 98 ubd\n", b"")
        return data

    def _open_disk(self, disk: Disk, setting: str) -> None:
        self.end = "crash" if self.late else self.end
        super()._open_disk(disk, setting)


class KernelWithoutDisks(KernelWithSysfs):
    """One that was built without the disk driver."""

    def answer(self, command: str) -> Iterator[Part] | None:
        """Answer a command."""
        return iter([Part(1, "Bad configuration option")]) if "ubd" in command else super().answer(command)


@pytest.fixture
def young(monkeypatch):
    """Let each console be a second old."""
    monkeypatch.setattr(socket_id, "age", lambda _path: 1.0)


def test_lines_that_still_initialise_are_waited_for(launch, run, young):
    fake = launch(kind=LateKernel)
    done = run("device", name="con5", channel="pts")
    assert done["commands"] == ["config con5=pts"]
    assert fake.received.count("config con0") >= 11


def test_lines_that_an_old_guest_has_not_are_not_waited_for(launch, run):
    fake = launch(kind=LateKernel)
    fake.kernel.late = 1000
    refused = run("device", name="con5", channel="pts")
    assert "has no con devices" in refused["msg"]
    assert fake.received.count("config con0") == 1


def test_a_disk_driver_that_still_initialises_is_waited_for(launch, run, uml_dir, young):
    fake = launch(kind=KernelWithLateDisks)
    image(uml_dir / "a")
    done = run("device", name="ubd1", file=str(uml_dir / "a"))
    assert done["commands"] == [f"config ubd1={uml_dir}/a"]
    assert fake.alive


def test_without_a_disk_driver_no_disk_is_sent(launch, run, uml_dir):
    fake = launch(kind=KernelWithLateDisks)
    fake.kernel.late = 1000
    image(uml_dir / "a")
    refused = run("device", name="ubd1", file=str(uml_dir / "a"))
    assert refused["error"] == {**refused["error"], "kind": "danger", "danger": "no-disk-driver"}
    assert (changing(fake), fake.alive) == ([], True)


def test_a_disk_driver_that_never_comes_is_not_waited_for(launch, run, young):
    fake = launch(kind=KernelWithoutDisks)
    fake.kernel.files["devices"] = b"Block devices:\n  7 loop\n"
    assert run("device", name="con5", channel="pts")["changed"]
    refused = run("device", name="ubd1", file="/dev/null")
    assert "has no ubd devices" in refused["msg"]


def test_a_paused_instance_is_left_alone(launch, run, uml_dir):
    fake = launch()
    fake.kernel.paused = True
    fake._socket.setblocking(True)
    image(uml_dir / "a")
    for check in (True, False):
        refused = run("device", check, name="ubd1", file=f"{uml_dir}/a")
        assert refused["error"]["kind"] == "danger"
        assert changing(fake) == []
    unseen = run("device", True, name="vec1", config="transport=tap,ifname=lo", resume=True)
    assert unseen["error"]["kind"] == "danger"
    assert not fake.kernel.frozen


def test_an_unanswered_command_ends_it_there(launch, run, uml_dir):
    """What was sent may have happened, so nothing is undone by guess; the next run sees."""

    class Deaf(KernelWithSysfs):
        def answer(self, command: str) -> Any:
            return None if command.startswith("config ubd2=") else super().answer(command)

    fake = launch(kind=Deaf)
    config = {"ubd1": image(uml_dir / "a"), "ubd2": image(uml_dir / "b"), "ubd3": image(uml_dir / "c")}
    ended = run("devices", config=config, timeout=0.3)
    assert ended["failed"]
    assert ended["error"]["kind"] == "unanswered"
    assert ended["done"] == [f"config ubd1={uml_dir}/a"]
    assert ended["undone"] == []
    assert ended["changed"]
    assert changing(fake) == [f"config ubd1={uml_dir}/a", f"config ubd2={uml_dir}/b"]


def test_what_cannot_be_read_after_a_change_is_told_to_have_happened_perhaps(launch, run, uml_dir):
    class Odd(KernelWithSysfs):
        """Answers nonsense from the moment on when a disk was set."""

        is_set = False

        def answer(self, command: str) -> Any:
            if self.is_set:
                fake.manner = fakes.garbage
            self.is_set = self.is_set or command.startswith("config ubd1=")
            return super().answer(command)

    fake = launch(kind=Odd)
    result = run("device", name="ubd1", file=image(uml_dir / "a"), timeout=0.3)
    assert result["failed"]
    assert "it may have happened, because the devices cannot be read afterwards" in result["msg"]
    assert result["commands"] == [f"config ubd1={uml_dir}/a"]


MANNERS = {"silent": fakes.silent, "garbage": fakes.garbage, "cut": fakes.cut_header, "endless": fakes.unterminated}


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
def test_a_console_that_answers_nonsense_is_an_error_not_a_crash(launch, run, uml_dir, manner):
    launch().manner = manner
    ended = run("device", name="ubd1", file=image(uml_dir / "a"), timeout=0.2)
    assert ended["failed"]
    assert ended["commands"] == []


def test_a_guest_without_sys_is_doubted(launch, run, uml_dir):
    class Bare(KernelWithSysfs):
        def _file(self, path: str) -> bytes:
            if path.startswith("1/root/sys"):
                raise Refusal(1, "Failed to open file")
            return super()._file(path)

    launch(kind=Bare)
    done = run("device", name="ubd1", file=image(uml_dir / "a"), serial="s")
    assert done["changed"]
    assert not done["verified"]
    assert "/sys" in done["reason"]
    assert not run("device", name="ubd1", file=f"{uml_dir}/a", serial="s")["changed"]


def test_a_mounted_disk_is_not_removed(launch, run, uml_dir):
    fake = launch()
    run("device", name="ubd1", file=image(uml_dir / "a"))
    fake.received.clear()
    fake.kernel.files["1/mountinfo"] = b"22 1 98:17 / /srv\\040x rw - ext4 /dev/ubdb1 rw\n"
    refused = run("device", name="ubd1", state="absent")
    assert "mounted at /srv\\040x" in refused["msg"]
    assert changing(fake) == []
    run("device", name="ubd1", state="absent", force=True)
    assert changing(fake) == ["remove ubd1"]


def test_what_stays_open_is_waited_for_and_then_left(launch, run, uml_dir):
    fake = launch("6.12")
    run("device", name="ubd1", file=image(uml_dir / "a"))
    fake.kernel.disks[1].in_use = True
    refused = run("device", name="ubd1", state="absent")
    assert refused["failed"]
    assert "the guest has it open" in refused["msg"]
    assert not refused["changed"]


# Memory.


class KernelWithMemory(KernelWithSysfs):
    """One that takes pages, as many as `gives` allows."""

    taken = 0
    gives = 1 << 40

    def answer(self, command: str) -> Iterator[Part] | None:
        """Answer a command; `config mem=` with OK, also if it had no effect."""
        match = re.match(r"config mem=([-+])(\d+)K", command)
        if match:
            amount = int(match[2]) * 1024
            self.taken = min(self.taken + amount, self.gives) if match[1] == "-" else max(self.taken - amount, 0)
        return super().answer(command)

    def _file(self, path: str) -> bytes:
        free = (90 << 20) - self.taken
        if path == "meminfo":
            rows = {
                "MemTotal": 100 << 20,
                "MemFree": free - (1 << 20),
                "MemAvailable": free - (2 << 20),
                "Slab": 9 << 20,
            }
            return "".join(f"{name}: {value // 1024:10d} kB\n" for name, value in rows.items()).encode()
        if path == "zoneinfo":
            return b"Node 0, zone   Normal\n        low      256\n    cpu: 0\n              count:    256\n"
        return super()._file(path)


@pytest.fixture
def balloon(launch) -> FakeConsole:
    """Yield a fake with memory, booted with 128M."""
    fake = launch(kind=KernelWithMemory)
    fake.kernel.files["cmdline"] = b"mem=128M con=null\n"
    return fake


def test_memory_is_foretold_taken_and_given_back(balloon, run):
    foretold = run("memory", True, size="100M")
    assert changing(balloon) == []
    taken = run("memory", size="100M")
    assert changing(balloon) == foretold["commands"] == taken["commands"] == ["config mem=-28672K"]
    assert taken["verified"]
    assert abs(taken["size"] - (100 << 20)) < 1 << 20
    assert not run("memory", size="100M")["changed"]
    back = run("memory", size="max")
    assert changing(balloon) == back["commands"] == ["config mem=+131072K"]
    assert balloon.kernel.taken == 0


def test_a_partial_change_is_a_failure_with_the_size_that_was_reached(balloon, run):
    balloon.kernel.gives = 10 << 20
    partial = run("memory", size="100M")
    assert partial["failed"]
    assert partial["error"]["kind"] == "unverified"
    assert partial["changed"]
    assert not partial["verified"]
    assert abs(partial["size"] - (118 << 20)) < 1 << 20
    assert "finds no more memory to give" in partial["msg"]


def test_a_guest_without_meminfo_is_told(launch, run):
    launch()
    refused = run("memory", size="100M")
    assert "does not show its memory" in refused["msg"]


# What is seen on the VM host.


def test_paths_are_those_of_the_instance(launch, run, uml_dir, monkeypatch):
    """A relative path starts at the instance's own directory; the fake's process is this one."""
    monkeypatch.chdir(uml_dir)
    fake = launch(folder=uml_dir)
    image(uml_dir / "a")
    done = run("device", name="ubd1", file="a")
    assert done["commands"] == ["config ubd1=a"]
    for spelling in (f"{uml_dir}/a", "./a", f"{uml_dir}/../{uml_dir.name}/a"):
        assert not run("device", name="ubd1", file=spelling)["changed"]
    assert fake.kernel.disks[1].file == "a"


def test_a_socket_or_a_fifo_is_no_disk(launch, run, uml_dir):
    """Opening a fifo would hold up the kernel's only worker for good."""
    fake = launch()
    os.mkfifo(uml_dir / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(uml_dir / "socket"))
        for name in ("fifo", "socket"):
            assert "is not a file or block device" in run("device", name="ubd1", file=f"{uml_dir}/{name}")["msg"]
    assert changing(fake) == []


def test_the_root_device_stays_by_whatever_name(launch, run, uml_dir):
    for words in ("root=/dev/ubdc", "root=98:32", "root=/dev/ubdc1 ro"):
        fake = launch()
        fake.kernel.files["cmdline"] = words.encode()
        fake.kernel.disks = {
            2: Disk(image(uml_dir / "root"), size=1 << 20),
            3: Disk(image(uml_dir / "other"), size=1 << 20),
        }
        done = run("devices", True, config={}, state="overridden", classes=["ubd"])
        assert done["commands"] == ["remove ubd3"]
        assert done["kept"] == {"ubd2": "it is the root device"}
        fake.close()


def test_lines_that_the_kernel_logs_to_stay(launch, run):
    fake = launch()
    fake.kernel.files["consoles"] = (
        b"tty0                 -WU (EC p  )    4:7\nttyS3                -W- (E  p a)    4:67\n"
    )
    fake.kernel.lines.update(con4="pts", ssl3="pts", con0="fd:0")
    done = run("devices", True, config={}, state="overridden", classes=["con", "ssl"])
    assert done["commands"] == ["remove con4"]
    assert done["kept"]["ssl3"] == done["kept"]["con0"] == "the kernel logs to it"
    assert re.fullmatch("it is a line that leads nowhere", done["kept"]["con9"])


def test_a_result_names_the_file_that_is_missing_and_the_instance(launch, run, uml_dir):
    launch()
    refused = run("device", name="ubd1", file="/nonexistent")
    assert refused["error"] == {"kind": "input", "path": "/nonexistent"}
    assert refused["msg"] == "no file or block device '/nonexistent' on the VM host, as fake sees it"


def test_vde_needs_its_helper_on_the_vm_host(launch, run, monkeypatch):
    """The environment that is looked at is the process's at its start, which for the fake is this one's."""
    fake = launch("7.2")
    refused = run("device", name="vec1", transport="vde", settings={"vnl": "/run/vde"})
    assert "no vde_plug in the PATH" in refused["msg"]
    assert changing(fake) == []
    launch_old = run("device", name="eth1", transport="vde")
    assert "crashes" in launch_old["msg"]


def test_a_folder_that_is_not_there(run, uml_dir):
    gone = run("device", name="ubd1", file="/dev/null")
    assert gone["error"]["kind"] == "not_there"
    Path(uml_dir / "fake").mkdir()
    (uml_dir / "fake" / "pid").write_text("1\n")
    assert run("device", name="ubd1", file="/dev/null")["error"]["kind"] == "not_there"
