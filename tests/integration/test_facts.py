# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of real guests: what setup says inside, what the guest's own tools say, and what cannot be had; each kernel."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, kernels, parity, processes, uml
from support import guest as guests
from support.run_operation import operate

# The guest's root is the VM host's, by hostfs, so this very Python runs in it.
SETUP_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox hostname web1.example
/bin/busybox ip link set lo up
/bin/busybox ip link set vec0 up
echo '{{"ANSIBLE_MODULE_ARGS": {{"gather_timeout": 60}}}}' > {folder}/arguments
cd {folder}
{python} -m ansible.modules.setup {folder}/arguments > {folder}/setup.json 2> {folder}/setup.err
echo {up} > /dev/console
while :; do /bin/busybox sleep 1000; done
"""
HERE = {"here": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}}
CERTAIN = {
    *(
        "kernel",
        "kernel_version",
        "system",
        "nodename",
        "hostname",
        "machine",
        "architecture",
        "cmdline",
        "proc_cmdline",
    ),
    *("distribution", "distribution_version", "distribution_release", "os_family", "processor", "processor_vcpus"),
    *("flags", "memtotal_mb", "memory_mb", "swaptotal_mb", "uptime_seconds", "loadavg", "mounts", "devices"),
    *("interfaces", "lo", "vec0", "dns"),
}
# What setup takes from elsewhere: a /.dockerenv of the VM host, and libc's resolver.
ELSEWHERE = {"virtualization_type", "virtualization_role"}


@pytest.fixture(scope="module", params=kernels.wanted())
def kernel(request) -> Path:
    """Return each kernel under test in turn."""
    return kernels.path(request.param)


@pytest.fixture(scope="module")
def folder(kernel) -> Iterator[Path]:
    """Yield a folder with a short name, a fresh one for each kernel."""
    path = Path(tempfile.mkdtemp(prefix="uml.fact."))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def machine(kernel, folder) -> Iterator[uml.Instance]:
    """Yield one instance of each kernel to the tests that leave it as it is."""
    disk = guests.ext4_image(folder / "data.ext4", {"note": "x"})
    instance = uml.launch("guest", folder, f"ubd1={disk}", "vec0:transport=tap,ifname=uft0", kernel=kernel)
    yield instance
    instance.close()


def gather(instance: uml.Instance, *subsets: str, **params: Any) -> dict[str, Any]:
    """Return the facts of an instance, without the prefix, as a play sees them."""
    if subsets:
        params["gather_subset"] = list(subsets)
    result = operate("instance_facts", umid=instance.umid, uml_dir=str(instance.uml_dir), **params)
    assert not result.get("failed"), result
    assert result["changed"] is False
    return parity.plain(result["ansible_facts"])


def log_lines(instance: uml.Instance) -> list[str]:
    """Return the guest's complaints about files that could not be opened."""
    return [line for line in instance.console_log().splitlines() if line.startswith("open /proc/")]


# What setup says inside the guest.


@pytest.fixture(scope="module")
def told(kernel, folder) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return (facts from outside, what setup said inside) of one guest."""
    inside = folder / "for_setup"  # not the umid: a kernel empties the directory of that name
    inside.mkdir()
    init = inside / "init"
    init.write_text(SETUP_INIT.format(folder=inside, python=sys.executable, up=guests.UP))
    init.chmod(0o755)
    words = ["rootfstype=hostfs", "rootflags=/", f"init={init}", "vec0:transport=tap,ifname=uft1", "a=1", "a=2"]
    image = guests.copy_root_image(folder / "root.ext4")
    instance = uml.launch("inside", folder, *words, kernel=kernel, memory="192M", root=image, wait=False, agent=False)
    try:
        instance.wait_up(180)
        before = gather(instance, "all")
        said = json.loads((inside / "setup.json").read_text())["ansible_facts"]
        said["ansible_interfaces"].sort(key=before["interfaces"].index)  # setup takes them as the directory has them
        yield before, parity.plain(said)
    finally:
        instance.close()


def test_each_fact_is_what_setup_says_inside(told):
    ours, theirs = told
    assert set(parity.differences(ours, theirs)) <= ELSEWHERE


def test_the_facts_that_can_be_had_are_there(told):
    ours, theirs = told
    assert set(ours) >= CERTAIN
    assert set(theirs) >= CERTAIN
    assert ours["proc_cmdline"]["a"] == ["1", "2"]


def test_what_changes_meanwhile_is_near(told):
    ours, theirs = told
    assert 0 <= ours["uptime_seconds"] - theirs["uptime_seconds"] < 120
    assert abs(ours["memory_mb"]["real"]["used"] - theirs["memory_mb"]["real"]["used"]) < 100
    assert ours["memory_mb"]["real"]["total"] == theirs["memory_mb"]["real"]["total"]
    assert set(ours["memory_mb"]["nocache"]) == set(theirs["memory_mb"]["nocache"])
    assert set(ours["loadavg"]) == set(theirs["loadavg"])
    assert "uml" in theirs["virtualization_tech_guest"]
    assert ours["virtualization_type"] == "uml"


# What the guest's own tools say.


def test_memory_and_uptime_are_those_of_the_guest(machine):
    facts = gather(machine)
    rows = (line.split() for line in machine.guest("cat /proc/meminfo").splitlines())
    total = next(int(row[1]) for row in rows if row[0] == "MemTotal:")
    assert facts["memtotal_mb"] == total // 1024
    assert 0 <= float(machine.guest("cat /proc/uptime").split()[0]) - facts["uptime_seconds"] < 20


def test_a_disk_is_told_from_both_sides(machine, folder):
    facts = gather(machine, "default", "disks")
    disk = facts["uml"]["disks"]["ubd1"]
    size = int(machine.guest("cat /sys/block/ubdb/size")) * 512
    assert (disk["file"], disk["size"], disk["read_only"]) == (str(folder / "data.ext4"), size, False)
    assert facts["devices"]["ubdb"]["sectors"] == size // 512
    assert facts["devices"]["ubdb"]["size"] == "8.00 MB"


def test_a_ghost_disk_is_not_looked_for_in_the_guest(machine):
    before = log_lines(machine)
    disks = gather(machine, "disks")["uml"]["disks"]
    assert disks["ubd0"] == {
        "state": "present", "config": "root_fs", "file": "root_fs", "backing_file": "", "listed": False
    }  # fmt: skip
    assert log_lines(machine) == before


def test_an_interface_is_told_while_it_is_down_and_while_it_is_up(machine):
    address = machine.guest("cat /sys/class/net/vec0/address").strip()
    down = gather(machine)["vec0"]
    assert down == {
        "device": "vec0", "macaddress": address, "mtu": 1500, "active": False, "type": "ether", "promisc": False
    }  # fmt: skip
    machine.guest("ip link set vec0 mtu 1400 up")
    try:
        up = gather(machine)["vec0"]
    finally:
        machine.guest("ip link set vec0 mtu 1500 down")
    assert (up["active"], up["mtu"]) == (True, 1400)


def test_an_interface_of_no_boot_line_is_told_once_it_is_up(machine):
    assert machine.request("config vec3:transport=tap,ifname=uft3") == (0, "")
    try:
        assert gather(machine)["interfaces"] == ["lo", "vec0"]
        machine.guest("ip link set vec3 up")
        assert sorted(gather(machine)["interfaces"]) == ["lo", "vec0", "vec3"]
        machine.guest("ip link set vec3 down")
        assert "vec3" in gather(machine, interfaces=["vec3"])
    finally:
        machine.request("remove vec3")


def test_a_series_of_interfaces_is_followed_to_its_first_gap(machine):
    for number in (1, 3):
        assert machine.request(f"config vec{number}:transport=tap,ifname=uft{number}") == (0, "")
    try:
        before = len(log_lines(machine))
        assert gather(machine, interfaces=["vec*"])["interfaces"] == ["lo", "vec0", "vec1"]
        assert log_lines(machine)[before:] == ["open /proc/1/root/sys/class/net/vec2/address: -2"]
    finally:
        for number in (1, 3):
            machine.request(f"remove vec{number}")


def test_statistics_count(machine):
    before = gather(machine, "statistics")["uml"]["statistics"]["lo"]["rx_packets"]
    machine.guest("ping -c 2 -i 0.1 127.0.0.1")
    assert gather(machine, "statistics")["uml"]["statistics"]["lo"]["rx_packets"] >= before + 4


def test_lines_and_consoles_are_told(machine):
    uml_facts = gather(machine, "consoles")["uml"]
    assert uml_facts["lines"]["con0"] in ("null", "null,fd:1")
    assert len(uml_facts["lines"]) == 16 + 64
    assert "tty0" in uml_facts["kernel_consoles"]


def test_capabilities_are_those_of_the_kernel(machine):
    found = gather(machine, "capabilities")["uml"]["capabilities"]
    old = machine.guest("uname -r").startswith("6.")
    assert [found[name] for name in ("ubd", "con", "ssl", "vec")] == [True] * 4
    assert found["eth"] is old
    assert found["virtio_uml"] is not old


def test_the_usual_facts_cost_the_guest_no_line_in_its_log(machine):
    before = log_lines(machine)
    facts = gather(machine)
    assert facts["uml"]["unavailable"] == []
    assert facts["uml"]["truncated"] == []
    assert facts["distribution"] == "UML test guest"
    assert log_lines(machine) == before


def test_each_query_is_sent_once(machine):
    result = operate("instance_facts", umid="guest", uml_dir=str(machine.uml_dir), gather_subset=["default", "network"])
    assert len(result["commands"]) == len(set(result["commands"]))


# What cannot be had.


def test_what_is_not_there_is_said_and_does_not_fail(machine):
    facts = gather(machine, "ssh_pub_keys", "dns", "machine_id")
    missing = {entry["query"]: entry["reason"] for entry in facts["uml"]["unavailable"]}
    assert missing["proc 1/root/etc/resolv.conf"] == "Failed to open file"
    assert "dns" not in facts
    assert facts["kernel"]


def test_a_guest_without_sysfs_has_fewer_facts_and_no_line_in_its_log(kernel, launch_guest):
    instance = launch_guest("bare", "vec0:transport=tap,ifname=uft4", kernel=kernel)
    instance.guest("umount /sys")
    before = log_lines(instance)
    facts = gather(instance)
    assert facts["uml"]["unavailable"] == [{"query": "/sys", "reason": "the guest has no sysfs at /sys"}]
    assert facts["interfaces"] == ["lo", "vec0"]
    assert "devices" not in facts
    assert facts["memtotal_mb"] > 0
    assert log_lines(instance) == before


def test_a_paused_instance_is_left_alone(kernel, launch_guest):
    instance = launch_guest("still", kernel=kernel)
    assert instance.request("stop") == (0, "stopped")
    for _each in range(20):
        result = operate("instance_facts", umid="still", uml_dir=str(instance.uml_dir), gather_subset=["all"])
    facts = result["ansible_facts"]
    assert facts["uml"]["state"] == "paused"
    assert facts["ansible_nodename"] == "still"
    assert facts["uml"]["lines"]["con1"] == "null"
    assert not [query for query in result["commands"] if query.startswith("proc")]
    assert "paused" in facts["uml"]["unavailable"][0]["reason"]
    assert instance.request("go") == (0, "")
    assert instance.guest("echo alive") == "alive\n"


def test_what_a_guest_says_is_data(kernel, launch_guest):
    instance = launch_guest("odd", kernel=kernel)
    instance.guest("printf 'ID=x\\nNAME=\"{{ 7 * 7 }} \\033[31m\\377 $(id)\"\\nnonsense\\n=\\n' > /etc/os-release")
    instance.guest("printf 'my host\\377' > /proc/sys/kernel/hostname")
    instance.guest("mkdir '/tmp/a b' && mount -t tmpfs none '/tmp/a b'")
    facts = gather(instance)
    assert facts["distribution"] == "{{ 7 * 7 }} \033[31m\ufffd $(id)"
    assert facts["nodename"] == "my host\ufffd"
    assert facts["kernel"][0].isdigit()
    assert "/tmp/a b" in [mount["mount"] for mount in facts["uml"]["mounts"]]
    json.dumps(facts, ensure_ascii=False).encode()


def test_an_instance_that_hangs_is_an_error_within_its_time(kernel, launch_guest):
    instance = launch_guest("hung", kernel=kernel)
    processes.stop(instance.pid)
    start = time.monotonic()
    result = operate("instance_facts", umid="hung", uml_dir=str(instance.uml_dir), timeout=0.5)
    assert result["error"]["kind"] == "unanswered"
    assert time.monotonic() - start < 20
    assert re.search("hung did not answer '(version|proc devices)' within its time", result["msg"])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"gather_subset": ["hardwere"]}, "'hardwere' is not a subset of the facts"),
        ({"gather_subset": ["!disc"]}, "'disc' is not a subset of the facts"),
        ({"interfaces": ["../../etc/passwd"]}, "is not the name of an interface"),
        ({"interfaces": ["a" * 16]}, "is not the name of an interface"),
        ({"interfaces": [".."]}, "is not the name of an interface"),
    ],
)
def test_nonsense_is_refused_before_anything_is_asked(machine, params, said):
    result = operate("instance_facts", umid="guest", uml_dir=str(machine.uml_dir), **params)
    assert result["failed"]
    assert said in result["msg"]
    assert result["commands"] == []


# As a user meets them.


def test_many_instances_return_each_their_own(kernel, launch_guest, uml_dir):
    for umid in ("one", "two"):
        launch_guest(umid, kernel=kernel)
    result = operate("instance_facts", umids=["*"], uml_dir=str(uml_dir), gather_subset=["!all"])
    assert {umid: each["ansible_facts"]["ansible_hostname"] for umid, each in result["instances"].items()} == {
        "one": "one", "two": "two"
    }  # fmt: skip
    assert "ansible_facts" not in result


def test_a_play_sees_them_as_facts(machine):
    arguments = {"umid": "guest", "uml_dir": str(machine.uml_dir)}
    shown = "{{ ansible_facts.kernel }}/{{ ansible_facts.uml.umid }}/{{ ansible_facts.interfaces | join(' ') }}"
    tasks = [
        {"name": "Facts", "uml.mconsole.instance_facts": arguments},
        {"name": "Shown", "ansible.builtin.debug": {"msg": shown}},
    ]
    play = {"hosts": "all", "gather_facts": False, "tasks": tasks}
    run = ansible.run_playbook([play], HERE, check=True, diff=True).ok()
    release = machine.guest("uname -r").strip()
    assert run.result("here", "Shown")["msg"] == f"{release}/guest/lo vec0"
    assert not run.task("here", "Facts").changed
