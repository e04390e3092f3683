# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts of a guest's files -> facts: held to ansible-core's own code where it has one, and to any nonsense."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible.module_utils import distro
from ansible.module_utils.common import sys_info
from ansible.module_utils.common.text.formatters import bytes_to_human
from ansible.module_utils.facts import utils
from ansible.module_utils.facts.system import cmdline as setup_cmdline
from ansible.module_utils.facts.system import distribution as setup_distribution
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._facts import facts
from ansible_collections.uml.mconsole.plugins.module_utils._facts.distribution import (
    distribution,
    has_debian_version,
    os_release,
)
from ansible_collections.uml.mconsole.plugins.module_utils._guest import parsers
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.module_utils._task.json_safe import json_safe

# Distributions.


def release(**fields: str) -> str:
    """Return an os-release file."""
    return "".join(f'{name}="{value}"\n' for name, value in fields.items())


def debian_like(name: str, number: str, code: str, **more: str) -> str:
    """Return an os-release file in Debian's manner."""
    return release(
        PRETTY_NAME=f"{name} {number} ({code})", NAME=name, VERSION_ID=number, VERSION=f"{number} ({code})",
        VERSION_CODENAME=code, **more,
    )  # fmt: skip


def red_hat_like(name: str, number: str, code: str, **more: str) -> str:
    """Return an os-release file in Red Hat's manner."""
    return release(
        NAME=name, VERSION=f"{number} ({code})", VERSION_ID=number, PRETTY_NAME=f"{name} {number} ({code})", **more
    )


# Name -> the files of /etc that setup looks at.
DISTRIBUTIONS = {
    "debian": {
        "os-release": debian_like("Debian GNU/Linux", "12", "bookworm", ID="debian"),
        "debian_version": "12.11\n",
    },
    "debian sid": {
        "os-release": release(
            PRETTY_NAME="Debian GNU/Linux trixie/sid", NAME="Debian GNU/Linux", VERSION_CODENAME="trixie", ID="debian"
        ),
        "debian_version": "trixie/sid\n",
    },
    "ubuntu": {
        "os-release": release(
            PRETTY_NAME="Ubuntu 24.04.1 LTS",
            NAME="Ubuntu",
            VERSION_ID="24.04",
            VERSION="24.04.1 LTS (Noble Numbat)",
            VERSION_CODENAME="noble",
            ID="ubuntu",
            ID_LIKE="debian",
            UBUNTU_CODENAME="noble",
        ),
        "debian_version": "trixie/sid\n",
    },
    "raspbian": {
        "os-release": debian_like("Raspbian GNU/Linux", "11", "bullseye", ID="raspbian", ID_LIKE="debian"),
        "debian_version": "11.9\n",
    },
    "devuan": {
        "os-release": debian_like("Devuan GNU/Linux", "5", "daedalus", ID="devuan", ID_LIKE="debian"),
        "debian_version": "12.0\n",
    },
    "kali": {
        "os-release": release(
            PRETTY_NAME="Kali GNU/Linux Rolling",
            NAME="Kali GNU/Linux",
            VERSION_ID="2024.3",
            VERSION="2024.3",
            VERSION_CODENAME="kali-rolling",
            ID="kali",
            ID_LIKE="debian",
        ),
        "debian_version": "kali-rolling\n",
    },
    "mint": {
        "os-release": release(
            NAME="Linux Mint",
            VERSION="21.3 (Virginia)",
            ID="linuxmint",
            ID_LIKE="ubuntu debian",
            PRETTY_NAME="Linux Mint 21.3",
            VERSION_ID="21.3",
            VERSION_CODENAME="virginia",
            UBUNTU_CODENAME="jammy",
        ),
        "debian_version": "bookworm/sid\n",
    },
    "alpine": {
        "os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME="Alpine Linux v3.20"\n',
        "alpine-release": "3.20.3\n",
    },
    "arch": {
        "os-release": 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n',
        "arch-release": "",
    },
    "fedora": {
        "os-release": red_hat_like("Fedora Linux", "40", "Server Edition", ID="fedora", VERSION_CODENAME=""),
        "redhat-release": "Fedora release 40 (Forty)\n",
    },
    "red hat": {
        "os-release": red_hat_like("Red Hat Enterprise Linux", "9.4", "Plow", ID="rhel"),
        "redhat-release": "Red Hat Enterprise Linux release 9.4 (Plow)\n",
    },
    "rocky": {
        "os-release": red_hat_like("Rocky Linux", "9.4", "Blue Onyx", ID="rocky"),
        "redhat-release": "Rocky Linux release 9.4 (Blue Onyx)\n",
    },
    "alma": {
        "os-release": red_hat_like("AlmaLinux", "9.4", "Seafoam Ocelot", ID="almalinux"),
        "redhat-release": "AlmaLinux release 9.4 (Seafoam Ocelot)\n",
    },
    "centos stream": {
        "os-release": release(
            NAME="CentOS Stream", VERSION="9", ID="centos", VERSION_ID="9", PRETTY_NAME="CentOS Stream 9"
        ),
        "centos-release": "CentOS Stream release 9\n",
        "redhat-release": "CentOS Stream release 9\n",
    },
    "oracle": {
        "os-release": release(NAME="Oracle Linux Server", VERSION="9.4", ID="ol", VERSION_ID="9.4"),
        "oracle-release": "Oracle Linux Server release 9.4\n",
    },
    "amazon": {
        "os-release": release(
            NAME="Amazon Linux", VERSION="2023", ID="amzn", VERSION_ID="2023", PRETTY_NAME="Amazon Linux 2023"
        ),
        "system-release": "Amazon Linux release 2023.5 (Amazon Linux)\n",
    },
    "leap": {"os-release": release(NAME="openSUSE Leap", VERSION="15.6", ID="opensuse-leap", VERSION_ID="15.6")},
    "tumbleweed": {
        "os-release": '# VERSION="20240901"\n'
        + release(NAME="openSUSE Tumbleweed", ID="opensuse-tumbleweed", VERSION_ID="20240901")
    },
    "sles": {
        "os-release": release(
            NAME="SLES",
            VERSION="15-SP5",
            VERSION_ID="15.5",
            PRETTY_NAME="SUSE Linux Enterprise Server 15 SP5",
            ID="sles",
        )
    },
    "openwrt": {
        "os-release": release(NAME="OpenWrt", VERSION="23.05.3", ID="openwrt", VERSION_ID="23.05.3"),
        "openwrt_release": "DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='23.05.3'\n",
    },
    "gentoo": {
        "os-release": 'NAME=Gentoo\nID=gentoo\nPRETTY_NAME="Gentoo Linux"\nVERSION_ID="2.15"\n',
        "gentoo-release": "Gentoo Base System release 2.15\n",
    },
    "nixos": {
        "os-release": release(
            NAME="NixOS", ID="nixos", VERSION="24.05 (Uakari)", VERSION_CODENAME="uakari", VERSION_ID="24.05"
        )
    },
    "buildroot": {"os-release": "NAME=Buildroot\nVERSION=2024.02\nID=buildroot\nVERSION_ID=2024.02\n"},
    "void": {"os-release": 'NAME="Void"\nID="void"\nPRETTY_NAME="Void Linux"\n'},
    "the guest of these tests": {"os-release": 'ID=umltest\nNAME="UML test guest"\nVERSION_ID="1.0"\n'},
    "no id": {"os-release": 'NAME="My Thing"\nVERSION="7 (x)"\n'},
    "nothing that counts": {"os-release": "FOO=bar\n"},
}


def said_by_setup(monkeypatch, root, files):
    """Return what ansible-core's own code makes of these files."""
    (root / "etc").mkdir()
    for name, text in files.items():
        (root / "etc" / name).write_text(text)

    def here(path):
        return str(root) + path

    def exists(path, allow_empty=False):
        return os.path.isfile(here(path)) and (allow_empty or os.path.getsize(here(path)) > 0)

    monkeypatch.setattr(sys_info, "distro", distro.LinuxDistribution(root_dir=str(root)))
    monkeypatch.setattr(setup_distribution, "_file_exists", exists)
    monkeypatch.setattr(
        setup_distribution, "get_file_content", lambda path, *rest: utils.get_file_content(here(path), *rest)
    )
    monkeypatch.setattr(setup_distribution, "get_file_lines", lambda path: utils.get_file_lines(here(path)))
    module = SimpleNamespace(get_bin_path=lambda name: None, debug=lambda text: None)
    said = setup_distribution.Distribution(module).get_distribution_facts()
    return {name: value for name, value in said.items() if not name.startswith("distribution_file")}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_is_called_what_setup_calls_it(monkeypatch, tmp_path, name):
    files = DISTRIBUTIONS[name]
    found = os_release(files["os-release"])
    precise = files.get("debian_version") if has_debian_version(found) else None
    assert distribution(found, precise) == said_by_setup(monkeypatch, tmp_path, files)


# Other files.


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1536, 8 << 20, (1 << 30) - 1, 5 << 40, 3 << 60, 1 << 80])
def test_sizes_are_written_as_setup_writes_them(size):
    assert parsers.human_size(float(size)) == bytes_to_human(float(size))


@pytest.mark.parametrize(
    "text",
    ["", "a=1 b a=2", "a=1 a=2 a=3", "q='x y' z", "open='quote", "=x", "vec0:transport=tap,ifname=t0 ubd0=/a,/b"],
)
def test_a_command_line_is_taken_apart_as_setup_does(text):
    collector = setup_cmdline.CmdLineFactCollector()
    assert parsers.cmdline(text) == {
        "cmdline": collector._parse_proc_cmdline(text),
        "proc_cmdline": collector._parse_proc_cmdline_facts(text),
    }


def test_the_answer_to_version_is_taken_apart():
    found = parsers.platform("Linux my host.lan 6.1.176 #1 Sat Jul  4 15:38:16 UTC 2026 x86_64")
    assert found["nodename"] == "my host.lan"
    assert found["hostname"] == "my host"
    assert (found["kernel"], found["kernel_version"]) == ("6.1.176", "#1 Sat Jul  4 15:38:16 UTC 2026")
    assert found["architecture"] == found["machine"] == "x86_64"
    assert parsers.platform("Linux (none) 6.1.176 #1 x i686")["architecture"] == "i386"


def test_partitions_belong_to_their_disks():
    rows = [
        "98 0 1 ubda",
        "98 1 1 ubda1",
        "98 2 1 ubda12",
        "98 16 1 ubdb",
        "1 0 4096 ram0",
        "259 0 9 nvme0n1",
        "259 1 9 nvme0n1p1",
    ]
    assert parsers.partitions("major minor  #blocks  name\n\n" + "\n".join(rows)) == {
        "ubda": ["ubda1", "ubda12"], "ubdb": [], "ram0": [], "nvme0n1": ["nvme0n1p1"],
    }  # fmt: skip


def test_interfaces_are_found_where_they_are_named():
    interrupts = "           CPU0\n 11:  0   SIGIO      vec0, vec0\n  3:  0  SIGIO  eth1\n  2: 0 SIGIO ubd\n"
    assert parsers.interfaces_up(interrupts) == ["vec0", "eth1"]
    line = "root=/dev/ubda vec0:transport=tap eth0=tuntap,,,10.0.0.1 xvec1:a vec2 note=vec3:"
    assert parsers.interfaces_at_boot(line) == ["vec0", "eth0"]


def test_mounts_with_spaces_are_whole():
    (mount,) = parsers.mounts("/dev/ubda /a\\040b\\134 ext4 rw,relatime 0 1\nshort line\n")
    assert mount == {
        "mount": "/a b\\",
        "device": "/dev/ubda",
        "fstype": "ext4",
        "options": "rw,relatime",
        "dump": 0,
        "passno": 1,
    }


def test_processors_are_counted():
    text = "".join(
        f"processor\t: {n}\nvendor_id\t: User Mode Linux\nmodel name\t: UML\nflags\t\t: fpu vme\n\n" for n in range(2)
    )
    found = parsers.processor(text)
    assert found["processor"] == ["0", "User Mode Linux", "UML", "1", "User Mode Linux", "UML"]
    assert found["processor_vcpus"] == found["processor_count"] == found["processor_nproc"] == 2
    assert found["flags"] == ["fpu", "vme"]


PARSERS = [
    parsers.platform, parsers.cmdline, parsers.loadavg, parsers.uptime, parsers.memory,
    parsers.processor, parsers.mounts, parsers.partitions, parsers.interfaces_up,
    parsers.interfaces_at_boot, parsers.selected, parsers.is_promiscuous, parsers.resolver,
    lambda text: parsers.ssh_key("rsa", text), lambda text: distribution(os_release(text), text),
]  # fmt: skip
WORDS = st.sampled_from(
    ["MemTotal:", "processor", ":", "=", "\n", " ", "0", "1.5", "-1", "kB", '"', "'", "\\", "[", "nameserver", "\udcff"]
)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.one_of(st.text(), st.lists(WORDS).map("".join)))
def test_nonsense_yields_fewer_facts_and_no_error(parse, text):
    parse(text)


# Subsets.

MIN = ["platform", "cmdline", "distribution"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["!all"], MIN),
        (["!all", "!min"], []),
        (["!all", "!min", "memory"], ["memory"]),
        (["memory"], [*MIN, "memory"]),
        (["min"], MIN),
        (["network", "!dns"], [*MIN, "interfaces", "statistics"]),
        (["!hardware"], [*MIN, "loadavg", "interfaces"]),
        (["memory", "!hardware"], [*MIN, "memory"]),
        (["all"], [row.name for row in facts.SUBSETS]),
        (["default"], [row.name for row in facts.SUBSETS if "default" in row.groups]),
        ([], [row.name for row in facts.SUBSETS if "default" in row.groups]),
    ],
)
def test_subsets_are_chosen_as_with_setup(words, expected):
    assert [row.name for row in facts.select(words)] == expected


@pytest.mark.parametrize("word", ["", "!", "hardwere", "!disc", "!!all", "ALL"])
def test_a_subset_that_is_none_is_refused(word):
    with pytest.raises(InputError, match="not a subset of the facts; expected one of min, default"):
        facts.select([word])


@pytest.mark.parametrize("name", ["eth0", "vec*", "a", "br-lan", "x" * 15, "é"])
def test_names_of_interfaces_are_taken(name):
    assert facts.check_interface(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "*", "a/b", "a b", "a*b", "x" * 16, "a\n", "../x"])
def test_what_no_interface_is_called_is_refused(name):
    with pytest.raises(InputError, match="not the name of an interface"):
        facts.check_interface(name)


# Results.


def test_stray_bytes_become_replacement_characters_wherever_they_are():
    assert json_safe({"a\udcff": ["b\udcfe", ("é", 1)], "c": None}) == {"a\ufffd": ["b\ufffd", ["é", 1]], "c": None}


@given(data=st.binary())
def test_any_bytes_can_be_written_as_json(data):
    json_safe(data.decode("utf-8", "surrogateescape")).encode()
