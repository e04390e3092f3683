# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a fleet differs from its declaration, from what the modules answer in check mode; and reports of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import _junit, _table

Result = Mapping[str, Any]
_ENDED = ("stopped", "absent")
_GONE = {"absent": "missing", "stale": "crashed", "orphaned": "crashed"}
_OPTIONS = {"disk0": "root"}  # the option that a group of the command line belongs to


class Finding(NamedTuple):
    """One difference: its kind, the option or file it is about, what is declared, and what was found."""

    umid: str
    kind: str
    option: str = ""
    declared: str = ""
    found: str = ""


class Answers(NamedTuple):
    """The answers of ``instance`` and ``devices`` in check mode about one declared instance, and its row of
    ``instance_info``; an answer is empty where the module was not asked."""

    instance: Result
    devices: Result
    row: Mapping[str, Any]


def findings(umid: str, options: Mapping[str, Any], answers: Answers) -> list[Finding]:
    """Return how one instance differs from its declaration."""
    wanted, there = options.get("state", "running"), _state(answers)
    if there != wanted and not (wanted in _ENDED and there in _GONE):
        reason = str(answers.row.get("state_reason") or "")
        return [Finding(umid, _kind(wanted, there), "state", wanted, f"{there} ({reason})" if reason else there)]
    if answers.instance.get("failed"):
        return [Finding(umid, "failed", found=str(answers.instance.get("msg", "")))]
    if wanted in _ENDED:
        return []
    return [*_boot_line(umid, answers), *_devices(umid, answers.devices), *_of_row(umid, options, answers.row)]


def _state(answers: Answers) -> str:
    before = (answers.instance.get("diff") or {}).get("before") or {}
    return str(before.get("state") or answers.row.get("state") or "absent")


def _kind(wanted: str, there: str) -> str:
    return "not ended" if wanted in _ENDED else _GONE.get(there, there if there != wanted else "")


def _boot_line(umid: str, answers: Answers) -> Iterator[Finding]:
    """Yield the differences of the command line; a device that runs as declared is lost by a restart alone."""
    for group, sides in (answers.instance.get("differences") or {}).items():
        if group == "devices":
            if not answers.devices.get("changed") and not answers.devices.get("failed"):
                yield _lost_by_restart(umid, sides)
        else:
            option = _OPTIONS.get(group, group)
            yield Finding(umid, option, option, " ".join(sides["wanted"]), " ".join(sides["running"]))


def _lost_by_restart(umid: str, sides: Mapping[str, Sequence[str]]) -> Finding:
    only = [word for word in sides["wanted"] if word not in sides["running"]]
    other = [word for word in sides["running"] if word not in sides["wanted"]]
    return Finding(umid, "next restart", "devices", " ".join(only), " ".join(other))


def _devices(umid: str, result: Result) -> Iterator[Finding]:
    if result.get("failed"):
        yield Finding(umid, "devices", found=str(result.get("msg", "")))
    sides = result.get("diff") or {}
    for name, have in (sides.get("before") or {}).items():
        want = sides["after"].get(name)
        if want != have:
            yield Finding(umid, "devices", name, _shown(want), _shown(have))


def _shown(device: Mapping[str, Any]) -> str:
    return str(device.get("config") or device.get("file") or device.get("channel") or device.get("state"))


def _of_row(umid: str, options: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what only a look at the process and the guest shows."""
    declaration = row.get("declaration") or {}
    for name in declaration.get("runtime_only") or ():
        if name not in (options.get("devices") or {}):
            live = (declaration.get("options") or {}).get("devices") or {}
            yield Finding(umid, "next restart", name, "", f"{live.get(name, 'present')} (set while it runs)")
    for path in declaration.get("replaced") or ():
        yield Finding(umid, "replaced", path, "the file at this path", "the file that was there before")


def extra(rows: Sequence[Mapping[str, Any]], known: Sequence[tuple[str, str]]) -> list[Finding]:
    """Return the instances that run in the directories of the declared ones, and are not declared."""
    folders = {folder for folder, _umid in known}
    return [
        Finding(row["umid"], "extra", found=f"{row['state']} in {row['uml_dir']}")
        for row in rows
        if row["uml_dir"] in folders and (row["uml_dir"], row["umid"]) not in set(known) and row.get("pid")
    ]


# Reports. A row is a finding with its host.


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a table of all findings."""
    if not rows:
        return "\nNo drift.\n"
    names = ("host", "umid", "kind", "option", "declared", "found")
    headings = ("HOST", "INSTANCE", "DRIFT", "OPTION", "DECLARED", "FOUND")
    return "\n".join(["", *_table.aligned(headings, [[row[name] for name in names] for row in rows], 60), ""])


def junit(names: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, str]]) -> str:
    """Return a JUnit report: a test case for each instance, given as (host, umid), with a failure for each finding."""
    cases = dict.fromkeys([*names, *((row["host"], row["umid"]) for row in rows)])
    return _junit.text(_junit.suite("drift", [_case(host, umid, rows) for host, umid in cases]))


def _case(host: str, umid: str, rows: Sequence[Mapping[str, str]]) -> _junit.Case:
    found = [row for row in rows if (row["host"], row["umid"]) == (host, umid)]
    texts = [f"{row['kind']} {row['option']}: {row['declared']} -> {row['found']}" for row in found]
    return _junit.Case(host, umid, [_junit.Problem(row["kind"], text) for row, text in zip(found, texts, strict=True)])
