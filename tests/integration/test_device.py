# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One device: what is asked for is there, what is not asked for stays, and what is reported is so; on each kernel."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import kernels, uml
from support.operate import operate
from support.wait import wait_until

SIZE = 1 << 20
Device = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=kernels.wanted())
def machine(request) -> Iterator[uml.Instance]:
    """Lend one instance of each kernel to all tests of this file, with a folder of the host that both sides see."""
    folder = Path(tempfile.mkdtemp(prefix="uml.dev."))
    folder.chmod(0o755)
    instance = uml.launch("guest", folder, kernel=kernels.path(request.param))
    yield instance
    instance.close()
    shutil.rmtree(folder)


@pytest.fixture
def clean(machine) -> Iterator[uml.Instance]:
    """Take away what a test leaves, and see that the instance outlived it."""
    yield machine
    assert machine.alive(), machine.console_log()[-2000:]
    machine.guest("umount /mnt 2>/dev/null; true")
    for unit in range(1, 16):
        if machine.request(f"config ubd{unit}")[1]:
            wait_until(lambda unit=unit: machine.request(f"remove ubd{unit}")[0] == 0, 5, f"ubd{unit} removed")
    for line in ("con5", "ssl5"):
        machine.request(f"config {line}=null")


@pytest.fixture
def device(clean) -> Device:
    """Run the operation on the instance under test."""
    return lambda check=False, **params: operate("device", check, umid="guest", uml_dir=str(clean.uml_dir), **params)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Lend a folder for disk files."""
    return tmp_path


def image(path: Path, size: int = SIZE) -> str:
    """Make an empty disk."""
    with path.open("wb") as stream:
        stream.truncate(size)
    return str(path)


def step(device: Device, expected_change: bool, **params: Any) -> dict[str, Any]:
    """Check first, then do: check mode changes nothing and says the very commands that the real run sends."""
    foretold = device(check=True, **params)
    done = device(**params)
    assert not done.get("failed"), done
    assert foretold["commands"] == done["commands"]
    assert foretold["changed"] == done["changed"] == expected_change, done
    return done


def story(device: Device, **params: Any) -> dict[str, Any]:
    """Set a device and find that a second run has nothing to do."""
    first = step(device, True, **params)
    second = step(device, False, **params)
    assert second["device"] == first["device"]
    assert second["diff"]["before"] == second["diff"]["after"]
    return first


# Disks.


def test_a_disk_is_attached_once_and_removed_once(device, folder, clean):
    disk = story(device, name="ubd1", file=image(folder / "x"))
    assert disk["commands"] == [f"config ubd1={folder}/x"]
    assert disk["verified"], disk["reason"]
    assert disk["device"]["size"] == SIZE
    assert " ubdb\n" in clean.guest("cat /proc/partitions")
    assert step(device, True, name="ubd1", state="absent")["commands"] == ["remove ubd1"]
    assert step(device, False, name="ubd1", state="absent")["device"] == {
        "name": "ubd1",
        "class": "ubd",
        "state": "absent",
    }
    assert "ubdb" not in clean.guest("cat /proc/partitions")


@pytest.mark.parametrize("other", ["ubdb", "ubd1"])
def test_a_number_and_a_letter_are_the_same_disk(device, folder, other):
    first = step(device, True, name="ubdb", file=image(folder / "x"))
    assert first["device"]["name"] == "ubd1"
    step(device, False, name=other, file=image(folder / "x"))


def spellings(folder: Path, cwd: str) -> dict[str, str]:
    """Return other names of the file x."""
    (folder / "link").symlink_to(folder / "x")
    (folder / "here").symlink_to(folder)
    return {
        "the same": f"{folder}/x",
        "a symbolic link": f"{folder}/link",
        "a linked folder": f"{folder}/here/x",
        "dots": f"{folder}/./x",
        "two slashes": f"{folder}//x",
        "relative": os.path.relpath(folder / "x", cwd),
    }


def test_every_spelling_of_a_path_is_the_same_disk(device, folder, clean):
    image(folder / "x")
    names = spellings(folder, os.readlink(f"/proc/{clean.pid}/cwd"))
    for set_as in names.values():
        step(device, True, name="ubd2", config=set_as)
        for asked_as in names.values():
            assert step(device, False, name="ubd2", file=asked_as)["verified"]
        step(device, True, name="ubd2", state="absent")


@pytest.mark.parametrize(
    ("options", "letters"),
    [
        ({"read_only": True}, "r"),
        ({"discard": False}, "t"),
        ({"read_only": True, "discard": False}, "rt"),
        ({"serial": "sn-1 x"}, ""),
        ({"synchronous": True}, "s"),
        ({"shared": True}, "c"),
    ],
    ids=str,
)
def test_flags_and_serial_numbers_survive_the_way_back(device, folder, options, letters):
    disk = story(device, name="ubd3", file=image(folder / "x"), **options)
    assert disk["commands"][0].startswith(f"config ubd3{letters}=")
    seen = {key: disk["device"][key] for key in options}
    if disk["verified"]:
        assert seen == options
    else:
        assert set(seen.values()) == {None}
        assert "shows only while" in disk["reason"]


def test_flags_may_stand_in_the_name(device, folder):
    assert story(device, name="ubd3rt", config=image(folder / "x"))["device"]["read_only"] is True


def test_a_changed_flag_is_seen_and_the_others_are_kept(device, folder):
    file = image(folder / "x")
    step(device, True, name="ubd3", file=file, discard=False, serial="abc")
    changed = step(device, True, name="ubd3", file=file, read_only=True)
    assert changed["commands"] == ["remove ubd3", f"config ubd3rt={file},,abc"]
    assert changed["reason"] == "read_only was False and shall be True"


def test_a_copy_on_write_disk_is_made_and_recognised_by_every_spelling(device, folder):
    base, cow = image(folder / "base"), f"{folder}/cow"
    pair = story(device, name="ubd4", config=f"{cow},{base}")
    assert pair["device"]["backing_file"] == base
    assert pair["device"]["size"] == SIZE
    assert os.path.exists(cow)
    for params in ({"file": cow}, {"config": f"{cow}:{base}"}, {"file": cow, "backing_file": base}, {"config": cow}):
        step(device, False, name="ubd4", **params)


def test_a_copy_on_write_file_alone_is_attached_with_its_backing_file(device, folder, clean):
    base, cow = image(folder / "base"), f"{folder}/cow"
    step(device, True, name="ubd4", file=cow, backing_file=base)
    step(device, True, name="ubd4", state="absent")
    disk = story(device, name="ubd4", file=cow)
    assert disk["device"]["backing_file"] == base
    assert clean.request("config ubd4") == (0, f"{cow},{base}")


def test_raw_data_is_another_disk_than_its_copy_on_write_pair(device, folder, clean):
    base, cow = image(folder / "base"), f"{folder}/cow"
    step(device, True, name="ubd4", file=cow, backing_file=base)
    raw = story(device, name="ubd4", file=cow, raw=True)
    assert raw["device"]["backing_file"] == ""
    assert clean.request("config ubd4") == (0, cow)
    assert step(device, True, name="ubd4", file=cow)["device"]["backing_file"] == base


def test_a_disk_that_grew_is_not_changed_but_doubted(device, folder):
    file = image(folder / "x")
    step(device, True, name="ubd1", file=file)
    image(folder / "x", 2 * SIZE)
    later = step(device, False, name="ubd1", file=file)
    assert not later["verified"]
    assert f"has {SIZE} bytes, and the file now gives {2 * SIZE}" in later["reason"]


def test_an_empty_file_and_dev_null_are_disks(device, folder):
    for file in (image(folder / "empty", 0), "/dev/null"):
        assert story(device, name="ubd5", file=file)["device"]["size"] == 0
        step(device, True, name="ubd5", state="absent")


@pytest.mark.parametrize("name", ["sp ace", "eq=ual", "quo'te\"", "bücher-日本", "back\\slash", "$HOME", "x" * 200])
def test_paths_reach_the_kernel_as_they_are(device, folder, name, clean):
    file = image(folder / name)
    assert story(device, name="ubd6", file=file)["verified"]
    assert clean.request("config ubd6") == (0, file)


# Lines.


@pytest.mark.parametrize("line", ["con5", "ssl5"])
@pytest.mark.parametrize(
    ("params", "config"),
    [
        ({"channel": "pts"}, "pts"),
        ({"config": "pts:/dev/pts/99"}, "pts"),
        ({"fd": 2}, "fd:2"),
        ({"channel": "fd:2"}, "fd:2"),
        ({"config": "fd:0,fd:1"}, "fd:0"),
        ({"channel": "null", "output": "fd:1"}, None),
        ({"channel": "pts", "output": "null"}, "pts"),
        ({"tty": "/dev/tty0"}, "tty:/dev/tty0"),
        ({"channel": "xterm"}, "xterm"),
        ({"channel": "pty"}, "pty"),
    ],
    ids=str,
)
def test_a_line_is_set_once(device, clean, line, params, config):
    if "tty" in params and not os.path.exists(params["tty"]):
        params = {"tty": "/dev/ptmx"}
        config = "tty:/dev/ptmx"
    if config is None:  # closed, the kernel shows the input alone, and that is null already
        assert not step(device, False, name=line, **params)["verified"]
        return
    done = story(device, name=line, **params)
    assert clean.request(f"config {line}") == (0, config)
    assert done["device"]["config"] == config


def test_a_line_in_use_shows_both_channels(device, clean):
    step(device, True, name="con5", channel="pts", output="null")
    clean.guest("setsid sh -c 'echo $$ > /tmp/holder; exec sleep 1000 <>/dev/tty5' </dev/null >/dev/null 2>&1 &")
    wait_until(lambda: "," in clean.request("config con5")[1], 5, "line open")
    seen = step(device, False, name="con5", channel="pts", output="null")
    assert seen["verified"], seen["reason"]
    assert seen["device"]["config"].startswith("pts:/dev/pts/")
    refused = device(name="con5", channel="null")
    assert refused["failed"]
    assert "already open" in refused["msg"]
    assert "getty" in refused["msg"]
    assert not refused["changed"]
    assert step(device, False, name="con5", config="pts,null")
    clean.guest("kill $(cat /tmp/holder)")
    wait_until(lambda: "," not in clean.request("config con5")[1], 5, "line closed")


@pytest.mark.parametrize("line", ["con5", "ssl5"])
def test_a_line_is_absent_when_it_has_no_channel(device, clean, line):
    gone = step(device, True, name=line, state="absent")
    assert gone["commands"] == [f"remove {line}"]
    assert clean.request(f"config {line}") == (0, "none")
    step(device, False, name=line, config="none")
    assert step(device, True, name=line, channel="null")["commands"] == [f"config {line}=null"]
    assert step(device, True, name=line, config="none")["device"]["state"] == "absent"


def test_a_port_is_warned_about(device):
    warned = step(device, True, name="con5", port=9001)
    assert "all interfaces" in warned["warnings"][0]
    assert warned["device"]["config"] == "port:9001"
