# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The networks of an instance by its command line; its process is this one, which has no tap open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._devices import transports
from ansible_collections.uml.mconsole.plugins.module_utils._facts import vm_host
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import networks
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import procfs
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Instance, Place


def found(*words: str) -> list[tuple[object, ...]]:
    """Return what a command line shows: interface, transport, network, and whether it is open."""
    argv = ("linux", *words)
    instance = Instance(Place("one", "/nowhere"), os.getpid(), True, (), "S", argv, os.getuid(), 0)
    keys = ("interface", "transport", "network", "open", "bridge")
    return [tuple(each[key] for key in keys) for each in networks.attachments(instance)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("vec0:transport=tap,ifname=umlt-none,depth=64", ("vec0", "tap", "umlt-none", False, None)),
        ("vec1:transport=raw,ifname=umlt-none", ("vec1", "raw", "umlt-none", None, None)),
        ("vec2:transport=vde,vnl=vde:///run/lan", ("vec2", "vde", "vde:///run/lan", None, None)),
        ("vec3:transport=l2tpv3,src=192.0.2.1,dst=192.0.2.2", ("vec3", "l2tpv3", "192.0.2.2", None, None)),
        ("vec4:transport=fd,fd=7", ("vec4", "fd", None, None, None)),
        ("eth0=tuntap,umlt-none,,192.0.2.1", ("eth0", "tuntap", "umlt-none", False, None)),
        ("eth1=tuntap,,,192.0.2.1", ("eth1", "tuntap", None, None, None)),
        ("eth2=daemon", ("eth2", "daemon", "/tmp/uml.ctl", None, None)),
        ("eth3=daemon,,unix,/run/lan.ctl", ("eth3", "daemon", "/run/lan.ctl", None, None)),
        ("eth4=mcast", ("eth4", "mcast", "239.192.168.1:1102", None, None)),
        ("eth5=mcast,,239.0.0.9", ("eth5", "mcast", "239.0.0.9:1102", None, None)),
        ("eth6=slirp", ("eth6", "slirp", None, None, None)),
        ("vec5:transport=tap,ifname=../lo", ("vec5", "tap", "../lo", False, None)),
    ],
)
def test_an_interface_of_the_command_line(word: str, expected: tuple[object, ...]) -> None:
    assert found("mem=64M", word) == [expected]


@pytest.mark.parametrize("word", ["vec0:", "vec0:nonsense", "eth0=nonsense", "vec=1", "ethics=7", "ubd0=vec0:", "eth0"])
def test_what_the_kernel_would_not_take_is_no_network(word: str) -> None:
    assert found(word) == []


def test_what_is_behind_the_dashes_is_for_the_guest() -> None:
    assert found("--", "eth0=mcast") == []


def test_a_tap_that_is_open_and_of_no_word_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "taps_of", lambda _pid: frozenset(("t0", "t1")))
    told = found("vec0:transport=tap,ifname=t0")
    assert told == [("vec0", "tap", "t0", True, None), (None, "tap", "t1", True, None)]


def test_nothing_is_told_of_bridges_of_another_network_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {"/proc/self/ns/net": "net:[1]", f"/proc/{os.getpid()}/ns/net": "net:[1]"}
    links["/sys/class/net/t0/master"] = "../../virtual/net/br0"
    monkeypatch.setattr(procfs, "link", links.get)
    assert found("vec0:transport=raw,ifname=t0") == [("vec0", "raw", "t0", None, "br0")]
    links["/proc/self/ns/net"] = "net:[2]"
    assert found("vec0:transport=raw,ifname=t0") == [("vec0", "raw", "t0", None, None)]


def test_the_vm_host_tells_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    told = vm_host.describe_vm_host()
    assert (told["name"], told["cpus"]) == (os.uname().nodename, os.cpu_count())
    assert f"MemTotal: {told['memory'] >> 10:>14} kB" in Path("/proc/meminfo").read_text()
    assert 0 < told["memory_available"] <= told["memory"]
    assert set(told["loadavg"]) == {"1m", "5m", "15m"}
    monkeypatch.setattr(procfs, "read_text", lambda _path: "")
    assert {vm_host.describe_vm_host()[key] for key in ("memory", "memory_available", "loadavg")} == {None}
