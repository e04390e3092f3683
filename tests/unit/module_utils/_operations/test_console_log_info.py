# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of console logs: bounded, once, in order, and only of files that are an instance's own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._guest import console_lines
from ansible_collections.uml.mconsole.plugins.module_utils._guest.console_lines import Mark
from ansible_collections.uml.mconsole.plugins.module_utils._operations import console_log_info
from support.run_operation import operate


def crashed(uml_dir: Path, umid: str, log: bytes | None) -> Path:
    """Leave what a crashed instance leaves, and return its log."""
    (uml_dir / umid).mkdir()
    (uml_dir / umid / "pid").write_text("4000001\n")
    path = uml_dir / f"{umid}.log"
    if log is not None:
        path.write_bytes(log)
    return path


def read(uml_dir: Path, **more: Any) -> dict[str, Any]:
    """Run the operation, which must not fail."""
    result = operate("console_log_info", uml_dir=str(uml_dir), **more)
    assert not result.get("failed"), result
    return result


def texts(result: dict[str, Any]) -> list[str]:
    """Return the lines alone."""
    return [line["text"] for line in result["lines"]]


def test_the_last_lines_or_the_first_ones(uml_dir: Path) -> None:
    crashed(uml_dir, "a", b"1\n2\n3\n4\nun")
    assert texts(read(uml_dir, limit=2)) == ["3", "4"]
    assert texts(read(uml_dir, limit=2, order="oldest")) == ["1", "2"]
    assert texts(read(uml_dir, search="[13]")) == ["1", "3"]
    assert [line["offset"] for line in read(uml_dir)["lines"]] == [0, 2, 4, 6]
    assert (read(uml_dir, limit=3)["more"], read(uml_dir, limit=4)["more"]) == (True, False)


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=8), st.integers(1, 5))
def test_from_mark_to_mark_each_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], limit: int
) -> None:
    uml_dir = tmp_path_factory.mktemp("u")
    crashed(uml_dir, "a", b"".join(line + b"\n" for line in lines))
    found: list[int] = []
    position: dict[str, str] = {}
    for _task in range(len(lines) + 2):
        result = read(uml_dir, order="oldest", after=position, limit=limit)
        position = result["position"]
        found += [line["offset"] for line in result["lines"]]
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    assert found == starts


def test_a_log_that_was_cut_or_replaced_is_read_from_its_beginning(uml_dir: Path) -> None:
    log = crashed(uml_dir, "a", b"one\ntwo\n")
    position = read(uml_dir)["position"]
    assert texts(read(uml_dir, after=position)) == []
    os.truncate(log, 4)
    assert texts(read(uml_dir, after=position)) == ["one"]
    (uml_dir / "other").write_bytes(b"a new log\nof another file\n")
    (uml_dir / "other").rename(log)
    assert texts(read(uml_dir, after=position)) == ["a new log", "of another file"]
    assert read(uml_dir, umids=["none*"], after=position)["position"] == position  # what was not read stays


def test_what_a_guest_prints_is_bounded_and_harmless(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashed(uml_dir, "a", b"\x1b[2Jred\xff\r\n" + b"x" * 9000 + b"\nlast\n")
    crashed(uml_dir, "b", b"y" * (3 * console_lines.PART))
    found = texts(read(uml_dir))
    assert found[0] == "red\ufffd"
    assert [len(text) for text in found[1:3]] == [1024, 4]
    skipped = {log["umid"]: (log["skipped"], log["more"]) for log in read(uml_dir)["logs"]}
    assert skipped == {"a": (0, False), "b": (2 * console_lines.PART, True)}
    position: dict[str, str] = {}
    for _task in range(3):  # a line without an end does not hold up the reader
        position = read(uml_dir, umids=["b"], order="oldest", after=position)["position"]
    assert position[f"{uml_dir}/b"].endswith(f":{3 * console_lines.PART}")
    monkeypatch.setattr(console_log_info, "MAX_TEXT", 10)
    bounded = read(uml_dir)
    assert {line["umid"] for line in bounded["lines"]} == {"a"}
    assert bounded["more"]
    assert f"{uml_dir}/b" not in bounded["position"]


def test_only_a_regular_file_with_one_name_is_read(uml_dir: Path) -> None:
    secret = uml_dir / "secret"
    secret.write_text("root's own\n")
    crashed(uml_dir, "a", None).symlink_to(secret)
    os.link(secret, crashed(uml_dir, "b", None))
    os.mkfifo(crashed(uml_dir, "c", None))
    crashed(uml_dir, "d", None)
    found = read(uml_dir)
    assert (found["lines"], found["position"]) == ([], {})
    for log in found["logs"]:
        assert log["reason"] == f"{uml_dir}/{log['umid']}.log is not a file that can be read"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"limit": 0}, "limit is 0; expected 1 to 10000"),
        ({"search": "["}, "search is not a regular expression"),
        ({"after": {"/u/a": "1:2"}}, "after['/u/a'] is not a mark; expected the position that an earlier"),
    ],
)
def test_bad_values_are_refused(uml_dir: Path, params: dict[str, Any], said: str) -> None:
    result = operate("console_log_info", uml_dir=str(uml_dir), **params)
    assert result["failed"]
    assert said in result["msg"]


def test_marks_read_back() -> None:
    mark = Mark(1, 2, 1 << 40)
    assert Mark.parse(str(mark)) == mark
    assert Mark.parse("1:2:-3") is None
    assert re.fullmatch(r"[0-9:]+", str(mark))
