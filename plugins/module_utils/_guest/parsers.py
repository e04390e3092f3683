# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Texts of a guest's files -> facts, under the names and with the rounding of ``ansible.builtin.setup``. All pure.

What a guest says is data: a text of another shape yields fewer facts, never an error.
Source of names and rounding: ansible-core 2.19 module_utils/facts/{hardware,network,system}.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, List, Optional, Tuple

from .._mconsole.parsing import parse_float, parse_int, uname

Facts = Dict[str, Any]

_OCTAL = re.compile(r"\\([0-7]{3})")
_INTERFACE = re.compile(r"\b(?:vec|eth)[0-9]+\b")
_BOOT_INTERFACE = re.compile(r"(?:^|\s)((?:vec|eth)[0-9]+)[=:]")
_PARTITION = re.compile(r"(?<=[0-9])p[0-9]+$|(?<=[^0-9])[0-9]+$")
_SELECTED = re.compile(r"\[([^][]*)\]")
_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
INTERFACE_TYPES = {"1": "ether", "32": "infiniband", "512": "ppp", "772": "loopback", "65534": "tunnel"}
_PROMISCUOUS = 0x0100  # IFF_PROMISC


def human_size(size: float) -> str:
    """Return bytes as ``8.00 MB``; setup counts in steps of 1024."""
    step = 0
    while size >= 1024 and step < len(_UNITS) - 1:
        size /= 1024
        step += 1
    return f"{size:.2f} {_UNITS[step]}"


def platform(version: str) -> Facts:
    """Return the facts in the answer to ``version``: ``Linux <nodename> <release> <version> <machine>``."""
    words = uname(version)
    if words is None:
        return {}
    system, nodename, release, build, machine = words
    return {
        "system": system,
        "nodename": nodename,
        "hostname": nodename.split(".")[0],
        "kernel": release,
        "kernel_version": build,
        "machine": machine,
        "architecture": "i386" if re.fullmatch(r"i[3456]86", machine) else machine,
    }


def cmdline(text: str) -> Facts:
    """Return ``cmdline`` (the last of repeated words) and ``proc_cmdline`` (all of them)."""
    last: Facts = {}
    every: Facts = {}
    for name, value in _words(text):
        last[name] = value
        every[name] = value if name not in every or value is True else [*_as_list(every[name]), value]
    return {"cmdline": last, "proc_cmdline": every}


def _words(text: str) -> List[Tuple[str, Any]]:
    try:
        pieces = (piece.partition("=") for piece in shlex.split(text, posix=False))
        return [(name, value if equals else True) for name, equals, value in pieces]
    except ValueError:  # an open quote
        return []


def _as_list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [value]


def loadavg(text: str) -> Facts:
    """Return the load of /proc/loadavg."""
    found = [parse_float(word) for word in text.split()[:3]]
    return {"loadavg": dict(zip(("1m", "5m", "15m"), found))} if found and None not in found else {}


def uptime(text: str) -> Facts:
    """Return the whole seconds of /proc/uptime."""
    seconds = parse_int(text.partition(".")[0])
    return {} if seconds is None else {"uptime_seconds": seconds}


def available_memory(text: str) -> Optional[int]:
    """Return the bytes that /proc/meminfo shows as available, or None."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def memory(text: str) -> Facts:
    """Return the memory of /proc/meminfo in MiB, rounded down."""
    pairs = (line.partition(":") for line in text.splitlines())
    sizes = {name: parse_int(value.split()[0]) for name, _colon, value in pairs if value.split()}
    mib = {name.lower(): size // 1024 for name, size in sizes.items() if size is not None}
    wanted = ("memtotal", "memfree", "swaptotal", "swapfree")
    if not mib:
        return {}
    return {**{f"{name}_mb": mib[name] for name in wanted if name in mib}, "memory_mb": _memory_table(mib)}


def _memory_table(mib: Dict[str, int]) -> Facts:
    total, free = mib.get("memtotal", 0), mib.get("memfree", 0)
    available = free + mib.get("cached", 0) + mib.get("buffers", 0)
    swap, unused = mib.get("swaptotal", 0), mib.get("swapfree", 0)
    return {
        "real": {"total": total, "used": total - free, "free": free},
        "nocache": {"free": available, "used": total - available},
        "swap": {"total": swap, "free": unused, "used": swap - unused, "cached": mib.get("swapcached", 0)},
    }


def processor(text: str) -> Facts:
    """Return the processors of /proc/cpuinfo; each has one core with one thread (arch/um/kernel/um_arch.c)."""
    rows = (line.partition(":") for line in text.splitlines())
    pairs = [(name.strip(), value.strip()) for name, _colon, value in rows]
    if not any(name == "processor" for name, _value in pairs):
        return {}
    count = sum(1 for name, _value in pairs if name == "processor")
    flags = [value for name, value in pairs if name == "flags"]
    return {
        "processor": [value for name, value in pairs if name in ("processor", "vendor_id", "model name")],
        "processor_count": count,
        "processor_cores": 1,
        "processor_threads_per_core": 1,
        "processor_vcpus": count,
        "processor_nproc": count,
        **({"flags": flags[-1].split()} if flags else {}),
    }


def mounts(text: str) -> List[Facts]:
    """Return every mount of /proc/1/mounts."""
    rows = (line.split() for line in text.splitlines())
    return [_mount([_unescaped(field) for field in row]) for row in rows if len(row) >= 6]


def _mount(fields: List[str]) -> Facts:
    device, mount, fstype, options = fields[:4]
    return {
        "mount": mount,
        "device": device,
        "fstype": fstype,
        "options": options,
        "dump": parse_int(fields[4]) or 0,
        "passno": parse_int(fields[5]) or 0,
    }


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), field)


def is_backed(mount: Facts) -> bool:
    """Return whether setup lists a mount: its device is a path or a remote one."""
    device = mount["device"]
    return (device.startswith(("/", "\\")) or ":/" in device) and mount["fstype"] != "none"


def partitions(text: str) -> Dict[str, List[str]]:
    """Return {disk: names of its partitions} from /proc/partitions; devices without a size are not in it."""
    rows = (line.split() for line in text.splitlines())
    disks: Dict[str, List[str]] = {}
    for name in (row[3] for row in rows if len(row) == 4 and row[0].isdigit()):
        owner = _PARTITION.sub("", name)
        if owner != name and owner in disks:
            disks[owner].append(name)
        else:
            disks[name] = []
    return disks


def selected(text: Optional[str]) -> str:
    """Return the word in brackets, such as the scheduler in use, or nothing."""
    match = _SELECTED.search(text or "")
    return match.group(1) if match else ""


def interfaces_up(interrupts: str) -> List[str]:
    """Return the network interfaces in /proc/interrupts: a UML interface has one while it is up, under its name."""
    return list(dict.fromkeys(_INTERFACE.findall(interrupts)))


def interfaces_at_boot(line: str) -> List[str]:
    """Return the network interfaces that a kernel command line names."""
    return list(dict.fromkeys(_BOOT_INTERFACE.findall(line)))


def is_promiscuous(flags: str) -> bool:
    """Distinguish it from an interface's flags, such as ``0x1002``."""
    return bool((parse_int(flags, 16) or 0) & _PROMISCUOUS)


def resolver(text: str) -> Facts:
    """Return the contents of resolv.conf as ``dns``."""
    found: Facts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver":
            found.setdefault("nameservers", []).extend(words[1:])
        elif words[0] == "domain":
            found["domain"] = words[1]
        elif words[0] in ("search", "sortlist"):
            found[words[0]] = words[1:]
        elif words[0] == "options":
            pairs = (word.partition(":") for word in words[1:])
            found["options"] = {name: value or True for name, _colon, value in pairs}
    return {"dns": found}


def ssh_key(algorithm: str, text: str) -> Facts:
    """Return the facts of one public host key file."""
    words = text.split()
    name = f"ssh_host_key_{algorithm}_public"
    return {name: words[1], f"{name}_keytype": words[0]} if len(words) > 1 else {}
