# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of device classes: names, spellings, what is sent for them, and what is refused by one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._devices import classes, spec
from ansible_collections.uml.mconsole.plugins.module_utils._guest import memory
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.module_utils._operations import device as operation
from support.run_operation import BadArguments, validated

NAMES = {
    "ubd0": "ubd0",
    "ubda": "ubd0",
    "ubd15": "ubd15",
    "ubdp": "ubd15",
    "con0": "con0",
    "con15": "con15",
    "ssl63": "ssl63",
    "vec0": "vec0",
    "vec9999": "vec9999",
    "eth3": "eth3",
    "virtio_uml7": "virtio_uml7",
    "virtio_uml.7": "virtio_uml7",
    "vfio_uml.0000:01:00.0": "vfio_uml.0000:01:00.0",
    "vfio_uml.ffff:ff:1f.7": "vfio_uml.ffff:ff:1f.7",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_one_canonical_form(name):
    found = classes.find(name)
    assert found.text == NAMES[name]
    assert classes.find(found.text) == found


NO_NAMES = {
    "hda": "is not a device; expected one of ubd0 to ubd15, or ubda to ubdp (a disk); con0",
    "": "is not a device; expected",
    "ubd": "is not a device; expected",
    "ubd16": "'ubd16' is out of range; a disk is one of ubd0 to ubd15",
    "ubdq": "'ubdq' is out of range",
    "ubd01": "write the number without leading zeros",
    "con0x1": "is not a device; expected",
    "con16": "'con16' is out of range; a console line is one of con0 to con15",
    "ssl64": "'ssl64' is out of range",
    "con": "is not a device; expected",
    "UBD1": "is not a device; expected",
    "ubd1\n": "is not a device; expected",
    "ubd1 ": "is not a device; expected",
    "ubd1=x": "is not a device; expected",
    "mem": "use the module uml.mconsole.memory",
    "virtio_uml256": "out of range",
    "vfio_uml.0000:01:00.8": "is not a device; expected",
    "ubd\N{ARABIC-INDIC DIGIT ONE}": "is not a device; expected",
}


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_no_kernel_knows_is_refused(name):
    with pytest.raises(InputError) as caught:
        classes.find(name)
    assert NO_NAMES[name] in str(caught.value)


# (name, options) -> the command.
SENT: list[tuple[str, dict[str, Any], str]] = [
    ("ubd1", {"config": "/x"}, "config ubd1=/x"),
    ("ubdb", {"file": "/x"}, "config ubd1=/x"),
    ("ubd1", {"config": "/c,/b"}, "config ubd1=/c,/b"),
    ("ubd1", {"config": "/c:/b:s"}, "config ubd1=/c,/b,s"),
    ("ubd1", {"file": "/c", "backing_file": "/b", "serial": "s"}, "config ubd1=/c,/b,s"),
    ("ubd1", {"file": "/x", "serial": "s"}, "config ubd1=/x,,s"),
    ("ubd1r", {"config": "/x"}, "config ubd1r=/x"),
    ("ubd1tscr", {"config": "/x"}, "config ubd1rsct=/x"),
    ("ubd1", {"config": "/x", "read_only": True}, "config ubd1r=/x"),
    ("ubd1", {"file": "/x", "read_only": False, "discard": True}, "config ubd1=/x"),
    (
        "ubd1",
        {"file": "/x", "read_only": True, "synchronous": True, "shared": True, "raw": True, "discard": False},
        "config ubd1rscdt=/x",
    ),
    ("ubd1", {"file": "relative file"}, "config ubd1=relative file"),
    ("ubd1", {"file": "/a=b"}, "config ubd1=/a=b"),
    ("con1", {"config": "pts"}, "config con1=pts"),
    ("con1", {"channel": "pts"}, "config con1=pts"),
    ("con1", {"config": "pts:/dev/pts/7"}, "config con1=pts"),
    ("con1", {"config": "pty:/dev/ptyp7"}, "config con1=pty"),
    ("con1", {"config": "pts:/dev/pts/7,null"}, "config con1=pts,null"),
    ("con1", {"config": "fd:0,fd:1"}, "config con1=fd:0,fd:1"),
    ("con1", {"config": "fd:3,fd:3"}, "config con1=fd:3"),
    ("con1", {"fd": 3}, "config con1=fd:3"),
    ("con1", {"channel": "fd", "fd": 3}, "config con1=fd:3"),
    ("con1", {"channel": "null", "output": "fd:1"}, "config con1=null,fd:1"),
    ("ssl9", {"port": 9001}, "config ssl9=port:9001"),
    ("ssl9", {"channel": "port", "port": 9001}, "config ssl9=port:9001"),
    ("ssl9", {"tty": "/dev/tty9"}, "config ssl9=tty:/dev/tty9"),
    ("ssl9", {"channel": "xterm"}, "config ssl9=xterm"),
    ("vec0", {"config": "transport=tap,ifname=tap0"}, "config vec0:transport=tap,ifname=tap0"),
    ("vec0", {"transport": "tap", "ifname": "tap0"}, "config vec0:transport=tap,ifname=tap0"),
    (
        "vec0",
        {"transport": "tap", "ifname": "t", "mac": "52-54-00-AB-CD-EF", "settings": {"depth": 64, "gro": True}},
        "config vec0:transport=tap,ifname=t,mac=52:54:00:ab:cd:ef,depth=64,gro=1",
    ),
    ("vec0", {"transport": "fd", "settings": {"fd": 5}}, "config vec0:transport=fd,fd=5"),
    ("eth0", {"config": "tuntap,tap0"}, "config eth0=tuntap,tap0"),
    ("eth0", {"transport": "tuntap", "mac": "52:54:00:ab:cd:ef"}, "config eth0=tuntap,,52:54:00:ab:cd:ef"),
    ("eth0", {"transport": "daemon", "settings": {"socket": "/s"}}, "config eth0=daemon,,,/s"),
    ("eth0", {"config": "daemon,,unix,/s"}, "config eth0=daemon,,unix,/s"),
    ("eth0", {"config": "mcast"}, "config eth0=mcast"),
    ("virtio_uml3", {"config": "/s:1"}, "config virtio_uml.device=/s:1:3"),
    ("virtio_uml3", {"socket": "/s", "virtio_id": 1}, "config virtio_uml.device=/s:1:3"),
    ("vfio_uml.0000:01:00.0", {}, "config vfio_uml.device=0000:01:00.0"),
]


@pytest.mark.parametrize(("name", "options", "command"), SENT, ids=str)
def test_options_and_raw_settings_become_one_command(name, options, command):
    wish = spec.parse_spec(name, options)
    assert wish.name.config(wish.flat) == command


@pytest.mark.parametrize(("name", "options", "command"), SENT, ids=str)
def test_what_was_sent_reads_as_what_was_meant(name, options, command):
    """Parsing the command's own setting gives the same command again."""
    wish = spec.parse_spec(name, options)
    kind = wish.name.kind
    if kind.text is not None:
        return
    head, raw = command.split("=" if kind.name != "vec" else ":", 1)
    again = spec.parse_spec(head.removeprefix("config "), {"config": raw})
    assert again.name.config(again.flat) == command


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("ubd1", {"file": "/a,b"}, "holds a ','; the kernel splits a disk's setting at commas and colons"),
    ("ubd1", {"file": "/a:b"}, "holds a ':'"),
    ("ubd1", {"backing_file": "/a:b", "file": "/x"}, "the disk's backing_file '/a:b' holds a ':'"),
    ("ubd1", {"serial": "a,b", "file": "/x"}, "the disk's serial 'a,b'"),
    ("ubd1", {"config": "/a,/b,s,more"}, "is not of that form"),
    ("ubd1", {"config": ""}, "is not of that form"),
    ("ubd1", {"config": ",/b"}, "is not of that form"),
    ("ubd1", {"file": "/x "}, "starts or ends with a space"),
    ("ubd1", {"file": "/x\n/y"}, "control character"),
    ("ubd1", {"file": "/x\0"}, "control character"),
    ("ubd1", {"read_only": True}, "a disk needs a file beside read_only"),
    ("ubd1", {"backing_file": "/b"}, "a disk needs a file beside backing_file"),
    ("ubd1", {"file": "/c", "backing_file": "/b", "raw": True}, "exclude each other"),
    ("ubd1d", {"config": "/c,/b"}, "exclude each other"),
    ("ubd1", {"channel": "pts"}, "ubd1 is a disk, which has no channel; expected file"),
    ("con1", {"file": "/x"}, "con1 is a console line, which has no file"),
    ("con1", {"channel": "nosuch"}, "'nosuch' is not a channel of a line; expected one of null, fd, tty"),
    ("con1", {"channel": "nullXYZ"}, "'nullXYZ' is not a channel"),
    ("con1", {"config": "null:1"}, "the channel null takes no argument"),
    ("con1", {"config": "pts:5"}, "the channel pts takes no argument"),
    ("con1", {"config": "pts "}, "'pts ' is not a channel"),
    ("con1", {"config": "PTS"}, "'PTS' is not a channel"),
    ("con1", {"config": "fd"}, "the channel fd needs an argument, such as fd:3"),
    ("con1", {"config": "fd:"}, "the channel fd needs an argument"),
    ("con1", {"config": "fd:x"}, "the channel fd takes a number from 0"),
    ("con1", {"config": "fd:0x10"}, "the channel fd takes a number"),
    ("con1", {"config": "fd:010"}, "the channel fd takes a number"),
    ("con1", {"fd": -1}, "the channel fd takes a number"),
    ("con1", {"port": 80000}, "the channel port takes a number from 1 to 65535, not '80000'"),
    ("con1", {"port": 0}, "the channel port takes a number from 1"),
    ("con1", {"config": "fd:1,"}, "is not of that form"),
    ("con1", {"config": ",fd:1"}, "is not of that form"),
    ("con1", {"config": "fd:1,fd:2,fd:3"}, "the channel fd takes a number"),
    ("con1", {"fd": 1, "port": 2}, "a line has one channel, and fd and port name 2"),
    ("con1", {"channel": "pts", "fd": 1}, "fd belongs to the channel fd, not to pts"),
    ("con1", {"output": "null"}, "a line needs a channel"),
    ("con1", {"tty": "/dev/a,b"}, "holds a ','"),
    ("vec0", {"transport": "nosuch"}, "'nosuch' is not a transport of vec interfaces; expected one of tap, raw"),
    ("vec0", {"transport": "tap"}, "the transport tap of vec interfaces needs ifname"),
    ("vec0", {"ifname": "tap0"}, "vec interfaces need a transport: one of tap"),
    ("vec0", {"config": "tap"}, "and not by 'tap'"),
    ("vec0", {"config": "transport=tap,transport=raw"}, "each key once"),
    ("vec0", {"config": "transport=tap,ifname="}, "and not by"),
    ("vec0", {"transport": "tap", "ifname": "a,b"}, "holds a ','"),
    ("vec0", {"transport": "tap", "ifname": "a=b"}, "holds a '='"),
    ("vec0", {"transport": "tap", "ifname": "x" * 16}, "is not the name of an interface"),
    ("vec0", {"transport": "tap", "ifname": "t", "mac": "nonsense"}, "is not the hardware address"),
    ("vec0", {"transport": "tap", "ifname": "t", "mac": "01:00:00:00:00:01"}, "is not the hardware address of one"),
    ("vec0", {"transport": "tap", "ifname": "t", "settings": {"colour": 1}}, "tap of vec interfaces has no colour"),
    ("vec0", {"transport": "gre", "settings": {"src": "10.0.0.1"}}, "needs dst"),
    ("eth0", {"transport": "tap"}, "'tap' is not a transport of eth interfaces"),
    ("eth0", {"config": "tuntap,tap0,,1.2.3.4,more"}, "gives more"),
    ("eth0", {"config": "vde,/run/vde"}, "crashes the only kernels that have it"),
    ("eth0", {"transport": "tuntap", "settings": {"ttl": 1}}, "has no ttl"),
    ("virtio_uml3", {"config": "/s"}, "is set by SOCKET:VIRTIO_ID"),
    ("virtio_uml3", {"socket": "/s"}, "needs a socket and a virtio_id"),
    ("virtio_uml3", {"socket": "/s:1", "virtio_id": 1}, "holds a ':'"),
    ("virtio_uml3", {"socket": "/s", "virtio_id": 0}, "is not a virtio_id"),
    ("vfio_uml.0000:01:00.0", {"config": "x"}, "takes no config"),
]


@pytest.mark.parametrize(("name", "options", "said"), REFUSED, ids=str)
def test_what_the_kernel_would_misread_is_refused_by_one_sentence(name, options, said):
    with pytest.raises(InputError) as caught:
        spec.parse_spec(name, options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


BASES: dict[str, dict[str, Any]] = {
    "ubd1": {"file": "/x"},
    "con1": {"channel": "null"},
    "ssl1": {"channel": "null"},
    "vec1": {"transport": "tap", "ifname": "t"},
    "eth1": {"transport": "tuntap"},
    "virtio_uml1": {"socket": "/s", "virtio_id": 1},
}
ODD = [
    "a,b",
    "a b",
    "a=b",
    "a:b",
    "it's",
    'say "x"',
    "bücher-日本",
    "back\\slash",
    "$HOME",
    "%s",
    "a\nb",
    " a",
    "x" * 600,
    "ü" * 300,
]
ODD_TEXTS = [
    (name, option, value)
    for name in BASES
    for option in classes.find(name).kind.options
    if operation.OPTIONS[option]["type"] == "str"
    for value in ODD
]


@pytest.mark.parametrize(("name", "option", "value"), ODD_TEXTS, ids=str)
def test_an_odd_text_is_passed_on_as_it_is_or_refused(name, option, value):
    """What is sent has the text whole, within a command's 511 bytes, and is read as the same options again."""
    try:
        wish = spec.parse_spec(name, {**BASES[name], option: value})
        command = commands.parse(wish.name.config(wish.flat)).text
    except InputError:
        return
    assert value in command
    assert wish.flat[option] == value
    if wish.name.kind.text is None:
        raw = command.split(":" if wish.name.kind.name == "vec" else "=", 1)[1]
        again = spec.parse_spec(name, {"config": raw})
        assert again.name.config(again.flat) == command


def test_every_class_that_takes_texts_is_among_them():
    assert {classes.find(name).kind for name in BASES} == {kind for kind in classes.CLASSES.values() if kind.options}


WRONG = {"int": ["many", "1.5", [1]], "bool": ["perhaps", 2, []], "dict": [5, ["a"]], "str": []}
WRONG_TYPES = [
    (option, value) for option, spec in operation.ARGUMENTS.items() for value in WRONG[spec["type"]]
]  # Ansible makes a text of anything


@pytest.mark.parametrize(("option", "value"), WRONG_TYPES, ids=str)
def test_a_value_of_a_wrong_type_is_refused_by_the_argument_spec(option, value):
    with pytest.raises(BadArguments) as caught:
        validated("device", {"name": "ubd1", option: value})
    assert option in str(caught.value)


@pytest.mark.parametrize("option", operation.WHOLE)
def test_config_stands_beside_no_option_that_it_says_itself(option):
    value = {"str": "x", "int": 1, "bool": True, "dict": {"a": 1}}[operation.OPTIONS[option]["type"]]
    with pytest.raises(BadArguments, match=f"mutually exclusive: config[|]{option}"):
        validated("device", {"name": "ubd1", "config": "x", option: value})


@pytest.mark.parametrize(
    ("params", "said"), [({}, "name"), ({"name": "ubd1", "state": "there"}, "state must be one of: present, absent")]
)
def test_what_is_missing_or_no_state_is_refused_by_the_argument_spec(params, said):
    with pytest.raises(BadArguments, match=said):
        validated("device", params)


def test_a_home_is_this_user_s_own(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert spec.parse_spec("ubd1", {"config": "~/x,~/b"}).flat == {
        "file": "/home/me/x",
        "backing_file": "/home/me/b",
        "serial": "",
    }


def test_what_was_not_given_is_no_difference():
    assert spec.differences({"a": None, "b": 1, "c": 1}, {"a": 1, "b": 2}) == {"b": (2, 1)}
    assert spec.differences({"a": False}, {"a": None}) == {}


def test_every_row_is_whole():
    """Each class has options that the module has, a probe that changes nothing, and a name in its own spelling."""
    options = set(operation.OPTIONS)
    for name, kind in classes.CLASSES.items():
        assert name == kind.name
        assert set(kind.options) <= options
        assert kind.probe.startswith(f"config {name}")
        assert "=" not in kind.probe
        assert kind.limit > 0
        assert kind.kernels
        assert dataclasses.is_dataclass(kind)
    taken = {option for kind in classes.CLASSES.values() for option in kind.options}
    assert options - taken == {"config"}


SIZES = {"64M": 64 << 20, "1G": 1 << 30, "65536K": 64 << 20, "67108864": 64 << 20, "64m": 64 << 20}


@pytest.mark.parametrize("text", SIZES)
def test_a_size_is_read_as_the_kernel_reads_it(text):
    assert memory.parse(text) == SIZES[text]


def test_all_is_given_back_by_giving_too_much():
    now = memory.Reading(128 << 20, 110 << 20, 50 << 20, 50 << 20, 45 << 20, 20 << 20, None)
    assert memory.plan("x", now, 128 << 20, 4 << 20, 8 << 20) == "config mem=+131072K"
    assert memory.plan("x", now, 120 << 20, 4 << 20, 8 << 20) == "config mem=+12288K"
    assert memory.plan("x", now, 110 << 20, 4 << 20, 8 << 20) is None
    assert memory.plan("x", now, 100 << 20, 4 << 20, 8 << 20) == "config mem=-8192K"
    with pytest.raises(InputError, match="are to stay"):
        memory.plan("x", now, 60 << 20, 4 << 20, 8 << 20)
    with pytest.raises(InputError, match="cannot have"):
        memory.plan("x", now, 129 << 20, 4 << 20, 8 << 20)
