# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Matrices of jobs: which host runs which, what counts as a failure, and reports that any XML parser reads."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.uml.mconsole.plugins.plugin_utils import _jobs

EVIL = "a\x00\x1b[31m]]><&\ud800\ufffe\u202e"


def row(**result: Any) -> dict[str, Any]:
    """Return the row of a job with such a result."""
    (job,) = _jobs.matrix(["k"], {"a": "true"}, {})
    item = job._asdict()
    return next(_jobs.rows("vm", [item], {"results": [{"item": item, "changed": True, **result}]}))


def test_each_command_runs_on_each_kernel_with_its_own_options() -> None:
    jobs = _jobs.matrix(["/k/1", "2"], {"a": "true", 7: {"command": "x", "memory": "1G"}}, {"memory": "128M"})
    assert [(job.kernel, job.name, job.options["memory"]) for job in jobs] == [
        ("/k/1", "a", "128M"),
        ("/k/1", "7", "1G"),
        ("2", "a", "128M"),
        ("2", "7", "1G"),
    ]
    assert [job.number for job in jobs] == [1, 2, 3, 4]


def test_each_job_collects_to_a_directory_of_its_own() -> None:
    options = {"collect": ["/r"], "collect_to": "/srv/to"}
    jobs = _jobs.matrix(["/a/linux", "/b/linux"], {"x y": "true"}, options)
    assert [job.options["collect_to"] for job in jobs] == ["/srv/to/1-linux-x-y", "/srv/to/2-linux-x-y"]


@pytest.mark.parametrize(
    ("kernels", "commands", "said"),
    [
        ([], {"a": "true"}, "must each have an entry"),
        (["k"], {}, "must each have an entry"),
        (["k"], {"a": {"memory": "1G"}}, "'a': missing required arguments: command"),
        (["k"], {"a": {"command": "x", "collect": ["/r"]}}, "'a': .*collect_to"),
        (["k"], {"a": {"command": "x", "time": 1}}, "'a': uml.mconsole.job has no option 'time'"),
    ],
)
def test_what_cannot_be_run_is_refused(kernels: list[str], commands: dict[str, Any], said: str) -> None:
    with pytest.raises(AnsibleActionFail, match=said):
        _jobs.matrix(kernels, commands, {})


def test_hosts_share_the_jobs_or_run_all() -> None:
    jobs = _jobs.matrix(["k"], dict.fromkeys("abcde", "true"), {})

    def named(is_spread: bool) -> dict[str, str]:
        shares = _jobs.shares(jobs, ["x", "y", "z"], is_spread)
        return {host: "".join(job.name for job in share) for host, share in shares.items()}

    assert named(True) == {"x": "ad", "y": "be", "z": "c"}
    assert named(False) == dict.fromkeys("xyz", "abcde")


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        ({"verdict": "ended", "rc": 0}, False),
        ({"verdict": "ended", "rc": 1}, True),
        ({"verdict": "panic", "rc": None}, True),
        ({"verdict": "ended", "rc": 0, "ktap": {"failed": 0, "tests": []}}, False),
        ({"verdict": "ended", "rc": 0, "ktap": {"failed": 1, "tests": []}}, True),
        ({"verdict": None}, False),
        ({"changed": False, "msg": "no kernel"}, True),
    ],
)
def test_what_is_a_failure(result: dict[str, Any], failed: bool) -> None:
    assert row(**result)["failed"] is failed


def test_a_job_that_did_not_run_is_in_the_reports() -> None:
    (job,) = _jobs.matrix(["k"], {"a": "true"}, {})
    (lost,) = _jobs.rows("vm", [job._asdict()], {"unreachable": True, "msg": "no route"})
    assert (lost["verdict"], lost["failed"]) == ("not_run", True)
    assert "a: no route" in _jobs.table([lost])
    assert ElementTree.fromstring(_jobs.junit([lost], True)).get("errors") == "1"


def test_a_report_of_evil_text_is_xml() -> None:
    tests = [{"name": EVIL, "result": result} for result in ("passed", "failed", "skipped")]
    found = row(verdict="ended", rc=3, stdout=EVIL, ktap={"passed": 1, "failed": 1, "skipped": 1, "tests": tests})
    root = ElementTree.fromstring(_jobs.junit([found], False))
    assert [(root.get(key)) for key in ("tests", "failures", "errors")] == ["4", "2", "0"]
    (suite,) = root
    assert (suite.get("skipped"), suite.get("hostname")) == ("1", "vm")
    assert suite[0].findtext("system-out") == "a??[31m]]><&??" + "?\n"
    assert "\x1b" not in _jobs.table([found])
