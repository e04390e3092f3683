# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The facts of an instance that need no program in its guest: a table of subsets, and the gathering.

Addresses are not among them: no file that shows them can be read through a console.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from .._guest import parsers
from .._mconsole.console import Console
from .._mconsole.errors import InputError
from .._mconsole.parsing import parse_int
from .bounded_snapshot import TIME, BoundedSnapshot
from .distribution import distribution, has_debian_version, os_release

Facts = Dict[str, Any]
Found = Tuple[Facts, Facts]  # under setup's names, and under ansible_facts.uml

_INTERFACE_NAME = re.compile(r"(?=.{1,15}\Z)[^\s/*]+\*?")  # IFNAMSIZ - 1 characters, a star at the end only
_COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
_KEYS = ("rsa", "ecdsa", "ed25519")


# One function a subset.


def _platform(guest: BoundedSnapshot) -> Found:
    found = parsers.platform(guest.ask("version") or "")
    boot = guest.text("sys/kernel/random/boot_id").strip()
    standard = {**found, "virtualization_type": "uml", "virtualization_role": "guest"}
    return standard, {"release": found.get("kernel"), "boot_id": boot or None}


def _cmdline(guest: BoundedSnapshot) -> Found:
    text = guest.text("cmdline").strip()
    return parsers.cmdline(text) if text else {}, {"cmdline": text}


def _distribution(guest: BoundedSnapshot) -> Found:
    text = guest.proc("1/root/etc/os-release")
    if text is None:
        return {}, {}
    release = os_release(text)
    precise = guest.proc("1/root/etc/debian_version") if has_debian_version(release) else None
    return distribution(release, precise), {"os_release": release}


def _mounts(guest: BoundedSnapshot) -> Found:
    found = parsers.mounts(guest.text("1/mounts"))
    return {"mounts": [mount for mount in found if parsers.is_backed(mount)]}, {"mounts": found}


def _devices(guest: BoundedSnapshot) -> Found:
    if not guest.has_sysfs:
        return {}, {}
    found = parsers.partitions(guest.text("partitions"))
    return {"devices": {name: _device(guest, name, found[name]) for name in guest.some(found, "devices")}}, {}


def _device(guest: BoundedSnapshot, name: str, parts: Iterable[str]) -> Facts:
    """Return a block device as setup shows it, without links and holders, which only directories show."""
    queue = {key: guest.attribute(f"block/{name}/queue/{key}") for key in _QUEUE}
    sector = queue["logical_block_size"] or "512"
    return {
        "virtual": 1,
        "host": "",
        "removable": guest.attribute(f"block/{name}/removable"),
        "rotational": queue["rotational"],
        "scheduler_mode": parsers.selected(queue["scheduler"]),
        "support_discard": "0" if queue["discard_max_hw_bytes"] == "0" else queue["discard_granularity"],
        "sectorsize": sector,
        **_size(guest, f"block/{name}", parse_int(sector) or 512),
        "partitions": {part: _partition(guest, f"block/{name}/{part}") for part in guest.some(parts, "partitions")},
    }


_QUEUE = ("rotational", "scheduler", "logical_block_size", "discard_granularity", "discard_max_hw_bytes")


def _partition(guest: BoundedSnapshot, path: str) -> Facts:
    return {"start": guest.attribute(f"{path}/start"), "sectorsize": 512, **_size(guest, path, 512)}


def _size(guest: BoundedSnapshot, path: str, sector: int) -> Facts:
    sectors = (parse_int(guest.attribute(f"{path}/size")) or 0) * 512 // sector
    return {"sectors": sectors, "size": parsers.human_size(float(sectors * sector))}


def _network(guest: BoundedSnapshot) -> Found:
    found = {name: _interface(guest, name) for name in guest.interfaces}
    return {"interfaces": list(found), **{name.replace("-", "_"): interface for name, interface in found.items()}}, {}


def _interface(guest: BoundedSnapshot, name: str) -> Facts:
    """Return an interface as setup shows it, without addresses."""
    if not guest.has_sysfs:
        return {"device": name}
    keys = ("address", "mtu", "operstate", "type", "flags")
    values = {key: guest.attribute(f"class/net/{name}/{key}") or "" for key in keys}
    mac = values["address"]
    return {
        "device": name,
        "mtu": parse_int(values["mtu"]),
        "active": values["operstate"] != "down",
        "type": parsers.INTERFACE_TYPES.get(values["type"], "unknown"),
        "promisc": parsers.is_promiscuous(values["flags"]),
        **({"macaddress": mac} if mac.strip("0:") else {}),
    }


def _statistics(guest: BoundedSnapshot) -> Found:
    names = guest.interfaces if guest.has_sysfs else []
    found = {name: {key: _counter(guest, name, key) for key in _COUNTERS} for name in names}
    return {}, {"statistics": found}


def _counter(guest: BoundedSnapshot, name: str, key: str) -> Optional[int]:
    return parse_int(guest.attribute(f"class/net/{name}/statistics/{key}"))


def _ssh_keys(guest: BoundedSnapshot) -> Found:
    texts = {key: guest.text(f"1/root/etc/ssh/ssh_host_{key}_key.pub") for key in _KEYS}
    return {name: value for key, text in texts.items() for name, value in parsers.ssh_key(key, text).items()}, {}


def _machine_id(guest: BoundedSnapshot) -> Found:
    words = guest.text("1/root/etc/machine-id").split()
    return {"machine_id": words[0]} if words else {}, {}


def _dns(guest: BoundedSnapshot) -> Found:
    text = guest.proc("1/root/etc/resolv.conf")
    return {} if text is None else parsers.resolver(text), {}


def _of_devices(name: str) -> Callable[[BoundedSnapshot], Found]:
    """Return the function of a subset that needs the classes of devices; these are large, and most do not ask."""

    def read(guest: BoundedSnapshot) -> Found:
        from . import device_facts

        return {}, getattr(device_facts, name)(guest)

    return read


def _of_file(path: str, parse: Callable[[str], Facts]) -> Callable[[BoundedSnapshot], Found]:
    """Return the function of a subset that is one file."""
    return lambda guest: (parse(guest.text(path)), {})


# The table.


class Subset(NamedTuple):
    """One row: its name, the groups that it is of, and how it is read."""

    name: str
    groups: Tuple[str, ...]
    read: Callable[[BoundedSnapshot], Found]


SUBSETS: Tuple[Subset, ...] = (
    Subset("platform", ("min", "default"), _platform),
    Subset("cmdline", ("min", "default"), _cmdline),
    Subset("distribution", ("min", "default"), _distribution),
    Subset("loadavg", ("default",), _of_file("loadavg", parsers.loadavg)),
    Subset("uptime", ("hardware", "default"), _of_file("uptime", parsers.uptime)),
    Subset("processor", ("hardware", "default"), _of_file("cpuinfo", parsers.processor)),
    Subset("memory", ("hardware", "default"), _of_file("meminfo", parsers.memory)),
    Subset("mounts", ("hardware", "default"), _mounts),
    Subset("devices", ("hardware", "default"), _devices),
    Subset("disks", ("hardware",), _of_devices("disk_files")),
    Subset("interfaces", ("network", "default"), _network),
    Subset("statistics", ("network",), _statistics),
    Subset("dns", ("network",), _dns),
    Subset("consoles", (), _of_devices("lines")),
    Subset("capabilities", (), _of_devices("capabilities")),
    Subset("machine_id", (), _machine_id),
    Subset("ssh_pub_keys", (), _ssh_keys),
)
GROUPS = ("min", "default", "hardware", "network", "all")


def _members(word: str) -> List[str]:
    """Return the subsets that a word stands for.

    :raises InputError: when it is neither a subset nor a group
    """
    found = [row.name for row in SUBSETS if word in (row.name, "all", *row.groups)]
    if not found:
        known = ", ".join([*GROUPS, *(row.name for row in SUBSETS)])
        raise InputError(f"{word!r} is not a subset of the facts; expected one of {known}, or one of them after a !")
    return found


def select(words: Sequence[str]) -> List[Subset]:
    """Return the rows that ``gather_subset`` asks for, by the rules of setup.

    The smallest set is always in, unless ``!min`` takes it out; ``!all`` leaves nothing else; a subset that is named
    itself stays in, also when its group is taken out. If all words take something out, they take it from the default.

    :raises InputError: when a word is neither a subset nor a group
    """
    added = [word for word in words if not word.startswith("!")]
    taken = [word[1:] for word in words if word.startswith("!")]
    chosen = {name for word in ["min", *(added or ["default"])] for name in _members(word)}
    for word in taken:
        kept = _members("min") if word == "all" else []
        chosen -= {name for name in _members(word) if name not in kept and name not in added}
    return [row for row in SUBSETS if row.name in chosen]


def check_interface(name: str) -> str:
    """Return the name of an interface, or of a series of them such as ``vec*``.

    :raises InputError: when no interface can have it
    """
    if name in (".", "..") or not _INTERFACE_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not the name of an interface; expected one such as vec1, or a series such as vec*"
        )
    return name


def gather(console: Console, subsets: Sequence[Subset], interfaces: Sequence[str] = (), seconds: float = TIME) -> Found:
    """Return the facts under setup's names, and those under ``uml``; each query is sent once.

    Of a paused instance only the facts of its console itself are there, because reading a file can freeze it. Facts
    that were not asked for in time are listed as unavailable.

    :raises UnansweredError: when the instance hangs
    """
    guest = BoundedSnapshot(console, [check_interface(name) for name in interfaces], seconds)
    guest.wait_for_drivers()
    standard: Facts = {}
    uml: Facts = {"state": _STATES[console.paused()], "gather_subset": [row.name for row in subsets]}
    for row in subsets:
        names, own = row.read(guest)
        standard.update(names)
        uml.update(own)
    uml["unavailable"] = [{"query": query, "reason": reason} for query, reason in guest.unavailable.items()]
    return standard, {**uml, "truncated": guest.truncated}


_STATES = {True: "paused", False: "running", None: "unknown"}
