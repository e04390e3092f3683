# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a page of the fleet shows: VM hosts, their instances, what these share, and what went wrong.

All text has been made clean when it leaves here. ``key`` of an instance is unique on the page and made by us, so that
it can be an id.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from ansible_collections.uml.mconsole.plugins.module_utils._devices import disks
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import kernel_arg_groups
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import parsing
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import Row, fact, is_disk, rows_of
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_text import (
    clean,
    clean_lines,
    count,
    listing,
    natural,
    percent,
    size,
    when,
)

Part = dict[str, Any]

# How a state is told apart by more than its word: the colour, and the mark beside it.
LEVELS = {
    "running": "good",
    "paused": "warn",
    "booting": "busy",
    "hung": "bad",
    "frozen": "bad",
    "orphaned": "bad",
    "unreachable": "bad",
    "failed": "bad",
    "stale": "off",
    "absent": "off",
    "unknown": "off",
}
SEVERITIES = {"debug": "off", "info": "off", "warning": "warn", "error": "bad", "critical": "bad"}
_MARKS = {"good": "dot", "warn": "triangle", "busy": "arc", "bad": "diamond", "off": "ring"}
_ORDER = ("bad", "warn", "busy", "off", "good")
_WELL = ("running", "paused", "booting")
_ALIVE = ("running", "paused", "booting", "hung", "frozen", "unknown")
# What an attachment's transport makes of the thing at its other end, and whether others can be there, too.
_KINDS = {
    "daemon": ("switch", True),
    "vde": ("VDE switch", True),
    "mcast": ("multicast group", True),
    "raw": ("interface", True),
    "bess": ("BESS switch", True),
    "gre": ("GRE tunnel", True),
    "l2tpv3": ("L2TP tunnel", True),
    "ucast": ("UDP peer", True),
    "fd": ("descriptor", False),
    "slirp": ("slirp", False),
    "slip": ("slip", False),
}


def told(word: str, levels: dict[str, str] | None = None) -> Part:
    """Return a state or a severity with its level and its mark."""
    level = (LEVELS if levels is None else levels).get(word, "off")
    return {"state": word, "level": level, "mark": "bars" if word == "paused" else _MARKS[level]}


class Answer(NamedTuple):
    """What one host of the inventory told, and where it is.

    ``place`` is the same for hosts behind one address, ``vm_host`` what to call that; ``umid`` is given for a host that
    is an instance.
    """

    host: str
    vm_host: str
    place: tuple[str, str]
    umid: str
    seen: Row
    events: Row


def build(answers: Sequence[Answer], most_events: int = 50) -> Part:
    """Return all that the page shows, but the time."""
    places = _by_place(answers)
    found = [_vm_host(number, name, part) for number, (name, part) in enumerate(places)]
    instances = [each for vm_host in found for each in vm_host["instances"]]
    networks = [{**each, "vm_host": vm["name"]} for vm in found for each in vm["networks"]]
    files = [{**each, "vm_host": vm["name"]} for vm in found for each in vm["files"]]
    trouble = [each for vm_host in found for each in _trouble(vm_host)]
    return {
        "vm_hosts": found,
        "silent": [each for each in found if not each["answers"]],
        "instances": len(instances),
        "states": _states(instances),
        "memory": _memory_of_all(instances),
        "trouble": sorted(trouble, key=lambda each: _ORDER.index(each["level"])),
        "networks": networks,
        "shared_networks": sum(each["shared"] for each in networks),
        "lone_networks": sum(not each["shared"] for each in networks),
        "files": files,
        "backing_files": sum(each["is_base"] for each in files),
        **_events(places, most_events),
    }


def _by_place(answers: Sequence[Answer]) -> list[tuple[str, list[Answer]]]:
    """Return each VM host's name and the answers about it, that of the VM host itself first."""
    found: dict[Any, list[Answer]] = defaultdict(list)
    vm_hosts = {each.host: each.place for each in answers if not each.umid}
    for each in answers:
        found[vm_hosts.get(each.vm_host, each.place)].append(each)
    parts = [sorted(part, key=lambda each: (bool(each.umid), natural(each.host))) for part in found.values()]
    twice = Counter(part[0].vm_host for part in parts)
    named = [(_name_of(part[0], twice[part[0].vm_host] > 1), part) for part in parts]
    return sorted(named, key=lambda each: natural(each[0]))


def _name_of(answer: Answer, is_ambiguous: bool) -> str:
    return clean(f"{answer.vm_host}:{answer.place[1]}" if is_ambiguous else answer.vm_host, 60)


def _vm_host(number: int, name: str, answers: Sequence[Answer]) -> Part:
    """Return one VM host with what is on it; ``reason`` is why it does not answer."""
    rows = _rows(answers)
    machine: Part = next((each.seen["vm_host"] for each in answers if each.seen.get("vm_host")), {})
    silent = [row for row in rows if row["umid"] == "-" and not row["instance"]]
    instances = _instances(number, [row for row in rows if row not in silent])
    return {
        "key": f"host{number}",
        "name": name,
        "answers": not silent,
        "reason": clean(silent[0]["state_reason"], 300).removeprefix("Task failed: ") if silent else "",
        **told(silent[0]["state"] if silent else "running"),
        **_machine(machine),
        "instances": instances,
        "count": count(len(instances), "instance"),
        "states": _states(instances),
        "promised": size(sum(each["memory"]["bytes"] for each in instances if each["state"] in _ALIVE)),
        "networks": _networks(instances),
        "files": _files(instances),
    }


def _rows(answers: Sequence[Answer]) -> list[Part]:
    """Return every instance once, however many tell of it."""
    found: dict[Any, Part] = {}
    for each in answers:
        for row in rows_of(each.host, each.seen, bool(each.umid)):
            named = {**row, "instance": bool(each.umid)}
            if row["umid"] == "-" and each.umid:
                named["umid"] = each.umid
                if any(other["umid"] == each.umid for other in found.values()):
                    continue
            found.setdefault((named["umid"], row.get("uml_dir"), row.get("pid")), named)
    return list(found.values())


def _machine(machine: Row) -> Part:
    """Return how large the VM host is and how busy."""
    total, free = machine.get("memory") or 0, machine.get("memory_available") or 0
    load = (machine.get("loadavg") or {}).get("15m")
    return {
        "hostname": clean(machine.get("name"), 60),
        "cpus": count(machine["cpus"], "processor") if machine.get("cpus") else "",
        "memory": size(total) if total else "",
        "used": percent(total - free, total),
        "load": _load(_calm(load)),
    }


def _calm(load: Any) -> Any:
    """Return the load of a VM host to what tells anything: a half, and a whole one from five on."""
    if not isinstance(load, (int, float)):
        return None
    return float(round(load)) if load >= 5 else round(load * 2) / 2


def _load(load: Any) -> str:
    return f"{load:.1f}" if isinstance(load, (int, float)) else ""


def _states(instances: Iterable[Part]) -> list[Part]:
    """Return how many instances are in each state, those that are well first."""
    counts = Counter(each["state"] for each in instances)
    order = [state for state in [*LEVELS, *sorted(set(counts) - set(LEVELS))] if counts[state]]
    before = accumulate((counts[state] for state in order), initial=0)
    return [
        {**told(state), "count": counts[state], "before": start} for state, start in zip(order, before, strict=False)
    ]


# Instances.


def _instances(number: int, rows: Sequence[Part]) -> list[Part]:
    rows = sorted(rows, key=lambda row: (natural(str(row["umid"])), str(row.get("uml_dir"))))
    twice = Counter(row["umid"] for row in rows)
    return [_instance(f"host{number}-{index}", row, twice[row["umid"]] > 1) for index, row in enumerate(rows)]


def _instance(key: str, row: Part, is_ambiguous: bool) -> Part:
    state = clean(row["state"], 20)
    hostname = clean(fact(row, "hostname"), 40)
    umid = clean(row["umid"], 63)
    return {
        "key": key,
        "umid": umid,
        "where": clean(row.get("uml_dir")) if is_ambiguous else "",
        "hostname": "" if hostname in (umid, "(none)") else hostname,
        **told(state),
        "reason": "" if state in ("running", "paused") else clean(row.get("state_reason"), 300),
        "kernel": clean(row.get("kernel"), 40),
        "owner": clean(row.get("owner"), 32),
        "memory": _memory(row),
        "load": _load(fact(row, "loadavg", "1m")),
        "started": when(row.get("started")),
        "disks": list(_disks(row)),
        "networks": [_network(each) for each in row.get("networks") or ()],
        "open": bool(row.get("world_writable")),
        "lacks": clean(row.get("facts_error"), 300),
    }


def _memory(row: Row) -> Part:
    """Return how much memory the guest has, and what share of it is in use where that is known."""
    total, free = fact(row, "memtotal_mb"), fact(row, "memory_mb", "nocache", "free")
    given = _given_memory(row)
    if not (isinstance(total, int) and isinstance(free, int)):
        return {"bytes": given, "total": size(given) if given else "", "used": None}
    return {"bytes": given or total << 20, "total": f"{total} MB", "used": percent(total - free, total)}


def _given_memory(row: Row) -> int:
    """Return the bytes that the command line gives, which the guest's memory can be at most."""
    words = [word[4:] for word in row.get("arguments") or () if str(word).startswith("mem=")]
    try:
        return parsing.parse_size(str(words[-1])) if words else 0
    except InputError:
        return 0


def _memory_of_all(instances: Iterable[Part]) -> str:
    return size(sum(each["memory"]["bytes"] for each in instances if each["state"] in _ALIVE))


# Disks.


def _disks(row: Row) -> Iterator[Part]:
    """Yield the disks that have a file, as the console tells them, or else the command line."""
    told = fact(row, "uml", "disks")
    found = dict(_disks_at_boot(row)) if told is None else told
    for name in sorted(found, key=natural):
        disk = found[name]
        if is_disk(disk) and not _is_of_kernel(row, name, disk):
            file, base = (_absolute(row, disk.get(key)) for key in ("file", "backing_file"))
            yield {
                "name": clean(name, 12),
                "path": file,
                "file": clean(posixpath.basename(file) or file, 60),
                "backing": base,
                "base": clean(posixpath.basename(base), 60),
                "bytes": disk.get("size") or 0,
                "size": size(disk["size"]) if disk.get("size") else "",
                "read_only": bool(disk.get("read_only")),
                "note": _note(disk),
            }


def _is_of_kernel(row: Row, name: str, disk: Row) -> bool:
    """Tell whether a disk is the one that a kernel sets by itself where nobody sets any (ubd_kern.c ubd0_init)."""
    words = [str(word) for word in row.get("arguments") or ()]
    is_named = any(kernel_arg_groups.name_of(word) == name for word in words if word.startswith("ubd"))
    return disk.get("file") == "root_fs" and disk.get("listed") is False and not is_named


def _disks_at_boot(row: Row) -> Iterator[tuple[str, Part]]:
    words = kernel_arg_groups.split([str(each) for each in row.get("arguments") or ()])
    for word in [*words["disk0"], *words["devices"]]:
        if word.startswith("ubd"):
            with contextlib.suppress(InputError):  # the kernel did not like it either
                yield kernel_arg_groups.name_of(word), disks.parse(word.partition("=")[2])


def _absolute(row: Row, path: Any) -> str:
    """Return a path of the VM host as it is from the root, as far as that is known; clean."""
    if not path:
        return ""
    return clean(posixpath.normpath(posixpath.join(str(row.get("cwd") or ""), str(path))), 300)


def _note(disk: Row) -> str:
    """Return what is odd about a disk."""
    if disk.get("ghost"):
        return "set, but the guest has no such disk"
    if disk.get("replaced"):
        return "the file was replaced or removed since it was opened"
    return "" if disk.get("listed", True) else "the guest does not list it"


def _files(instances: Sequence[Part]) -> list[Part]:
    """Return each file that is a backing file, or the disk of more than one, with who uses it."""
    users: dict[tuple[str, bool], list[Part]] = defaultdict(list)
    for instance in instances:
        for disk in instance["disks"]:
            is_base = bool(disk["backing"])
            user = {"key": instance["key"], "umid": instance["umid"], "disk": disk["name"]}
            user |= {"via": disk["file"] if is_base else "", "bytes": disk["bytes"], "read_only": disk["read_only"]}
            users[disk["backing"] or disk["path"], is_base].append(user)
    found = [_file(path, is_base, each) for (path, is_base), each in users.items() if is_base or len(each) > 1]
    return sorted(found, key=lambda each: (-len(each["users"]), natural(each["path"])))


def _file(path: str, is_base: bool, users: list[Part]) -> Part:
    largest = max(each["bytes"] for each in users)
    writers = sum(not each["read_only"] for each in users)
    keys = sorted({each["key"] for each in users})
    return {
        "path": path,
        "name": clean(posixpath.basename(path), 60) or path,
        "is_base": is_base,
        "kind": "backing file" if is_base else "one file",
        "how": "copy-on-write" if is_base else "one file for all",
        "size": size(largest) if largest else "",
        "users": users,
        "keys": keys,
        "danger": not is_base and writers > 1,
        "count": count(len(keys), "instance"),
    }


# Networks.


def _network(attachment: Row) -> Part:
    """Return where an interface leads: to a bridge through a tap, or to whatever its transport names."""
    transport, network = str(attachment.get("transport")), clean(attachment.get("network"), 100)
    bridge = clean(attachment.get("bridge"), 32)
    kind, shared = ("bridge", True) if bridge else _KINDS.get(transport, ("tap", False))
    return {
        "interface": clean(attachment.get("interface"), 16),
        "kind": kind,
        "shared": shared and bool(bridge or network),
        "name": bridge or network or kind,
        "via": network if bridge else "",
        "is_open": attachment.get("open"),
    }


def _networks(instances: Sequence[Part]) -> list[Part]:
    """Return each network with its members, those that many are on first."""
    members: dict[tuple[str, str], list[Part]] = defaultdict(list)
    shared: dict[tuple[str, str], bool] = {}
    for instance in instances:
        for each in instance["networks"]:
            place = (each["kind"], each["name"] if each["shared"] or each["kind"] == "tap" else instance["key"])
            members[place].append({**each, "key": instance["key"], "umid": instance["umid"]})
            shared[place] = each["shared"]
    found = [_segment(kind, users, shared[kind, name]) for (kind, name), users in members.items()]
    return sorted(found, key=lambda each: (not each["shared"], -len(each["keys"]), natural(each["label"])))


def _segment(kind: str, users: list[Part], shared: bool) -> Part:
    keys = sorted({each["key"] for each in users})
    name = users[0]["name"]
    label = posixpath.basename(name) if kind == "switch" else name
    counted = count(len(keys), "instance")
    return {
        "kind": kind,
        "name": name,
        "label": label,
        "shared": shared,
        "users": users,
        "keys": keys,
        "count": counted,
    }


# What went wrong.


def _trouble(vm_host: Part) -> Iterator[Part]:
    """Yield what somebody should look at, each with where it is and a sentence."""
    name = vm_host["name"]
    if not vm_host["answers"]:
        said = "it does not answer" if vm_host["state"] == "unreachable" else "it could not be asked"
        yield {"vm_host": name, "who": "", "key": "", **told(vm_host["state"]), "text": said}
    for each in vm_host["instances"]:
        for level, state, text in _complaints(each):
            named = {"vm_host": name, "who": each["umid"], "key": each["key"]}
            yield {**named, **told(state, {state: level}), "text": text}
    for file in (each for each in vm_host["files"] if each["danger"]):
        users = listing(sorted({each["umid"] for each in file["users"]}, key=natural), 4)
        text = f"{users} may write to one and the same file"
        yield {"vm_host": name, "who": file["name"], "key": "", **told("shared", {"shared": "bad"}), "text": text}


def _complaints(instance: Part) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with an instance: how bad, in a word, in a sentence."""
    if instance["state"] not in _WELL:
        yield instance["level"], instance["state"], instance["reason"]
    if instance["open"]:
        yield "warn", "open", "every user of its VM host may control it"
    if instance["lacks"]:
        yield "warn", "silent", instance["lacks"]
    yield from (("warn", disk["name"], disk["note"]) for disk in instance["disks"] if disk["note"])


def _events(places: Sequence[tuple[str, list[Answer]]], most: int) -> Part:
    """Return the last events of all, the newest first, and which VM hosts have nobody who writes any down."""
    found: dict[Any, Row] = {}
    for name, answers in places:
        for event in (event for each in answers for event in each.events.get("events") or ()):
            found.setdefault((name, event.get("seq"), event.get("time"), event.get("umid")), event)
    last = sorted(found.items(), key=lambda each: (_time(each[1]), _number(each[1])), reverse=True)
    told = [(name, each) for name, answers in places for each in answers if "collecting" in each.events]
    collected = {name for name, each in told if each.events["collecting"]}
    failed = [each for _name, answers in places for each in answers if each.events.get("failed")]
    return {
        "events": [_event(place[0], event) for place, event in last[: max(most, 0)]],
        "more_events": len(last) > most or any(each.events.get("more") for _name, each in told),
        "uncollected": [name for name in dict.fromkeys(name for name, _each in told) if name not in collected],
        "failures": [f"{clean(each.host, 60)}: {clean(each.events.get('msg'), 300)}" for each in failed],
    }


def _time(event: Row) -> float:
    value = event.get("time")
    return float(value) if isinstance(value, (int, float)) else 0.0


def _number(event: Row) -> int:
    value = event.get("seq")
    return value if isinstance(value, int) else 0


def _event(host: str, event: Row) -> Part:
    severity = clean(event.get("severity"), 12)
    return {
        "when": when(event.get("time"), "%Y-%m-%d %H:%M:%S"),
        "vm_host": host,
        "umid": clean(event.get("umid"), 63),
        **told(severity, SEVERITIES),
        "type": clean(event.get("type"), 20),
        "text": clean_lines(event.get("data")),
    }
