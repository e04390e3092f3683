# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets of any size, as instance_info and event_info return them, for tests of pages and tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import Answer

Row = dict[str, Any]
START = 1767225600
IMAGES = ("golden", "big")
WORDS = ("web", "db", "cache", "mail")
PANIC = "Kernel panic - not syncing: sysrq triggered crash\nCPU: 0 PID: 1 Comm: sh Not tainted 6.1.176"


def row(umid: str, number: int = 0, **more: Any) -> Row:
    """Return an instance that runs, with its own disk above a shared one and a tap in a bridge."""
    kind = number % len(WORDS)
    found: Row = {
        "umid": umid,
        "uml_dir": "/home/lab/.uml",
        "state": "running",
        "state_reason": "",
        "pid": 4000 + number,
        "owner": "lab",
        "kernel": "6.1.176",
        "arguments": [f"umid={umid}", "mem=96M", f"ubd0={umid}.cow,/images/{IMAGES[number % 4 == 1]}.img"],
        "cwd": "/home/lab",
        "started": START + number * 60,
        "world_writable": False,
        "networks": [network(f"tap{number}", bridge=f"br{kind % 2}")] if kind < 3 else [],
        "facts": facts(umid, number),
    }
    return {**found, **more}


def facts(umid: str, number: int = 0, **disks: Row) -> Row:
    """Return the facts of an instance."""
    cow = {"file": f"/home/lab/{umid}.cow", "backing_file": f"/images/{IMAGES[number % 4 == 1]}.img"}
    used = 20 + number * 7 % 50
    return {
        "hostname": umid,
        "memtotal_mb": 90,
        "memory_mb": {"nocache": {"free": 90 - used, "used": used}},
        "loadavg": {"1m": number % 7 / 10, "5m": 0.1, "15m": 0.1},
        "uml": {"disks": disks or {"ubd0": {**cow, "size": 512 << 20, "listed": True}}},
    }


def network(name: str, interface: str = "vec0", transport: str = "tap", **more: Any) -> Row:
    """Return an attachment."""
    return {"interface": interface, "transport": transport, "network": name, "bridge": None, "open": True, **more}


def event(seq: int, kind: str, severity: str, data: str, umid: str | None = None, **more: Any) -> Row:
    """Return an event."""
    told = {"seq": seq, "time": START + seq * 37.5, "host": "vm", "umid": umid, "type": kind}
    return {**told, "severity": severity, "data": data, **more}


def vm_host(name: str, rows: list[Row], events: list[Row] | None = None, collecting: bool = True) -> Answer:
    """Return what a VM host answers."""
    machine = {"name": name, "cpus": 8, "memory": 16 << 30, "memory_available": 9 << 30, "loadavg": {"15m": 1.25}}
    told = {"events": events or [], "collecting": collecting, "more": False}
    return Answer(name, name, (name, "22"), "", {"instances": rows, "vm_host": machine}, told)


def silent(name: str, why: str = "Failed to connect to the host via ssh: Connection timed out") -> Answer:
    """Return what is known of a VM host that does not answer."""
    return Answer(name, name, (name, "22"), "", {"unreachable": True, "msg": why}, {})


def fleet(instances: int, vm_hosts: int = 3) -> list[Answer]:
    """Return a fleet in which most is well, and one of each that is not; the last of many VM hosts is silent."""
    answering = max(vm_hosts - 1, 1)
    rows: list[list[Row]] = [[] for _vm_host in range(answering)]
    for number in range(instances):
        made = row(f"{WORDS[number % len(WORDS)]}{number // len(WORDS) + 1}", number)
        rows[number * answering // instances].append(made)
    if instances > 8:
        spoil(rows)
    answers = [vm_host(f"vm{number + 1}.example.org", each, _events(each)) for number, each in enumerate(rows)]
    return answers + [silent(f"vm{vm_hosts}.example.org")] * (vm_hosts > 1)


def spoil(rows: list[list[Row]]) -> None:
    """Let something be wrong with some."""
    first, last = rows[0], rows[-1]
    first[1] |= {"state": "paused", "facts": None}
    first[2] |= {"state": "hung", "state_reason": "its process is stopped", "facts": None}
    last[0] |= {"state": "booting", "facts": None, "kernel": None}
    last[1] |= {"state": "stale", "state_reason": "its process 4711 is gone", "facts": None, "kernel": None}
    last[1] |= {"networks": [], "started": None, "pid": None, "arguments": []}
    last[2]["world_writable"] = True


HOSTILE = (
    "<script>fetch('//evil.example/')</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "]]></desc></svg><iframe src=//evil.example>",
    "{{ lookup('pipe', 'touch /tmp/owned') }}{% raw %}{#",
    "javascript:alert(1)//&amp;&lt;",
    "\x1b[31mred\x1b]0;title\x07\x00\x9b2J",
    "\u202eexe.gpj\u2066\u200b\ufeff\U000e0041",
    "a" * 3000,
    "Z" + "\u0301" * 500,
    "\ud800 lone",
    "<!-- --> <!DOCTYPE html><base href=//evil.example>",
    "line\nline\r\n\u2028line",
)


def spoken(value: Any, texts: Iterator[str]) -> Any:
    """Return an answer in which every text that a guest or its user can choose is one of ``texts``."""
    if isinstance(value, dict):
        return {key: each if key in ("severity", "transport") else spoken(each, texts) for key, each in value.items()}
    if isinstance(value, list):
        return [spoken(each, texts) for each in value]
    return next(texts) if isinstance(value, str) else value


def hostile(instances: int = 20) -> list[Answer]:
    """Return a fleet in which everything that has a name has a hostile one."""
    texts = itertools.cycle(HOSTILE)
    answers = fleet(instances)
    for answer in answers:
        for row in answer.seen.get("instances", ()):
            row["facts"] = row["facts"] and {**row["facts"], "uml": facts("x", **_hostile_disks(texts))["uml"]}
    return [
        Answer(next(texts), next(texts), each.place, "", spoken(each.seen, texts), spoken(each.events, texts))
        for each in answers
    ]


def _hostile_disks(texts: Iterator[str]) -> dict[str, Row]:
    return {next(texts): {"file": next(texts), "backing_file": HOSTILE[0], "size": 1 << 20, "ghost": True}}


def _events(rows: list[Row]) -> list[Row]:
    umid = rows[0]["umid"] if rows else None
    return [
        event(1, "collector_started", "info", "journal /home/lab/.local/state/uml-mconsole"),
        event(2, "boot", "info", "Linux version 6.1.176", umid),
        event(3, "message", "info", "backup of /srv done in 12 s", umid),
        event(4, "log", "warning", "EXT4-fs (ubda): warning: mounting unchecked fs, e2fsck is recommended", umid),
        event(5, "panic", "critical", PANIC, umid),
    ]
