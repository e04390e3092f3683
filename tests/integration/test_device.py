# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One device: what is asked for is there, what is not asked for stays, and what is reported is so; on each kernel."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._devices import classes, disks, lines, transports
from support import devices, kernels, mconsole, uml, vhost_user
from support import guest as guests
from support.devices import SIZE, Device, image, step, story
from support.run_operation import operate
from support.wait import wait_until


@pytest.fixture(scope="module", params=kernels.wanted())
def machine(request) -> Iterator[uml.Instance]:
    """Yield one instance of each kernel to all tests of this file."""
    with devices.machine(request.param) as instance:
        yield instance


@pytest.fixture
def clean(machine) -> Iterator[uml.Instance]:
    """Take away what a test leaves."""
    yield machine
    devices.clean(machine)


@pytest.fixture
def device(clean) -> Device:
    """Run the operation on the instance under test."""
    return lambda check=False, **params: operate("device", check, umid="guest", uml_dir=str(clean.uml_dir), **params)


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
    assert changed["reason"] == "read_only was False, and True is requested"


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


def test_a_file_that_was_replaced_is_not_the_disk_that_the_guest_has(device, folder, machine):
    file = image(folder / "x")
    step(device, True, name="ubd1", file=file)
    os.unlink(file)
    image(folder / "x")
    later = step(device, False, name="ubd1", file=file)
    opened_at_once = not machine.request("version")[1].split()[2].startswith("6.1.")
    assert later["verified"] is not opened_at_once
    assert ("still has the old one" in later["reason"]) is opened_at_once


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
    wait_until(lambda: "," in clean.request("config con5")[1], 60, "line open")
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
    wait_until(lambda: "," not in clean.request("config con5")[1], 60, "line closed")


@pytest.mark.parametrize("line", ["con5", "ssl5"])
def test_a_line_is_absent_when_it_has_no_channel(device, clean, line):
    gone = step(device, True, name=line, state="absent")
    assert gone["commands"] == [f"remove {line}"]
    assert clean.request(f"config {line}") == (0, "none")
    step(device, False, name=line, config="none")
    assert step(device, True, name=line, channel="null")["commands"] == [f"config {line}=null"]
    assert step(device, True, name=line, config="none")["device"]["state"] == "absent"


def test_a_port_is_warned_about(device):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]  # our own port: the kernels are tried side by side
    warned = step(device, True, name="con5", port=port)
    assert "all interfaces" in warned["warnings"][0]
    assert warned["device"]["config"] == f"port:{port}"


# Network interfaces.


@pytest.fixture
def tap() -> Iterator[str]:
    """Yield a tap of the VM host."""
    name = f"utap{os.getpid() % 100000}"
    subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=True)
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


def test_an_interface_is_verified_when_the_guest_has_it_up(device, clean, tap):
    params = {"name": "vec1", "transport": "tap", "ifname": tap, "mac": "52:54:00:12:34:56"}
    first = story(device, **params)
    assert first["commands"] == [f"config vec1:transport=tap,ifname={tap},mac=52:54:00:12:34:56"]
    assert first["device"]["mac"] == "52:54:00:12:34:56"
    assert not first["verified"]
    assert "when the guest brings the interface up" in first["reason"]
    clean.guest("ip link set vec1 up")
    up = step(device, False, **params)
    assert up["verified"], up["reason"]
    refused = device(name="vec1", state="absent")
    assert refused["failed"]
    assert "take it down" in refused["msg"]
    assert refused["commands"] == []
    clean.guest("ip link set vec1 down")
    step(device, True, name="vec1", state="absent")


# transport: what it is set to, for every one that a kernel has; none is brought up.
VEC_SETTINGS = {
    "tap": {"ifname": "umlnosuch3"},
    "raw": {"ifname": "lo"},
    "hybrid": {"ifname": "lo"},
    "gre": {"src": "127.0.0.1", "dst": "127.0.0.2", "rx_key": 1, "tx_key": 2},
    "l2tpv3": {"src": "127.0.0.1", "dst": "127.0.0.2", "udp": True, "srcport": 1706, "dstport": 1707},
    "bess": {"dst": "{folder}/b"},
    "fd": {"fd": 1},
    "vde": {"vnl": "{folder}/switch"},
}
ETH_SETTINGS = {
    "tuntap": {"mac": "52:54:00:12:34:58"},
    "ethertap": {"ifname": "umlnosuch3"},
    "mcast": {"port": 1102},
    "ucast": {"address": "127.0.0.1", "port": 1708, "remote_port": 1709},
    "slip": {},
    "slirp": {},
}
TRANSPORTS = [
    *[("vec2", each) for each in transports.VEC],
    *[("eth4", each) for each in transports.ETH if each != "daemon"],  # without its switch none is made
]


@pytest.mark.parametrize(("name", "transport"), TRANSPORTS)
def test_every_transport_is_set_once_or_refused_before_anything_is_sent(device, clean, folder, name, transport):
    """A row of the table without settings here fails."""
    rows = transports.VEC if name == "vec2" else transports.ETH
    values = (VEC_SETTINGS if name == "vec2" else ETH_SETTINGS)[transport]
    texts = {key: value.format(folder=folder) if isinstance(value, str) else value for key, value in values.items()}
    own = {key: texts.pop(key) for key in ("ifname", "mac") if key in texts}
    params = {"name": name, "transport": transport, **own, "settings": texts}
    number = tuple(map(int, clean.request("version")[1].split()[2].split(".")[:2]))
    done = device(**params)
    known = rows[transport].since <= number < rows[transport].until and (name == "vec2" or number < (7, 0))
    if transport == "vde" and not shutil.which("vde_plug"):
        known = False
    assert bool(done.get("failed")) is not known, done
    if not known:
        assert done["commands"] == []
        assert clean.request(f"remove {name}")[0] != 0
        return
    assert done["changed"]
    step(device, False, **params)
    assert step(device, True, name=name, state="absent")["commands"] == [f"remove {name}"]


def test_another_hardware_address_is_another_interface(device, clean, tap):
    step(device, True, name="vec1", config=f"transport=tap,ifname={tap}")
    changed = story(device, name="vec1", config=f"transport=tap,ifname={tap},mac=52-54-00-12-34-56")
    assert [command.split(":")[0] for command in changed["commands"]] == ["remove vec1", "config vec1"]
    step(device, True, name="vec1", state="absent")


def test_a_tap_that_the_instance_will_make_is_doubted(device, clean):
    done = step(device, True, name="vec2", transport="tap", ifname="umlnosuch0")
    assert not done["verified"]
    assert "no umlnosuch0 yet" in done["reason"]
    step(device, True, name="vec2", state="absent")


def test_an_interface_that_the_guest_renamed_is_still_there(device, clean, tap):
    step(device, True, name="vec3", transport="tap", ifname=tap)
    clean.guest("ip link set vec3 name wan0")
    seen = step(device, False, name="vec3", transport="tap", ifname=tap)
    assert not seen["verified"]
    assert "renamed" in seen["reason"]
    step(device, True, name="vec3", state="absent")


def test_the_old_interfaces_are_there_up_to_6_12(device, clean, machine):
    done = device(name="eth3", transport="tuntap", mac="52:54:00:12:34:57")
    if machine.request("version")[1].split()[2].startswith("7"):
        assert done["failed"]
        assert "has no eth devices" in done["msg"]
        assert done["commands"] == []
        return
    assert done["commands"] == ["config eth3=tuntap,,52:54:00:12:34:57"]
    assert done["device"]["mac"] == "52:54:00:12:34:57"
    step(device, False, name="eth3", transport="tuntap", mac="52:54:00:12:34:57")
    step(device, True, name="eth3", state="absent")


def test_what_was_not_made_is_not_reported_as_made(device, clean, folder):
    """A daemon interface without its switch: the kernel says OK and makes nothing."""
    if clean.request("config eth0")[1] == "Bad configuration option":
        return
    missing = device(name="eth4", transport="daemon", settings={"socket": f"{folder}/ctl"})
    assert missing["failed"]
    assert "no switch listens" in missing["msg"]
    (folder / "ctl").touch()
    lied = device(name="eth4", transport="daemon", settings={"socket": f"{folder}/ctl"})
    assert lied["failed"]
    assert lied["error"]["kind"] == "unverified"
    assert "the kernel said OK, and yet eth4 of guest is absent" in lied["msg"]
    assert not lied["verified"]
    assert not lied["changed"]


# Devices that others provide.


def test_virtio_devices_are_there_from_7_2(device, machine, folder):
    with socket.socket(socket.AF_UNIX) as backend:
        backend.bind(str(folder / "vhost"))  # nothing accepts, so the probe fails at once
        done = device(name="virtio_uml7", socket=str(folder / "vhost"), virtio_id=1)
    assert done["failed"]
    if not machine.request("version")[1].split()[2].startswith("7"):
        assert "has no virtio_uml devices" in done["msg"]
        assert done["commands"] == []
        return
    assert done["commands"] == [f"config virtio_uml.device={folder}/vhost:1:7"]
    assert "bound is False" in done["msg"]
    assert done["device"]["state"] == "present"
    again = device(name="virtio_uml7", socket=str(folder / "vhost"), virtio_id=1)
    assert "can be neither changed nor removed" in again["msg"]
    assert "can be neither changed nor removed" in device(name="virtio_uml7", state="absent")["msg"]
    assert "no socket" in device(name="virtio_uml8", socket=str(folder / "none"), virtio_id=1)["msg"]


@pytest.mark.parametrize("series", ["7.2"])
def test_a_virtio_device_is_set_once_and_stays(series, folder):
    """It can be neither changed nor removed, so it gets its own instance."""
    with vhost_user.backend(folder / "vhost"), devices.machine(series) as instance:

        def device(check: bool = False, **params: Any) -> dict[str, Any]:
            return operate("device", check, umid="guest", uml_dir=str(instance.uml_dir), **params)

        done = story(device, name="virtio_uml3", config=f"{folder}/vhost:60")
        assert done["commands"] == [f"config virtio_uml.device={folder}/vhost:60:3"]
        assert done["verified"], done["reason"]
        assert done["device"]["bound"] is True
        step(device, False, name="virtio_uml.3", socket=f"{folder}/./vhost", virtio_id=60)
        for params in ({"state": "absent"}, {"config": f"{folder}/vhost:61"}):
            assert "can be neither changed nor removed" in device(name="virtio_uml3", **params)["msg"]


def test_no_kernel_of_debian_passes_pci_devices_through(device):
    refused = device(name="vfio_uml.0000:01:00.0")
    assert refused["failed"]
    assert "CONFIG_UML_PCI_OVER_VFIO" in refused["msg"]
    assert refused["commands"] == []


# What is in use stays; what is refused changes nothing.


@pytest.fixture
def mounted(device, folder, clean) -> str:
    """Yield a disk that the guest has mounted."""
    file = str(guests.ext4_image(folder / "ext4"))
    step(device, True, name="ubd6", file=file)
    clean.guest("mount /dev/ubdg /mnt")
    return file


def test_a_mounted_disk_is_not_removed(device, mounted, clean):
    refused = [device(check=check, name="ubd6", state="absent") for check in (True, False)]
    assert all(each["failed"] and each["commands"] == [] and not each["changed"] for each in refused)
    assert refused[0]["msg"] == refused[1]["msg"] == "ubd6 of guest was not removed: the guest has it mounted at /mnt"
    also = device(name="ubd6", file=mounted, read_only=True)
    assert "mounted at /mnt" in also["msg"]
    forced = device(name="ubd6", state="absent", force=True)
    assert forced["failed"]
    assert "mounted, as swap, or by a process" in forced["msg"]
    assert not forced["changed"]
    assert clean.request("config ubd6") == (0, mounted)


def test_swap_is_not_removed(device, folder, clean):
    step(device, True, name="ubd7", file=image(folder / "swap", 4 * SIZE))
    clean.guest("mkswap /dev/ubdh && swapon /dev/ubdh")
    refused = device(name="ubd7", state="absent")
    assert refused["failed"]
    assert "open" in refused["msg"]
    assert not refused["changed"]
    clean.guest("swapoff /dev/ubdh")
    step(device, True, name="ubd7", state="absent")


def test_a_disk_just_set_can_be_removed_at_once(device, folder):
    for _round in range(5):
        step(device, True, name="ubd8", file=image(folder / "x"))
        step(device, True, name="ubd8", state="absent")


def test_a_refused_change_puts_the_old_disk_back(device, folder, clean, monkeypatch):
    """A file that goes between the look and the command: the kernel refuses, and the old disk comes back."""
    old = image(folder / "old")
    new = image(folder / "new")
    step(device, True, name="ubd9", file=old, serial="s1", discard=False)
    row = dataclasses.replace(disks.DISK, check=lambda *args: os.unlink(new))
    monkeypatch.setitem(classes.CLASSES, "ubd", row)
    refused = device(name="ubd9", file=new)
    assert refused["failed"]
    assert refused["error"]["kind"] == "refused"
    assert "the instance finds no such file" in refused["msg"]
    assert "restored" in refused["msg"]
    assert refused["restored"], refused
    assert refused["undone"] == [f"config ubd9t={old},,s1"] or refused["undone"][-1] == f"config ubd9t={old},,s1"
    assert refused["diff"]["before"] == refused["diff"]["after"]
    assert not refused["changed"]
    assert refused["device"]["serial"] == "s1"
    assert refused["device"]["discard"] is False


def test_flags_that_a_refused_setting_left_do_not_open_a_cow_file_as_raw(device, folder, clean):
    base, cow = image(folder / "base"), f"{folder}/cow"
    step(device, True, name="ubd10", file=cow, backing_file=base)
    step(device, True, name="ubd10", state="absent")
    assert clean.request(f"config ubd10d={cow},{base}")[0] == -22
    done = story(device, name="ubd10", file=cow)
    assert done["device"]["backing_file"] == base
    assert clean.request("config ubd10") == (0, f"{cow},{base}")


def test_flags_that_a_refused_setting_left_are_cleared(device, folder, clean):
    assert clean.request(f"config ubd11t={folder}/none")[0] == -2
    done = device(name="ubd11", file=image(folder / "x"))
    assert done["device"]["discard"] is True
    assert done["verified"]
    step(device, True, name="ubd11", state="absent")


def test_our_own_refused_setting_leaves_no_flags(device, folder, clean, monkeypatch):
    monkeypatch.setitem(classes.CLASSES, "ubd", dataclasses.replace(disks.DISK, check=lambda *args: None))
    refused = device(name="ubd12", file=f"{folder}/none", discard=False)
    assert refused["failed"]
    clean.request(f"config ubd12={image(folder / 'x')}")
    assert clean.guest("cat /sys/block/ubdm/queue/discard_max_bytes").strip() != "0"


def test_a_bad_channel_never_reaches_the_kernel(device, clean):
    clean.request("config con5=fd:1")
    for params in (
        {"channel": "bogus"},
        {"config": "fd:"},
        {"config": "fd:1,"},
        {"config": "nullXYZ"},
        {"port": 80000},
    ):
        refused = device(name="con5", **params)
        assert refused["failed"], params
        assert refused["error"]["kind"] == "input"
        assert refused["commands"] == []
    assert clean.request("config con5") == (0, "fd:1")


def test_a_channel_that_the_kernel_refuses_is_put_back(device, clean, monkeypatch):
    clean.request("config con5=fd:1")
    monkeypatch.setitem(lines.CHANNELS, "bogus", lines.Channel("", "what no kernel knows"))
    refused = device(name="con5", channel="bogus")
    assert refused["failed"]
    assert refused["undone"] == ["config con5=fd:1"]
    assert refused["restored"]
    assert not refused["changed"]
    assert clean.request("config con5") == (0, "fd:1")


# A paused instance.


def test_nothing_is_changed_while_paused(device, folder, clean):
    file = image(folder / "x")
    clean.request("stop")
    try:
        refused = [device(check=check, name="ubd1", file=file) for check in (True, False)]
        assert all(
            each["failed"] and each["error"]["kind"] == "danger" and "resume=true" in each["msg"] for each in refused
        )
        assert clean.request("config ubd1") == (0, "")
        same = device(name="con5", channel="null")
        assert not same["changed"]
        assert not same.get("failed")
    finally:
        clean.request("go")


@pytest.mark.parametrize("refuse", [False, True])
def test_a_paused_instance_is_paused_again_whatever_happens(device, folder, clean, refuse, monkeypatch):
    file = image(folder / "x")
    if refuse:
        row = dataclasses.replace(disks.DISK, check=lambda *args: os.path.exists(file) and os.unlink(file))
        monkeypatch.setitem(classes.CLASSES, "ubd", row)
    clean.request("stop")
    try:
        foretold = device(check=True, name="ubd1", file=file, resume=True) if not refuse else None
        done = device(name="ubd1", file=file, resume=True)
        assert bool(done.get("failed")) is refuse
        assert done["commands"][0] == "go"
        assert done["commands"][-1] == "stop"
        if foretold is not None:
            assert foretold["commands"] == done["commands"] == ["go", f"config ubd1={file}", "stop"]
            assert done["verified"]
        assert clean.request("stop") == (1, "Already stopped")
    finally:
        clean.request("go")


# What a boot leaves.


@pytest.mark.parametrize(
    "params", [{"state": "absent"}, {"state": "absent", "force": True}, {"file": "/dev/null"}], ids=str
)
def test_a_ghost_is_reported_and_never_removed(device, clean, params):
    """Without a first disk the kernel shows a root_fs that does not exist, and removing it would panic."""
    refused = device(**{"name": "ubd0", **params})
    assert refused["failed"]
    assert "it is a ghost" in refused["msg"]
    assert refused["commands"] == []
    assert clean.request("config ubd0") == (0, "root_fs")


@pytest.mark.parametrize("series", kernels.wanted())
def test_a_line_is_set_as_soon_as_the_console_is_there(uml_dir, series):
    """For 30-550 ms consoles and lines do not exist yet."""
    instance = uml.launch("guest", uml_dir, kernel=kernels.path(series), wait=False)
    try:
        wait_until(lambda: mconsole.answers(instance.console), 30, "console")
        done = operate("device", umid="guest", uml_dir=str(uml_dir), name="con5", channel="pts")
        assert not done.get("failed"), done
        assert instance.request("config con5") == (0, "pts")
    finally:
        instance.close()


# What cannot be used is refused before anything is sent.

BAD = {
    "no such file": ({"name": "ubd1", "file": "/nonexistent/file"}, "no file or block device '/nonexistent/file'"),
    "a directory": ({"name": "ubd1", "file": "/tmp"}, "is not a file or block device"),
    "no folder for the COW file": ({"name": "ubd1", "file": "/nonexistent/c", "backing_file": "{x}"}, "no directory"),
    "no backing file": ({"name": "ubd1", "file": "{x}", "backing_file": "/nonexistent/b"}, "/nonexistent/b"),
    "no COW file": ({"name": "ubd1", "file": "{x}", "backing_file": "/etc/hostname"}, "is not a COW file"),
    "no such descriptor": ({"name": "con5", "fd": 777}, "no descriptor 777"),
    "no such terminal": ({"name": "con5", "tty": "/dev/nosuch"}, "no terminal '/dev/nosuch'"),
    "no terminal": ({"name": "con5", "tty": "/etc/hostname"}, "is not a terminal"),
    "600 characters": ({"name": "ubd1", "file": "/" + "x" * 600}, "takes at most 511"),
    "600 characters that exist": ({"name": "ubd1", "file": "{long}"}, "takes at most 511"),
    "no such interface": ({"name": "vec1", "transport": "raw", "ifname": "umlnosuch1"}, "no interface 'umlnosuch1'"),
    "nothing said": ({"name": "ubd1"}, "the task gives no options to add it with"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_work_is_refused_before_anything_is_sent(device, folder, clean, case):
    deep = folder / ("a" * 250) / ("b" * 250)
    deep.mkdir(parents=True)
    places = {"x": image(folder / "x"), "long": image(deep / "x")}
    params, said = BAD[case]
    params = {key: value.format(**places) if isinstance(value, str) else value for key, value in params.items()}
    for check in (True, False):
        refused = device(check=check, **params)
        assert refused["failed"]
        assert said in refused["msg"]
        assert refused["error"]["kind"] == "input"
        assert refused["commands"] == []
        assert not refused["changed"]
    assert clean.request("config ubd1") == (0, "")


def test_a_file_of_another_disk_is_not_attached_twice(device, folder, clean):
    file = image(folder / "x")
    step(device, True, name="ubd1", file=file)
    refused = device(name="ubd2", file=file)
    assert "already the disk ubd1" in refused["msg"]
    assert refused["commands"] == []
    step(device, True, name="ubd2", file=file, shared=True)


LOCKING = """
import fcntl, sys
with open(sys.argv[1], "r+b") as stream:
    fcntl.lockf(stream, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_another_process_has_locked_is_not_attached(device, folder):
    file = image(folder / "x")
    words = [sys.executable, "-c", LOCKING, file]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        refused = device(name="ubd1", file=file)
        other.communicate()
    assert f"locked by process {other.pid}" in refused["msg"]
    step(device, True, name="ubd1", file=file)


@pytest.mark.parametrize("spoilt", ["time", "size"])
def test_a_backing_file_that_no_longer_fits_is_refused(device, folder, spoilt):
    base, cow = image(folder / "base"), f"{folder}/cow"
    step(device, True, name="ubd4", file=cow, backing_file=base)
    step(device, True, name="ubd4", state="absent")
    before = os.stat(base)
    if spoilt == "size":
        image(folder / "base", 2 * SIZE)
    os.utime(base, (before.st_atime, before.st_mtime + (5 if spoilt == "time" else 0)))
    for params in ({"file": cow}, {"file": cow, "backing_file": base}):
        refused = device(name="ubd4", **params)
        assert "does not fit" in refused["msg"]
        assert refused["commands"] == []


# An instance of another user.


@pytest.fixture(scope="module")
def owned(make_user) -> Iterator[uml.Instance]:
    """Yield an instance that runs as another user than these tests."""
    owner = make_user("disks")
    with tempfile.TemporaryDirectory(prefix="uml.own.") as folder:
        os.chmod(folder, 0o755)
        instance = uml.launch("guest", Path(folder) / "u", user=owner)
        yield instance
        instance.close()


def test_what_the_instance_s_own_user_may_not_do_is_told(owned, folder):
    def device(**params: Any) -> dict[str, Any]:
        return operate("device", umid="guest", uml_dir=str(owned.uml_dir), **params)

    os.chmod(folder, 0o755)
    secret, shown = image(folder / "secret"), image(folder / "shown")
    os.chmod(secret, 0o600)
    refused = device(name="ubd1", file=secret)
    assert "the instance's user may not read the file" in refused["msg"]
    assert not refused["changed"]
    attached = device(name="ubd2", file=shown)
    assert attached["device"]["read_only"] is True
    assert device(name="ubd2", state="absent")["changed"]
    lied = device(name="ubd3", file=shown, read_only=False)
    assert lied["error"]["kind"] == "unverified"
    assert "read_only is True, not False" in lied["msg"]
    assert lied["undone"] == ["remove ubd3"]
    assert owned.request("config ubd3") == (0, "")
    tap = device(name="vec1", transport="tap", ifname="umlnosuch2")
    assert "no interface 'umlnosuch2'" in tap["msg"]
    assert "the instance cannot make it" in tap["msg"]
