# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build what a page of the fleet shows: VM hosts, their instances, what these share, and what went wrong.

All text is clean when it leaves here. The ``key`` of an instance is unique on the page and does not come from a guest,
so it can be an id.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import parsing
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError

from . import _page_disks, _page_events, _page_networks
from ._instance_rows import Answer, Row, fact, rows_of
from ._page_states import ALIVE, LEVELS, ORDER, WELL, state_of
from ._page_text import clean, count, listing, natural, percent, size, when

Part = dict[str, Any]


def build(answers: Sequence[Answer], most_events: int = 50) -> Part:
    """Return all that the page shows, but the time."""
    places = _by_place(answers)
    found = [_vm_host(number, name, part) for number, (name, part) in enumerate(places)]
    instances = [instance for vm_host in found for instance in vm_host["instances"]]
    networks = [{**network, "vm_host": vm["name"]} for vm in found for network in vm["networks"]]
    files = [{**file, "vm_host": vm["name"]} for vm in found for file in vm["files"]]
    trouble = [problem for vm_host in found for problem in _trouble(vm_host)]
    return {
        "vm_hosts": found,
        "silent": [vm_host for vm_host in found if not vm_host["answers"]],
        "instances": len(instances),
        "states": _states(instances),
        "memory": _memory_of_all(instances),
        "trouble": sorted(trouble, key=lambda problem: ORDER.index(problem["level"])),
        "networks": networks,
        "shared_networks": sum(network["shared"] for network in networks),
        "lone_networks": sum(not network["shared"] for network in networks),
        "files": files,
        "backing_files": sum(file["is_base"] for file in files),
        **_page_events.last_events(places, most_events),
    }


def _by_place(answers: Sequence[Answer]) -> list[tuple[str, list[Answer]]]:
    """Return each VM host's name and the answers about it, that of the VM host itself first."""
    found: dict[Any, list[Answer]] = defaultdict(list)
    vm_hosts = {answer.host: answer.place for answer in answers if not answer.umid}
    for answer in answers:
        found[vm_hosts.get(answer.vm_host, answer.place)].append(answer)
    parts = [sorted(part, key=lambda answer: (bool(answer.umid), natural(answer.host))) for part in found.values()]
    twice = Counter(part[0].vm_host for part in parts)
    named = [(_name_of(part[0], twice[part[0].vm_host] > 1), part) for part in parts]
    return sorted(named, key=lambda place: natural(place[0]))


def _name_of(answer: Answer, is_ambiguous: bool) -> str:
    return clean(f"{answer.vm_host}:{answer.place[1]}" if is_ambiguous else answer.vm_host, 60)


def _vm_host(number: int, name: str, answers: Sequence[Answer]) -> Part:
    """Return one VM host with what is on it; ``reason`` is why it does not answer."""
    rows = _rows(answers)
    machine: Part = next((answer.seen["vm_host"] for answer in answers if answer.seen.get("vm_host")), {})
    silent = [row for row in rows if row["umid"] == "-" and not row["instance"]]
    instances = _instances(number, [row for row in rows if row not in silent])
    return {
        "key": f"host{number}",
        "name": name,
        "answers": not silent,
        "reason": clean(silent[0]["state_reason"], 300).removeprefix("Task failed: ") if silent else "",
        **state_of(silent[0]["state"] if silent else "running"),
        **_machine(machine),
        "instances": instances,
        "count": count(len(instances), "instance"),
        "states": _states(instances),
        "promised": size(sum(instance["memory"]["bytes"] for instance in instances if instance["state"] in ALIVE)),
        "networks": _page_networks.of_instances(instances),
        "files": _page_disks.shared_files(instances),
    }


def _rows(answers: Sequence[Answer]) -> list[Part]:
    """Return every instance once, also when several hosts report it."""
    found: dict[Any, Part] = {}
    for answer in answers:
        for row in rows_of(answer):
            is_found = "uml_dir" in row
            if not is_found and answer.umid and any(other["umid"] == answer.umid for other in found.values()):
                continue  # the VM host reports it
            named = {**row, "instance": bool(answer.umid)}
            found.setdefault((row["umid"], row.get("uml_dir"), row.get("pid")), named)
    return list(found.values())


def _machine(machine: Row) -> Part:
    """Return the size and the load of a VM host."""
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
    """Return the load of a VM host, rounded to 0.5, and to 1 from 5 on."""
    if not isinstance(load, (int, float)):
        return None
    return float(round(load)) if load >= 5 else round(load * 2) / 2


def _load(load: Any) -> str:
    return f"{load:.1f}" if isinstance(load, (int, float)) else ""


def _states(instances: Iterable[Part]) -> list[Part]:
    """Return how many instances are in each state, those that are well first."""
    counts = Counter(instance["state"] for instance in instances)
    order = [state for state in [*LEVELS, *sorted(set(counts) - set(LEVELS))] if counts[state]]
    before = accumulate((counts[state] for state in order), initial=0)
    return [
        {**state_of(state), "count": counts[state], "before": start}
        for state, start in zip(order, before, strict=False)
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
        **state_of(state),
        "reason": "" if state in ("running", "paused") else clean(row.get("state_reason"), 300),
        "kernel": clean(row.get("kernel"), 40),
        "owner": clean(row.get("owner"), 32),
        "memory": _memory(row),
        "load": _load(fact(row, "loadavg", "1m")),
        "started": when(row.get("started")),
        "disks": list(_page_disks.of_instance(row)),
        "networks": [_page_networks.attachment_of(attachment) for attachment in row.get("networks") or ()],
        "open": bool(row.get("world_writable")),
        "lacks": clean(row.get("facts_error"), 300),
    }


def _memory(row: Row) -> Part:
    """Return the memory of the guest, and the share in use where that is known."""
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
    return size(sum(instance["memory"]["bytes"] for instance in instances if instance["state"] in ALIVE))


# What went wrong.


def _trouble(vm_host: Part) -> Iterator[Part]:
    """Yield what needs attention, each with its place and a sentence."""
    name = vm_host["name"]
    if not vm_host["answers"]:
        said = "it does not answer" if vm_host["state"] == "unreachable" else "asking it failed"
        yield {"vm_host": name, "who": "", "key": "", **state_of(vm_host["state"]), "text": said}
    for instance in vm_host["instances"]:
        for level, state, text in _complaints(instance):
            named = {"vm_host": name, "who": instance["umid"], "key": instance["key"]}
            yield {**named, **state_of(state, {state: level}), "text": text}
    for file in (file for file in vm_host["files"] if file["danger"]):
        users = listing(sorted({user["umid"] for user in file["users"]}, key=natural), 4)
        text = f"{users} can write to the same file"
        yield {"vm_host": name, "who": file["name"], "key": "", **state_of("shared", {"shared": "bad"}), "text": text}


def _complaints(instance: Part) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with an instance: how bad, in a word, in a sentence."""
    if instance["state"] not in WELL:
        yield instance["level"], instance["state"], instance["reason"]
    if instance["open"]:
        yield "warn", "open", "every user of its VM host can control it"
    if instance["lacks"]:
        yield "warn", "silent", instance["lacks"]
    yield from (("warn", disk["name"], disk["note"]) for disk in instance["disks"] if disk["note"])
