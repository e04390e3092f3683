# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports in the form that JUnit made common and every CI server reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from . import _report, _table

_OUTPUT = 64 << 10  # bytes of the output of one test case
_ILLEGAL = re.compile("[\ud800-\udfff\ufffe\uffff]")  # what XML has no place for, beyond the control characters


class Problem(NamedTuple):
    """What is wrong with a test case: its kind, and a sentence."""

    kind: str
    message: str


class Case(NamedTuple):
    """One test case. An error is a test that could not be carried out, a failure one with another result."""

    classname: str
    name: str
    failures: Sequence[Problem] = ()
    errors: Sequence[Problem] = ()
    is_skipped: bool = False
    seconds: float | None = None
    output: str = ""


def suite(name: str, cases: Sequence[Case], **attributes: str) -> ElementTree.Element:
    """Return a suite of test cases, which counts those that failed."""
    counts = {
        "tests": len(cases),
        "failures": sum(bool(case.failures) for case in cases),
        "errors": sum(bool(case.errors) for case in cases),
        "skipped": sum(case.is_skipped for case in cases),
    }
    words = {"name": _plain(name), **{key: str(value) for key, value in counts.items()}}
    found = ElementTree.Element("testsuite", {**words, **attributes})
    for case in cases:
        _add(found, case)
    return found


def suites(found: Sequence[ElementTree.Element]) -> ElementTree.Element:
    """Return a report of several suites."""
    counts = {key: str(sum(int(row.get(key, 0)) for row in found)) for key in ("tests", "failures", "errors")}
    root = ElementTree.Element("testsuites", counts)
    root.extend(found)
    return root


def text(root: ElementTree.Element) -> str:
    """Return the text of a report."""
    return ElementTree.tostring(root, encoding="unicode")


def _add(parent: ElementTree.Element, case: Case) -> None:
    words = {"classname": _plain(case.classname), "name": _plain(case.name)}
    if case.seconds is not None:
        words["time"] = f"{case.seconds:.3f}"
    found = ElementTree.SubElement(parent, "testcase", words)
    for tag, problems in (("failure", case.failures), ("error", case.errors)):
        for problem in problems:
            ElementTree.SubElement(found, tag, type=problem.kind, message=_plain(problem.message))
    if case.is_skipped:
        ElementTree.SubElement(found, "skipped")
    if case.output:
        ElementTree.SubElement(found, "system-out").text = _ILLEGAL.sub("?", _report.bounded(case.output, _OUTPUT))


def _plain(value: str) -> str:
    return _ILLEGAL.sub("?", _table.plain(value))
