# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the journal and waiting for an event, as the modules do it, on a journal written here."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._journal import journal
from support.run_operation import BadArguments, operate
from support.wait import wait_until

STORY = [
    ("boot", "info", "web1", "/u/web1/mconsole"),
    ("message", "info", "web1", "ready"),
    ("boot", "info", "web2", "/u/web2/mconsole"),
    ("log", "error", "db1", "Out of memory: Killed process 17"),
    ("gap", "warning", None, "3 events could not be written"),
    ("panic", "critical", "web2", "Kernel panic - not syncing"),
]


def event(kind: str, severity: str, umid: str | None, data: str, at: float = 0.0) -> dict[str, Any]:
    """Return an event as the collector makes it."""
    here = {"umid": umid, "uml_dir": "/u" if umid else None, "pid": 7, "boot": 1}
    return {"time": at, "host": "vm1", **here, "type": kind, "severity": severity, "data": data}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[journal.Writer]:
    """Yield the writer of a journal that holds the story, one event each 100 seconds from 1000 on."""
    with contextlib.closing(journal.Writer(str(tmp_path / "journal"))) as writer:
        for number, words in enumerate(STORY):
            writer.append(event(*words, at=1000.0 + 100 * number))
        yield writer


@pytest.fixture
def folder(writer: journal.Writer, tmp_path: Path) -> str:
    """Return the directory of that journal."""
    return str(tmp_path / "journal")


def found(folder: str, **params: Any) -> list[int]:
    """Return the numbers of the events that event_info finds."""
    result = operate("event_info", journal_dir=folder, **params)
    assert "failed" not in result, result
    assert result["changed"] is False
    assert "commands" not in result
    return [each["seq"] for each in result["events"]]


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"umid": "web1"}, [1, 2, 5]),  # what was lost may have been about it
        ({"umids": ["web*"], "types": ["boot", "panic"]}, [1, 3, 6]),
        ({"umids": []}, [5]),
        ({"uml_dir": "/u"}, [1, 2, 3, 4, 5, 6]),
        ({"uml_dir": "/elsewhere"}, [5]),
        ({"severity": "error"}, [4, 5, 6]),
        ({"severity": "error", "types": ["gap"]}, []),
        ({"search": "(?i)killed|PANIC"}, [4, 5, 6]),
        ({"search": "^ready$", "types": ["message"]}, [2]),
        ({"since": "1300"}, [4, 5, 6]),
        ({"since": "1970-01-01T00:23:20Z"}, [5, 6]),
        ({"since": "1970-01-01 01:25:00+01:00"}, [6]),
        ({"since": "1970-01-01T00:25:00"}, [6]),
        ({"after": 4}, [5, 6]),
        ({"after": 6}, []),
        ({"limit": 2}, [5, 6]),
        ({"order": "oldest", "limit": 2}, [1, 2]),
        ({"limit": 1, "types": ["boot"]}, [3]),
    ],
)
def test_events_are_chosen(folder: str, params: dict[str, Any], numbers: list[int]) -> None:
    assert found(folder, **params) == (numbers if params.get("order") == "oldest" else numbers[::-1])


def test_the_oldest_can_be_read_in_parts(folder: str) -> None:
    """Each task goes on behind the last."""
    seen, position, more = [], 0, True
    while more:
        part = operate("event_info", journal_dir=folder, order="oldest", limit=4, after=position)
        position, more = part["position"], part["more"]
        seen += [each["seq"] for each in part["events"]]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_whether_somebody_collects_is_told(folder: str, writer: journal.Writer) -> None:
    """Silence has another meaning if no collector runs."""
    assert operate("event_info", journal_dir=folder)["collecting"] is True
    writer.close()
    result = operate("event_info", journal_dir=folder, limit=1)
    assert (result["collecting"], result["position"], result["more"]) == (False, 6, True)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"search": "("}, r"search is not a regular expression: '\('"),
        ({"since": "yesterday"}, "since is neither seconds since 1970 nor a time such as .*: 'yesterday'"),
        ({"limit": 0}, "limit is 0; expected 1 to 10000"),
        ({"order": "oldest", "limit": 10001}, "limit is 10001; expected 1 to 10000"),
        ({"after": -1}, "after must be a position, 0 or more, and is -1"),
    ],
)
def test_bad_input_is_named(folder: str, params: dict[str, Any], said: str) -> None:
    result = operate("event_info", journal_dir=folder, **params)
    assert result["failed"]
    assert re.search(said, result["msg"]), result["msg"]


def test_arguments_that_exclude_each_other() -> None:
    with pytest.raises(BadArguments, match="mutually exclusive"):
        operate("event_info", umid="web1", umids=["web2"])
    with pytest.raises(BadArguments, match="value of types must be one or more of"):
        operate("event_info", types=["panik"])


def test_waiting_ends_with_the_event(folder: str, writer: journal.Writer) -> None:
    """What was there before does not count; what fits comes while we wait."""
    threading.Timer(0.3, lambda: [writer.append(event(*each)) for each in STORY]).start()
    result = operate("event_wait", journal_dir=folder, umid="web2", types=["panic"], wait_timeout=20)
    assert (result["event"]["seq"], result["position"], result["changed"]) == (12, 12, False)


def test_the_past_counts_when_it_is_asked_for(folder: str) -> None:
    """Between two tasks nothing is missed."""
    assert operate("event_wait", journal_dir=folder, after=0, umid="web1", wait_timeout=0)["event"]["seq"] == 1
    assert operate("event_wait", journal_dir=folder, since="1100", types=["boot"], wait_timeout=0)["event"]["seq"] == 3


def test_waiting_in_vain_tells_what_came(folder: str, writer: journal.Writer) -> None:
    """The message names the last events, and says if no collector runs."""
    result = operate("event_wait", journal_dir=folder, after=4, umid="web1", wait_timeout=0)
    assert result["failed"]
    assert result["msg"] == (
        "no event of web1 within 0 s; the last that came: gap of the host: 3 events could not be written;"
        " panic of web2: Kernel panic - not syncing"
    )
    assert result["error"]["position"] == 6
    writer.close()
    silent = operate("event_wait", journal_dir=folder, wait_timeout=0)
    assert silent["msg"] == "no event within 0 s; no collector writes the journal; start it with the module collector"


def test_waiting_in_vain_tells_for_what(folder: str) -> None:
    """A play with many waits shows which one it was."""
    wanted = {"umids": ["web*", "db1"], "types": ["panic", "hang"], "severity": "error", "search": "x", "uml_dir": "/u"}
    result = operate("event_wait", journal_dir=folder, since="5000", wait_timeout=0.1, **wanted)
    assert result["msg"].startswith(
        "no event of type panic or hang of web* or db1 in /u of severity error or above that matches 'x' since 5000"
        " within 0.1 s; "
    )


def test_check_mode_does_not_wait(folder: str) -> None:
    """What would cause the event is not done in check mode either."""
    began = time.monotonic()
    result = operate("event_wait", True, journal_dir=folder, types=["panic"], wait_timeout=60)
    assert (result["event"], "failed" in result) == (None, False)
    assert time.monotonic() - began < 30
    assert operate("event_wait", True, journal_dir=folder, after=0, types=["panic"])["event"]["seq"] == 6


def test_a_journal_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    """The collector may start after the task."""
    folder = str(tmp_path / "later")
    results: list[dict[str, Any]] = []
    waiting = threading.Thread(
        target=lambda: results.append(operate("event_wait", journal_dir=folder, wait_timeout=20))
    )
    waiting.start()
    with contextlib.closing(journal.Writer(folder)) as writer:
        wait_until(lambda: writer.append(event(*STORY[0])) and results, 60, "the event")
    waiting.join()
    assert results[0]["event"]["umid"] == "web1"
