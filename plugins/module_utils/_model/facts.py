# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""All that can be told of an instance without anything in its guest: a table of subsets, and one gathering.

A console lists no directory, and an open that fails costs the guest a line at level "error" in its kernel log
(mconsole_kern.c mconsole_proc). So what is there is taken from files that list it (mounts, partitions, interrupts,
cmdline), and only then looked into. Addresses cannot be had: no file that shows them can be read this way.
"""

from __future__ import annotations

import itertools
import re
import time
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from .._mconsole.console import Console
from .._mconsole.errors import DangerError, InputError
from .._mconsole.numbers import whole
from . import classes, disks, guestfiles
from .distribution import distribution, has_debian_version, os_release
from .row import DeviceClass
from .sight import UNKNOWN_CLASS, Sight

Facts = Dict[str, Any]
Found = Tuple[Facts, Facts]  # under setup's names, and under ansible_facts.uml

_PAUSED = "the instance is paused, and reading its files then can freeze it"
_LATE = "the guest took so long to answer before that it was not asked"
_NO_SYSFS = "the guest has no sysfs at /sys"
_INTERFACE_NAME = re.compile(r"(?=.{1,15}\Z)[^\s/*]+\*?")  # IFNAMSIZ - 1 characters, a star at the end only
_LONGEST = 1 << 18  # characters of a list that are looked at: a guest may put anything into its files
_LONG = 1 << 14  # characters of any other file
_LISTS = ("1/mounts", "partitions", "interrupts", "meminfo", "cpuinfo")
_MANY = 64  # devices, interfaces, or interfaces of one series that are looked at at most
TIME = 60.0  # seconds for all of it; measured: some hundredths, a few on a busy host
_COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
LINES = ("con", "ssl")
_KEYS = ("rsa", "ecdsa", "ed25519")


class Guest(Sight):
    """A sight that remembers what was out of it, and what came cut; ``wanted`` are further interfaces to look for.

    After ``seconds`` nothing more is asked: a guest may answer each question, and take its time.
    """

    def __init__(self, console: Console, interfaces: Sequence[str] = (), seconds: float = TIME) -> None:
        super().__init__(console)
        self.wanted = interfaces
        self._deadline = time.monotonic() + seconds
        self.unavailable: Dict[str, str] = {}
        self.truncated: List[str] = []
        self._sysfs: Optional[bool] = None
        self._interfaces: Optional[List[str]] = None

    def ask(self, text: str) -> Optional[str]:
        """Return the text that answers a query, or None, and the reason is kept."""
        return self._answer(text)

    def proc(self, path: str) -> Optional[str]:
        """Return a file of the guest's /proc, or None, and the reason is kept."""
        if self.blind:
            self.unavailable[f"proc {path}"] = _PAUSED
            return None
        text = self._answer(f"proc {path}")
        longest = _LONGEST if path in _LISTS else _LONG
        if text is not None and len(text) > longest:
            self._note_cut(f"proc {path}")
            text = text[:longest]
        return text[1:] if text and text.startswith("\n") else text

    def text(self, path: str) -> str:
        """Return a file of the guest's /proc, or nothing."""
        return self.proc(path) or ""

    def attribute(self, path: str) -> Optional[str]:
        """Return a file of the guest's /sys without its newline, or None."""
        return super().attribute(path) if self.has_sysfs else None

    @property
    def has_sysfs(self) -> bool:
        """Tell whether pid 1 of the guest sees a sysfs at /sys."""
        if self._sysfs is None:
            seen = guestfiles.mounts(self.text("1/mounts"))
            self._sysfs = any((each["mount"], each["fstype"]) == ("/sys", "sysfs") for each in seen)
            if not self._sysfs and not self.blind:
                self.unavailable["/sys"] = _NO_SYSFS
        return self._sysfs

    @property
    def interfaces(self) -> List[str]:
        """Return the names of the interfaces that are there, as far as they can be known."""
        if self._interfaces is None:
            self._interfaces = [] if self.blind else self.some(_interfaces(self), "interfaces")
        return self._interfaces

    def some(self, found: Iterable[str], what: str) -> List[str]:
        """Return as many names as are looked at, and remember whether there were more."""
        names = list(itertools.islice(found, _MANY + 1))
        if len(names) > _MANY:
            self._note_cut(what)
        return names[:_MANY]

    def is_there(self, path: str) -> bool:
        """Tell whether a file is there, where it need not be; costs the guest a line in its kernel log if not."""
        found = self.proc(path) is not None
        if not self._is_late():
            self.unavailable.pop(f"proc {path}", None)
        return found

    def knows(self, kind: DeviceClass) -> Optional[bool]:
        """Tell whether the kernel knows a class of devices; while it boots, lines are not there yet and waited for."""
        if self._is_late():
            self.unavailable[kind.probe] = _LATE
            return None
        reply = self.reply(kind.probe) if kind.name in LINES else self._console.request(kind.probe)
        return reply.text != UNKNOWN_CLASS

    def _answer(self, text: str) -> Optional[str]:
        if self._is_late():
            self.unavailable[text] = _LATE
            return None
        try:
            reply = self.reply(text)
        except (DangerError, InputError) as err:  # a name of the guest's own may be anything
            self.unavailable[text] = str(err)
            return None
        if reply.truncated:
            self._note_cut(text)
        if not reply.ok:
            self.unavailable[text] = reply.text.strip() or f"error {reply.err}"
        return reply.text if reply.ok else None

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _note_cut(self, what: str) -> None:
        if what not in self.truncated:
            self.truncated.append(what)


# One function a subset.


def _platform(guest: Guest) -> Found:
    found = guestfiles.platform(guest.ask("version") or "")
    boot = guest.text("sys/kernel/random/boot_id").strip()
    standard = {**found, "virtualization_type": "uml", "virtualization_role": "guest"}
    return standard, {"release": found.get("kernel"), "boot_id": boot or None}


def _cmdline(guest: Guest) -> Found:
    text = guest.text("cmdline").strip()
    return guestfiles.cmdline(text) if text else {}, {"cmdline": text}


def _distribution(guest: Guest) -> Found:
    text = guest.proc("1/root/etc/os-release")
    if text is None:
        return {}, {}
    release = os_release(text)
    precise = guest.proc("1/root/etc/debian_version") if has_debian_version(release) else None
    return distribution(release, precise), {"os_release": release}


def _mounts(guest: Guest) -> Found:
    found = guestfiles.mounts(guest.text("1/mounts"))
    return {"mounts": [each for each in found if guestfiles.is_backed(each)]}, {"mounts": found}


def _devices(guest: Guest) -> Found:
    if not guest.has_sysfs:
        return {}, {}
    found = guestfiles.partitions(guest.text("partitions"))
    return {"devices": {name: _device(guest, name, found[name]) for name in guest.some(found, "devices")}}, {}


def _device(guest: Guest, name: str, parts: Iterable[str]) -> Facts:
    """Return a block device as setup shows it, without links and holders, which only directories tell."""
    queue = {key: guest.attribute(f"block/{name}/queue/{key}") for key in _QUEUE}
    sector = queue["logical_block_size"] or "512"
    return {
        "virtual": 1,
        "host": "",
        "removable": guest.attribute(f"block/{name}/removable"),
        "rotational": queue["rotational"],
        "scheduler_mode": guestfiles.selected(queue["scheduler"]),
        "support_discard": "0" if queue["discard_max_hw_bytes"] == "0" else queue["discard_granularity"],
        "sectorsize": sector,
        **_size(guest, f"block/{name}", whole(sector) or 512),
        "partitions": {part: _partition(guest, f"block/{name}/{part}") for part in guest.some(parts, "partitions")},
    }


_QUEUE = ("rotational", "scheduler", "logical_block_size", "discard_granularity", "discard_max_hw_bytes")


def _partition(guest: Guest, path: str) -> Facts:
    return {"start": guest.attribute(f"{path}/start"), "sectorsize": 512, **_size(guest, path, 512)}


def _size(guest: Guest, path: str, sector: int) -> Facts:
    sectors = (whole(guest.attribute(f"{path}/size")) or 0) * 512 // sector
    return {"sectors": sectors, "size": guestfiles.human_size(float(sectors * sector))}


def _disks(guest: Guest) -> Found:
    found = {f"ubd{unit}": _disk(guest, unit) for unit in range(disks.UNITS)}
    return {}, {"disks": {name: disk for name, disk in found.items() if disk["state"] != "absent"}}


def _disk(guest: Guest, unit: int) -> Facts:
    """Return a disk; one that the guest does not list (a ghost, an empty file) is not looked for in its files."""
    listed = guestfiles.partitions(guest.text("partitions"))
    if f"ubd{chr(ord('a') + unit)}" in listed and guest.has_sysfs:
        return {**disks.read(guest, unit), "listed": True}
    config = guest.ask(f"config ubd{unit}")
    if not config:
        return {"state": "absent"}
    file, _comma, backing = config.partition(",")
    return {"state": "present", "config": config, "file": file, "backing_file": backing, "listed": False}


def _lines(guest: Guest) -> Found:
    found = {
        f"{kind}{unit}": classes.CLASSES[kind].read(guest, unit)
        for kind in LINES
        for unit in range(classes.CLASSES[kind].limit)
    }
    present = {name: line["config"] for name, line in found.items() if line["state"] == "present"}
    kernel = [line.split()[0] for line in guest.text("consoles").splitlines() if line.split()]
    return {}, {"lines": present, "kernel_consoles": kernel}


def _network(guest: Guest) -> Found:
    found = {name: _interface(guest, name) for name in guest.interfaces}
    return {"interfaces": list(found), **{name.replace("-", "_"): each for name, each in found.items()}}, {}


def _interface(guest: Guest, name: str) -> Facts:
    """Return an interface as setup shows it, without addresses."""
    if not guest.has_sysfs:
        return {"device": name}
    keys = ("address", "mtu", "operstate", "type", "flags")
    values = {key: guest.attribute(f"class/net/{name}/{key}") or "" for key in keys}
    mac = values["address"]
    return {
        "device": name,
        "mtu": whole(values["mtu"]),
        "active": values["operstate"] != "down",
        "type": guestfiles.INTERFACE_TYPES.get(values["type"], "unknown"),
        "promisc": guestfiles.is_promiscuous(values["flags"]),
        **({"macaddress": mac} if mac.strip("0:") else {}),
    }


def _interfaces(guest: Guest) -> Iterable[str]:
    """Yield the loopback, those that are up, those of the boot line that are there, and those that were asked for."""
    up = guestfiles.interfaces_up(guest.text("interrupts"))
    yield from ["lo", *up]
    asked = [*guestfiles.interfaces_at_boot(guest.text("cmdline")), *guest.wanted]
    for name in dict.fromkeys(asked):
        found = _series(guest, name[:-1]) if name.endswith("*") else filter(_looker(guest), [name])
        yield from (each for each in found if each not in up and each != "lo")


def _series(guest: Guest, prefix: str) -> Iterable[str]:
    """Yield ``prefix0``, ``prefix1`` ... up to the first that is not there."""
    for number in range(_MANY):
        if not _looker(guest)(f"{prefix}{number}"):
            return
        yield f"{prefix}{number}"


def _looker(guest: Guest) -> Callable[[str], bool]:
    path = "1/root/sys/class/net/{}/address" if guest.has_sysfs else "sys/net/ipv4/conf/{}/forwarding"
    return lambda name: guest.is_there(path.format(name))


def _statistics(guest: Guest) -> Found:
    names = guest.interfaces if guest.has_sysfs else []
    found = {name: {key: _counter(guest, name, key) for key in _COUNTERS} for name in names}
    return {}, {"statistics": found}


def _counter(guest: Guest, name: str, key: str) -> Optional[int]:
    return whole(guest.attribute(f"class/net/{name}/statistics/{key}"))


def _ssh_keys(guest: Guest) -> Found:
    texts = {key: guest.text(f"1/root/etc/ssh/ssh_host_{key}_key.pub") for key in _KEYS}
    return {name: value for key, text in texts.items() for name, value in guestfiles.ssh_key(key, text).items()}, {}


def _machine_id(guest: Guest) -> Found:
    words = guest.text("1/root/etc/machine-id").split()
    return {"machine_id": words[0]} if words else {}, {}


def _dns(guest: Guest) -> Found:
    text = guest.proc("1/root/etc/resolv.conf")
    return {} if text is None else guestfiles.resolver(text), {}


def _capabilities(guest: Guest) -> Found:
    return {}, {"capabilities": {kind.name: guest.knows(kind) for kind in classes.CLASSES.values()}}


def _of_file(path: str, parse: Callable[[str], Facts]) -> Callable[[Guest], Found]:
    """Return the function of a subset that is one file."""
    return lambda guest: (parse(guest.text(path)), {})


# The table.


class Subset(NamedTuple):
    """One row: its name, the groups that it is of, and how it is read."""

    name: str
    groups: Tuple[str, ...]
    read: Callable[[Guest], Found]


SUBSETS: Tuple[Subset, ...] = (
    Subset("platform", ("min", "default"), _platform),
    Subset("cmdline", ("min", "default"), _cmdline),
    Subset("distribution", ("min", "default"), _distribution),
    Subset("loadavg", ("default",), _of_file("loadavg", guestfiles.loadavg)),
    Subset("uptime", ("hardware", "default"), _of_file("uptime", guestfiles.uptime)),
    Subset("processor", ("hardware", "default"), _of_file("cpuinfo", guestfiles.processor)),
    Subset("memory", ("hardware", "default"), _of_file("meminfo", guestfiles.memory)),
    Subset("mounts", ("hardware", "default"), _mounts),
    Subset("devices", ("hardware", "default"), _devices),
    Subset("disks", ("hardware",), _disks),
    Subset("interfaces", ("network", "default"), _network),
    Subset("statistics", ("network",), _statistics),
    Subset("dns", ("network",), _dns),
    Subset("consoles", (), _lines),
    Subset("capabilities", (), _capabilities),
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
        raise InputError(f"{word!r} is no subset of the facts; expected one of {known}, or one of them after a !")
    return found


def select(words: Sequence[str]) -> List[Subset]:
    """Return the rows that ``gather_subset`` asks for, by the rules of setup.

    The smallest set is always in, unless ``!min`` takes it out; ``!all`` leaves nothing else; a subset that is named
    itself stays in whatever is taken out. Where all words take something out, they do so from the default.

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
        raise InputError(f"{name!r} is no name of an interface; expected one such as vec1, or a series such as vec*")
    return name


def gather(console: Console, subsets: Sequence[Subset], interfaces: Sequence[str] = (), seconds: float = TIME) -> Found:
    """Return the facts under setup's names, and those under ``uml``; each query is sent once.

    Of a paused instance only what its console itself answers is there, since reading a file can freeze it. What was
    not asked after so many seconds is told as unavailable.

    :raises UnansweredError: when the instance hangs
    """
    guest = Guest(console, [check_interface(name) for name in interfaces], seconds)
    standard: Facts = {}
    uml: Facts = {"state": _STATES[console.paused()], "gather_subset": [row.name for row in subsets]}
    for row in subsets:
        names, own = row.read(guest)
        standard.update(names)
        uml.update(own)
    uml["unavailable"] = [{"query": query, "reason": reason} for query, reason in guest.unavailable.items()]
    return standard, {**uml, "truncated": guest.truncated}


_STATES = {True: "paused", False: "running", None: "unknown"}
