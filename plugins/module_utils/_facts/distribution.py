# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A guest's ``/etc/os-release`` -> the distribution facts of ``ansible.builtin.setup``. Pure.

Setup also looks at two dozen other files, many of which are there on one distribution only; each that is missing
would cost a line in the guest's kernel log, so the names follow from ``ID`` and these tables instead.
Source: ansible-core 2.19 module_utils/facts/system/distribution.py and its copy of distro.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, Optional

Facts = Dict[str, Any]

_QUOTING = re.compile(r"[\s'\"\\]")
# ID -> the name that setup gives where it is not NAME itself.
NAMES = {
    "debian": "Debian",
    "raspbian": "Debian",
    "ubuntu": "Ubuntu",
    "devuan": "Devuan",
    "kali": "Kali",
    "parrot": "Parrot",
    "linuxmint": "Linux Mint",
    "alpine": "Alpine",
    "arch": "Archlinux",
    "fedora": "Fedora",
    "rhel": "RedHat",
    "centos": "CentOS",
    "rocky": "Rocky",
    "almalinux": "AlmaLinux",
    "ol": "OracleLinux",
    "amzn": "Amazon",
    "openwrt": "OpenWrt",
    "gentoo": "Gentoo",
}
FAMILIES = {
    "Debian": ("Debian", "Ubuntu", "Devuan", "Kali", "Parrot", "Linux Mint"),
    "RedHat": ("RedHat", "Fedora", "CentOS", "Rocky", "AlmaLinux", "OracleLinux", "Amazon"),
    "Suse": ("openSUSE", "openSUSE Leap", "openSUSE Tumbleweed", "SLES", "SLED"),
}
_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}
_CODENAME = re.compile(r"\(([^\d()]+)\)|,\s*(\D+)")
_PRETTY_CODENAME = re.compile(r"(?<=[^(]) \(([^()]+)\)")
_MINOR = re.compile(r"(?<!\d)(\d+)\.(\d+)")


def os_release(text: str) -> Dict[str, str]:
    """Return the fields of an os-release file, names in upper case as they stand, values without quotes."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found[name] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    if not _QUOTING.search(value):  # most; shlex takes long
        return value
    try:
        return " ".join(shlex.split(value)) if value else ""
    except ValueError:
        return value


def has_debian_version(release: Dict[str, str]) -> bool:
    """Return whether the point release stands in /etc/debian_version."""
    return NAMES.get(release.get("ID", "")) == "Debian"


def distribution(release: Dict[str, str], debian_version: Optional[str] = None) -> Facts:
    """Return the distribution facts that follow from os-release and, where there is one, /etc/debian_version."""
    name = NAMES.get(release.get("ID", ""), release.get("NAME") or "NA")
    version = _version(release, (debian_version or "").strip())
    major, _dot, minor = version.partition(".")
    facts = {
        "distribution": name,
        "distribution_version": version if version != "NA" else release.get("VERSION") or version,
        "distribution_major_version": major or "NA",
        "distribution_release": _release(release, minor),
        "os_family": _FAMILY.get(name, name),
    }
    if name == "Amazon":
        facts["distribution_minor_version"] = minor or "NA"
    found = _MINOR.search(debian_version or "") if name == "Debian" else None
    return {**facts, "distribution_minor_version": found.group(2)} if found else facts


def _version(release: Dict[str, str], debian_version: str) -> str:
    """Return VERSION_ID, on Debian with the point release that its os-release lacks."""
    version = release.get("VERSION_ID", "")
    precise = debian_version if release.get("ID") == "debian" else ""
    if not version or precise.count(".") > version.count("."):
        version = precise or version
    return version or "NA"


def _release(release: Dict[str, str], minor: str) -> str:
    """Return the code name: by the distribution's own custom, else its field, else what VERSION has in brackets."""
    name = release.get("ID", "")
    if "suse" in name:
        return minor
    if name == "sles":
        return minor or "0"
    if name == "centos" and "Stream" in release.get("NAME", ""):
        return "Stream"
    pretty = _PRETTY_CODENAME.search(release.get("PRETTY_NAME", "")) if name == "debian" else None
    if pretty is not None:
        return pretty.group(1)
    for field in ("VERSION_CODENAME", "UBUNTU_CODENAME"):
        if field in release:
            return release[field]
    match = _CODENAME.search(release.get("VERSION", ""))
    return (match.group(1) or match.group(2)) if match else "NA"
