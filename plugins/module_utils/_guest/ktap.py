# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Results of tests in KTAP or TAP, as kselftest and KUnit print them (linux Documentation/dev-tools/ktap.rst)."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional

_VERSION = re.compile(r"^\s*(?:#\s*)?K?TAP version [0-9]+\s*$", re.MULTILINE)
# Before a result may stand the kernel's time and the sign of a comment, one for each level of tests in tests.
_RESULT = re.compile(
    r"^(?P<indent>(?:\[ *[0-9.]+\] )?[ #]*)(?P<not>not )?ok (?P<number>[0-9]+)(?: -| )? ?(?P<name>[^#\n]*)"
    r"(?:# ?(?P<directive>SKIP|TODO|XFAIL)\b[^\n]*)?",
    re.MULTILINE | re.IGNORECASE,
)
Report = Dict[str, Any]


def parse(text: str) -> Optional[Report]:
    """Return the results of the tests in a text, those of the innermost level counted; None when it has none."""
    if not _VERSION.search(text):
        return None
    tests: List[Report] = [_test(match) for match in _RESULT.finditer(text)]
    leaves = [test for number, test in enumerate(tests) if not _is_parent(tests, number)]
    counts = {verdict: sum(test["result"] == verdict for test in leaves) for verdict in ("passed", "failed", "skipped")}
    for test in tests:
        del test["depth"]
    return {**counts, "tests": leaves}


def _test(match: re.Match[str]) -> Report:
    directive = (match.group("directive") or "").upper()
    failed = "failed" if match.group("not") and directive not in ("TODO", "XFAIL") else "passed"
    return {
        "name": match.group("name").strip() or match.group("number"),
        "result": "skipped" if directive == "SKIP" else failed,
        "depth": len(re.sub(r"\[.*?\] ", "", match.group("indent"))),
    }


def _is_parent(tests: List[Report], number: int) -> bool:
    """Return whether a result sums up those before it, which are deeper."""
    return number > 0 and tests[number - 1]["depth"] > tests[number]["depth"]
