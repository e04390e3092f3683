# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole set of devices in one transaction: all of it, or nothing; on each kernel."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from support import devices as support
from support import guest as guests
from support import kernels, uml
from support.devices import Device, image, step
from support.run_operation import operate


@pytest.fixture(scope="module", params=kernels.wanted())
def machine(request) -> Iterator[uml.Instance]:
    """Yield one instance of each kernel, with a real root disk, to all tests of this file."""
    with tempfile.TemporaryDirectory(prefix="uml.root.") as folder:
        root = guests.copy_root_image(Path(folder) / "root.ext4")
        with support.machine(request.param, "ubd15=/nonexistent/ghost", root=root) as instance:
            yield instance


@pytest.fixture
def clean(machine) -> Iterator[uml.Instance]:
    """Take away what a test leaves; the ghost stays."""
    yield machine
    support.clean(machine)


@pytest.fixture
def devices(clean) -> Device:
    """Run the operation on the instance under test."""
    return lambda check=False, **params: operate("devices", check, umid="guest", uml_dir=str(clean.uml_dir), **params)


def seen(machine: uml.Instance) -> dict[str, str]:
    """Return what the console says of disks and of the lines under test."""
    names = [f"ubd{unit}" for unit in range(16)] + list(support.LINES)
    return {name: machine.request(f"config {name}")[1] for name in names}


def test_a_set_of_devices_is_brought_about_once(devices, folder, clean):
    base = image(folder / "base")
    config = {
        "ubd1": image(folder / "a"),
        "ubdc": {"file": f"{folder}/cow", "backing_file": base},
        "ubd3r": {"config": image(folder / "c"), "discard": "no"},
        "con5": {"channel": "pts"},
        "ssl5": "fd:2",
        "con6": {"state": "absent"},
    }
    first = step(devices, True, config=config)
    assert first["commands"] == [
        "remove con6",
        f"config ubd1={folder}/a",
        f"config ubd2={folder}/cow,{base}",
        f"config ubd3rt={folder}/c",
        "config con5=pts",
        "config ssl5=fd:2",
    ]
    assert first["done"] == first["plan"] == first["commands"]
    assert first["verified"], first["reason"]
    assert first["devices"]["ubd3"]["read_only"] is True
    assert first["diff"]["before"]["ubd1"] == {"state": "absent"}
    second = step(devices, False, config=config)
    assert second["diff"]["before"] == second["diff"]["after"] == first["diff"]["after"]


def test_a_file_moves_from_one_disk_to_another(devices, folder):
    file = image(folder / "a")
    step(devices, True, config={"ubd1": file})
    moved = step(devices, True, config={"ubd2": file, "ubd1": {"state": "absent"}})
    assert moved["commands"] == ["remove ubd1", f"config ubd2={file}"]
    swapped = step(devices, True, config={"ubd2": image(folder / "b"), "ubd1": file})
    assert swapped["commands"] == ["remove ubd2", f"config ubd2={folder}/b", f"config ubd1={file}"]


def test_overridden_removes_what_is_not_named_and_keeps_what_must_stay(devices, folder, clean):
    step(devices, True, config={"ubd1": image(folder / "a"), "ubd2": image(folder / "b"), "con5": "pts"})
    clean.request("config vec1:transport=tap,ifname=umlnosuch0")
    done = step(devices, True, state="overridden", config={"ubd1": f"{folder}/a"})
    assert done["commands"] == ["remove ubd2", "remove con5", "remove vec1"]
    assert done["kept"]["ubd0"] == "it is the root device"
    assert "ghost" in done["kept"]["ubd15"]
    assert done["kept"]["con0"] == "the kernel logs to it"
    assert done["kept"]["ssl5"] == "it is a line that leads nowhere"
    step(devices, False, state="overridden", config={"ubd1": f"{folder}/a"})


def test_overridden_may_be_about_some_classes_only(devices, folder):
    step(devices, True, config={"ubd1": image(folder / "a"), "con5": "pts"})
    done = step(devices, True, state="overridden", classes=["ubd"], config={})
    assert done["commands"] == ["remove ubd1"]


@pytest.mark.parametrize("at", range(5))
def test_all_is_undone_when_one_of_five_steps_is_refused(devices, folder, clean, at):
    """The file of one step is taken away after all was checked, so that the kernel itself refuses it."""
    old = image(folder / "old")
    step(devices, True, config={"ubd2": {"file": old, "read_only": True, "serial": "s2"}, "con5": "pts"})
    before = seen(clean)
    files = [image(folder / name) for name in "abcd"]
    config: dict[str, Any] = {"ubd1": files[0], "ubd2": files[1], "con5": "fd:1", "ubd3": files[2], "ubd4": files[3]}
    victim = [files[0], files[1], None, files[2], files[3]][at]
    refused = run_and_spoil(clean, config, victim)
    if victim is None:
        assert not refused.get("failed")
        return
    assert refused["failed"]
    assert refused["error"]["kind"] == "refused"
    assert refused["restored"], refused
    assert not refused["changed"], refused["diff"]
    assert refused["done"] == refused["plan"][: len(refused["done"])]
    assert refused["plan"][len(refused["done"])] == f"config ubd{['1', '2r', '', '3', '4'][at]}={victim}"
    assert seen(clean) == before
    assert refused["devices"]["ubd2"]["read_only"] is True
    assert refused["devices"]["ubd2"]["serial"] == "s2"


def run_and_spoil(machine: uml.Instance, config: dict[str, Any], victim: str | None) -> dict[str, Any]:
    """Run the operation, and unlink a file when the first command that changes something is about to be sent."""
    from ansible_collections.uml.mconsole.plugins.module_utils._devices import executor

    class Spoiling(executor.Executor):
        def execute(self, steps):
            if victim is not None:
                os.unlink(victim)
            return super().execute(steps)

    from ansible_collections.uml.mconsole.plugins.module_utils._devices import transaction

    original, transaction.Executor = transaction.Executor, Spoiling
    try:
        return operate("devices", umid="guest", uml_dir=str(machine.uml_dir), config=config)
    finally:
        transaction.Executor = original


def test_what_the_kernel_only_said_it_did_undoes_all(devices, folder, clean):
    if clean.request("config eth0")[1] == "Bad configuration option":
        return
    (folder / "ctl").touch()
    config = {
        "ubd1": image(folder / "a"),
        "eth4": {"transport": "daemon", "settings": {"socket": f"{folder}/ctl"}},
    }
    lied = devices(config=config)
    assert lied["failed"]
    assert lied["error"]["kind"] == "unverified"
    assert lied["undone"] == ["remove ubd1"]
    assert lied["restored"]
    assert not lied["changed"]
    assert clean.request("config ubd1") == (0, "")


def test_a_disk_in_use_stops_all_before_anything_is_sent(devices, folder, clean):
    step(devices, True, config={"ubd1": str(guests.ext4_image(folder / "ext4"))})
    clean.guest("mount /dev/ubdb /mnt")
    for params in (
        {"config": {"ubd2": image(folder / "b"), "ubd1": {"state": "absent"}}},
        {"config": {}, "state": "overridden"},
    ):
        refused = devices(**params)
        assert refused["failed"]
        assert "mounted at /mnt" in refused["msg"]
        assert refused["commands"] == []
    assert clean.request("config ubd2") == (0, "")


def test_two_controllers_do_not_get_in_each_other_s_way(devices, folder, clean, monkeypatch):
    """What belongs together is sent together: a removal and its setting, and the commands of one set."""
    files = [image(folder / name) for name in "abcd"]
    configs = [{"ubd1": files[0], "ubd2": files[1]}, {"ubd1": files[2], "ubd2": files[3]}]
    sent: list[tuple[int, str]] = []
    original = Console._send

    def send(self, sock, request, deadline):
        if request.text.startswith("remove") or "=" in request.text:
            sent.append((threading.get_ident(), request.text))
        original(self, sock, request, deadline)

    monkeypatch.setattr(Console, "_send", send)
    results: list[dict[str, Any]] = []

    def controller(config: dict[str, str]) -> None:
        results.extend(devices(config=config, timeout=60) for _round in range(6))

    threads = [threading.Thread(target=controller, args=(config,)) for config in configs]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(results) == 12
    assert not [each["msg"] for each in results if each.get("failed")]
    turns = [list(group) for _owner, group in itertools.groupby(sent, key=lambda each: each[0])]
    assert len(turns) == len([each for each in results if each["changed"]]) > 1
    for turn in turns:
        words = [text.split("=")[0] for text, _repeated in itertools.groupby(text for _owner, text in turn)]
        assert words[-2:] == ["config ubd1", "config ubd2"], turns
        assert words[:-2] == ([] if turn is turns[0] else ["remove ubd1", "remove ubd2"]), turns
    assert [seen(clean)[name] for name in ("ubd1", "ubd2")] in [list(config.values()) for config in configs]


INTERRUPTED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from support.run_operation import operate
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
original, left = Console.command, [{steps}]
def command(self, text, *args, **kwargs):
    reply = original(self, text, *args, **kwargs)
    if text.startswith(("config ubd", "remove ubd")) and ("=" in text or text.startswith("remove")):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    return reply
Console.command = command
operate("devices", umid="guest", uml_dir={uml_dir!r}, config={config!r})
"""


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_run_after_an_interrupted_one_converges(devices, folder, clean, steps):
    step(devices, True, config={"ubd2": image(folder / "old")})
    config = {"ubd1": image(folder / "a"), "ubd2": image(folder / "b"), "ubd3": image(folder / "c")}
    tests = str(Path(__file__).parents[1])
    text = PREAMBLE + INTERRUPTED.format(tests=tests, steps=steps, uml_dir=str(clean.uml_dir), config=config)
    killed = subprocess.run([sys.executable, "-c", text], check=False)
    assert killed.returncode == -signal.SIGKILL
    done = step(devices, True, config=config)
    assert len(done["commands"]) == 4 - steps
    assert clean.guest("cat /proc/partitions").count(" ubd") >= 3
    step(devices, False, config=config)


PREAMBLE = """
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
import os
_AnsibleCollectionFinder(paths=[os.environ["ANSIBLE_COLLECTIONS_PATH"]])._install()
"""

BAD = {
    "a device twice": ({"ubd1": "/x", "ubdb": "/y"}, "ubd1 is named twice"),
    "no device": ({"hda": "/x"}, "'hda' is not a device; expected one of ubd0 to ubd15"),
    "a list": ({"ubd1": ["/x"]}, "expected a text or a dictionary of options"),
    "an unknown option": ({"ubd1": {"fiel": "/x"}}, "config.ubd1 has unknown options: fiel"),
    "a wrong type": (
        {"ubd1": {"file": "/x", "read_only": "perhaps"}},
        "config.ubd1.read_only is 'perhaps'; expected true or false",
    ),
    "a wrong number": ({"con5": {"fd": -1}}, "config.con5.fd is -1; expected a number"),
    "a wrong state": ({"ubd1": {"state": "there"}}, "config.ubd1.state is 'there'; expected one of present, absent"),
    "both ways": ({"ubd1": {"config": "/x", "file": "/x"}}, "has config and file; config already sets all of it"),
    "an option of another class": ({"con5": {"file": "/x"}}, "con5 is a console line, which has no file"),
    "one file twice": ({"ubd1": "{x}", "ubd2": "{x}"}, "ubd1 and ubd2 of guest cannot both have the file"),
    "the second is missing": ({"ubd1": "{x}", "ubd2": "/nonexistent/y"}, "no file or block device '/nonexistent/y'"),
    "memory": ({"mem": "64M"}, "use the module uml.mconsole.memory"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_bad_device_stops_all_before_anything_is_sent(devices, folder, clean, case):
    config, said = BAD[case]
    file = image(folder / "x")
    config = {key: value.format(x=file) if isinstance(value, str) else value for key, value in config.items()}
    refused = devices(config=config)
    assert refused["failed"]
    assert said in refused["msg"]
    assert refused["commands"] == []
    assert clean.request("config ubd1") == (0, "")


@pytest.mark.parametrize("series", kernels.wanted())
def test_the_kernel_s_own_descriptors_are_refused(series, launch_guest, uml_dir):
    """A line would write its text into a disk, the memory or a socket of the kernel; /dev/null takes any text."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    guest = launch_guest("a", "ssl1=pts", f"ssl2=port:{port}", kernel=kernels.path(series))
    found = {int(path.name): os.readlink(path) for path in Path(f"/proc/{guest.pid}/fd").iterdir()}
    own = {number: link for number, link in found.items() if number > 2 and link != "/dev/null"}
    assert len(own) > 5
    for number, link in own.items():
        refused = operate("devices", umid="a", uml_dir=str(uml_dir), config={"ssl5": f"fd:{number}"})
        assert re.search(f"descriptor {number} of a (is the kernel's own|takes no text)", refused.get("msg", "")), link
    assert not operate("devices", umid="a", uml_dir=str(uml_dir), config={"ssl5": "fd:1"}).get("failed")


def test_the_base_of_a_cow_disk_is_not_attached_writable(devices, folder):
    base = image(folder / "base")
    step(devices, True, config={"ubd1": f"{folder}/cow,{base}"})
    refused = devices(config={"ubd2": base})
    assert f"{base!r} is the backing file of ubd1 of guest" in refused["msg"]
    assert "set read_only=true" in refused["msg"]
    step(devices, True, config={"ubd2": {"file": base, "read_only": True}})


def test_a_disk_too_large_for_the_memory_is_refused_before(devices, folder):
    """The kernel keeps the bitmap of a COW disk in the guest's memory: 256 MB of it for 1 TB."""
    base = image(folder / "base", 1 << 40)
    refused = devices(config={"ubd1": f"{folder}/cow,{base}"})
    assert "its bitmap takes 268435456 bytes of the guest's memory" in refused["msg"]
    assert not (folder / "cow").exists()
