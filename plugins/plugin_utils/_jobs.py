# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A matrix of jobs: kernels by commands, which VM host runs which, what came of them, and reports of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail, AnsibleError

from . import _junit, _parameters, _table

Row = Mapping[str, Any]
NOT_RUN = "not_run"
_RESULT = ("verdict", "rc", "duration", "boot_time", "stdout", "stderr", "console", "files", "ktap")


class Job(NamedTuple):
    """One job: its number in the matrix, its kernel, the name of its command, and the options of the module."""

    number: int
    kernel: str
    name: str
    options: Mapping[str, Any]


def matrix(kernels: Sequence[str], commands: Mapping[str, Any], options: Mapping[str, Any]) -> list[Job]:
    """Return a job for each command on each kernel, all of whose options the module takes.

    :raises AnsibleActionFail: when there are no jobs, or an option does not fit
    """
    if not kernels or not commands:
        raise AnsibleActionFail("jobs_kernels and jobs_commands must each have an entry; nothing was done")
    rows = [(kernel, str(name), given) for kernel in kernels for name, given in commands.items()]
    return [_job(number, *row, options) for number, row in enumerate(rows, 1)]


def _job(number: int, kernel: str, name: str, given: Any, options: Mapping[str, Any]) -> Job:
    words = {**options, **(given if isinstance(given, Mapping) else {"command": given}), "kernel": kernel}
    try:
        _parameters.validate("job", words, _parameters.TIMEOUT)
    except AnsibleError as err:
        raise AnsibleActionFail(f"jobs_commands, {name!r}: {err}; nothing was done") from None
    if words.get("collect_to"):
        folder = re.sub(r"[^\w.-]+", "-", f"{number}-{os.path.basename(kernel)}-{name}")
        words["collect_to"] = os.path.join(words["collect_to"], folder)
    return Job(number, kernel, name, words)


def shares(jobs: Sequence[Job], hosts: Sequence[str], is_spread: bool) -> dict[str, list[Job]]:
    """Return the jobs of each host: its part of them, or all of them."""
    step = len(hosts) if is_spread else 1
    return {host: list(jobs[index * is_spread :: step]) for index, host in enumerate(hosts)}


def rows(host: str, share: Sequence[Row], answer: Row) -> Iterator[dict[str, Any]]:
    """Yield a row for each job of a host, also for those that did not run."""
    found = {result["item"]["number"]: result for result in answer.get("results") or () if "item" in result}
    for job in share:
        result = found.get(job["number"], answer)
        row = {"host": host, **{key: job[key] for key in ("number", "kernel", "name")}}
        row.update({key: result.get(key) for key in _RESULT}, message=str(result.get("msg") or ""))
        if row["verdict"] is None and not result.get("changed"):
            row.update(verdict=NOT_RUN, message=row["message"] or "it did not run")
        yield {**row, "failed": _has_failed(row)}


def _has_failed(row: Row) -> bool:
    """Return whether a job has failed, as a whole or in one of its tests; one of a check run has not."""
    if row["verdict"] is None:
        return False
    return row["verdict"] != "ended" or row["rc"] != 0 or bool((row["ktap"] or {}).get("failed"))


def table(found: Sequence[Row]) -> str:
    """Return a table of all jobs, with a line below it for each that did not run."""
    headings = ("HOST", "KERNEL", "JOB", "VERDICT", "STATUS", "SECONDS", "TESTS")
    lines = _table.aligned(headings, [_cells(row) for row in found], 60)
    notes = [_table.plain(f"{row['name']}: {row['message']}") for row in found if row["verdict"] == NOT_RUN]
    return "\n".join(["", *lines, *([""] if notes else []), *notes, ""])


def _cells(row: Row) -> list[Any]:
    tests = row["ktap"] or {}
    counts = ", ".join(f"{tests[kind]} {kind}" for kind in ("passed", "failed", "skipped") if tests.get(kind))
    verdict = row["verdict"] or "checked"
    return [row["host"], row["kernel"], row["name"], verdict, row["rc"], row["duration"], counts]


def junit(found: Sequence[Row], is_spread: bool) -> str:
    """Return a report with a suite for each job, of a test case for the job and one for each test in its output."""
    return _junit.text(_junit.suites([_suite(row, is_spread) for row in found]))


def _suite(row: Row, is_spread: bool) -> Any:
    where = row["kernel"] if is_spread else f"{row['host']} {row['kernel']}"
    tests = [_test(f"{where} {row['name']}", test) for test in (row["ktap"] or {}).get("tests", ())]
    return _junit.suite(f"{where} {row['name']}", [_whole(where, row), *tests], hostname=_table.plain(row["host"]))


def _whole(where: str, row: Row) -> _junit.Case:
    """Return the test case of a job as a whole; tests that failed have their own."""
    failures, errors = [], []
    if row["verdict"] not in (None, "ended"):
        errors = [_junit.Problem(row["verdict"], row["message"])]
    elif row["verdict"] and row["rc"] != 0:
        failures = [_junit.Problem("status", f"the command ended with status {row['rc']}")]
    parts = [row["stdout"] or "", row["stderr"] or "", *(row["console"] or () if errors else ())]
    skipped = row["verdict"] is None
    return _junit.Case(where, row["name"], failures, errors, skipped, row["duration"], "\n".join(filter(None, parts)))


def _test(where: str, test: Row) -> _junit.Case:
    failures = [_junit.Problem("not ok", "the test printed: not ok")] if test["result"] == "failed" else []
    return _junit.Case(where, test["name"], failures, is_skipped=test["result"] == "skipped")
