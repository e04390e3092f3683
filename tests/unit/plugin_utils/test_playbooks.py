# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks against their documentation: each option, keyword, variable and page; and what reports are made of."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fetched, _playbooks, _report
from support import playbook_pages
from support.paths import CHECKOUT

PLAYBOOKS = CHECKOUT / "playbooks"
NAMES = sorted(path.stem for path in (PLAYBOOKS / "documentation").glob("*.yml"))
OF_ROLES = re.compile(r"(instances|host|guest|monitor)_\w+")


def plays(name: str) -> list[dict[str, Any]]:
    """Return the plays of a playbook."""
    found: list[dict[str, Any]] = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())
    return found


def words(name: str) -> set[str]:
    """Return every word of a playbook that is not a comment."""
    text = re.sub(r"(^|\s)#.*$", "", (PLAYBOOKS / f"{name}.yml").read_text(), flags=re.MULTILINE)
    return set(re.findall(r"(?<![\w.])[a-z][a-z0-9_]*", text))


# Documentation


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_the_name_of_its_playbook(name: str) -> None:
    assert [option for option in _playbooks.options_of(name) if not option.startswith(f"{name}_")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_the_documentation_is_used_and_no_other(name: str) -> None:
    text = (PLAYBOOKS / f"{name}.yml").read_text()
    options = set(_playbooks.options_of(name))
    read = {f"{name}_{option}" for option in re.findall(rf"{name}__\w+\.options\.(\w+)", text)}
    read |= {f"{name}_{option}" for option in re.findall(rf"{name}__options\.(\w+)", text)}
    named = {word for word in words(name) if word.startswith(f"{name}_") and not word.startswith(f"{name}__")}
    groups = set(re.findall(r"(?:groups: |groups\.|hosts: |key: )(\w+)", text))
    assert read | (named - groups) | {f"{name}_target"} == options


@pytest.mark.parametrize("name", NAMES)
def test_no_variable_of_another_name_steers_a_playbook(name: str) -> None:
    """What is set within is called NAME__X; the rest are options, variables of roles, or Ansible's own."""
    templates = re.findall(r"\{\{.*?\}\}", (PLAYBOOKS / f"{name}.yml").read_text(), re.DOTALL)
    given = {word for text in templates for word in re.findall(r"(?<![\w.'|])(?<!\| )([a-z]\w+) \| default", text)}
    mine = re.compile(rf"{name}_\w+|ansible_\w+|uml_inventory_dir|item|groups")
    assert [word for word in sorted(given) if not mine.fullmatch(word) and not OF_ROLES.fullmatch(word)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_keyword_of_a_play_has_the_documented_default(name: str) -> None:
    for option, row in _playbooks.options_of(name).items():
        if "keyword" in row:
            found = [play[row["keyword"]] for play in plays(name) if row["keyword"] in play]
            assert found == [f"{{{{ {option} | default({row['default']}) }}}}"]


@pytest.mark.parametrize("name", NAMES)
def test_every_play_names_its_strategy(name: str) -> None:
    assert {play.get("strategy") for play in plays(name)} == {"ansible.builtin.linear"}


@pytest.mark.parametrize("name", NAMES)
def test_every_playbook_has_its_page(name: str) -> None:
    """Run `python tests/support/playbook_pages.py` after a change of playbooks/documentation."""
    page = CHECKOUT / "docs" / "docsite" / "rst" / f"playbook_{name}.rst"
    assert page.read_text() == playbook_pages.page(name)
    assert f"documentation/{name}.yml" in (PLAYBOOKS / f"{name}.yml").read_text()


def test_every_page_is_listed() -> None:
    sections = yaml.safe_load((CHECKOUT / "docs" / "docsite" / "extra-docs.yml").read_text())["sections"]
    assert [f"playbook_{name}" for name in NAMES] == next(
        section["toctree"] for section in sections if section["title"] == "Playbooks"
    )


# Options


def test_options_have_their_types_and_defaults() -> None:
    found = _playbooks.values("backup", {"backup_keep": "7", "backup_disks": "ubd0,ubd1"})
    assert (found["keep"], found["disks"], found["directory"]) == (7, ["ubd0", "ubd1"], "~/uml-backup")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"backup_keep": 0}, "backup_keep is 0; expected 1 or more"),
        ({"backup_keep": "all"}, "backup_keep"),
        ({"backup_backing": "none"}, "value of backup_backing must be one of: keep, copy"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AnsibleActionFail, match=complaint):
        _playbooks.values("backup", given)


@pytest.mark.parametrize(
    ("extra", "known", "errors", "warnings"),
    [
        (["backup_keep"], [], [], []),
        (["backup_kepe"], [], ["backup_kepe; did you mean backup_keep?"], []),
        (["backup_server", "backup__x", "other"], [], [], []),
        (["target"], [], ["target; did you mean backup_target?"], []),
        (["target"], ["backup_target"], [], []),
        (["keep"], [], [], ["keep is not an option of this playbook; did you mean backup_keep?"]),
    ],
)
def test_misspelt_options(extra: list[str], known: list[str], errors: list[str], warnings: list[str]) -> None:
    assert _playbooks.misspelt("backup", extra, known) == (errors, warnings)


def test_a_host_is_chosen_by_its_connection_and_its_variables() -> None:
    hosts = {"a": {"ansible_connection": "uml.mconsole.mconsole"}, "b": {"x": 1}, "c": {}}
    assert _playbooks.choose(list(hosts), hosts, "instances", []) == ["a"]
    assert _playbooks.choose(list(hosts), hosts, "all", ["x", "y"]) == ["b"]
    assert _playbooks.choose(list(hosts), hosts, "all", []) == ["a", "b", "c"]


# Backups


@pytest.fixture
def backups(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory with three backups, one of them unfinished, and a directory of another kind."""
    for name in ("20260101T000000", "20260102T000000", "20260103T000000"):
        (tmp_path / name).mkdir()
    for name in ("20260101T000000", "20260102T000000", "notes"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "backup.json").write_text("{}")
    return tmp_path


def test_the_oldest_whole_backups_are_removed(backups: Path) -> None:
    assert [path.name for path in _fetched.oldest(backups, 1)] == ["20260101T000000"]
    assert _fetched.oldest(backups, None) == []
    _fetched.remove(_fetched.oldest(backups, 1))
    assert sorted(path.name for path in backups.iterdir()) == ["20260102T000000", "20260103T000000", "notes"]


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 1 << 20])
def test_a_file_is_the_same_and_sparse(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    content = b"\0" * size + b"a" + b"\0" * size
    path.write_bytes(content)
    _fetched.make_sparse(path)
    assert path.read_bytes() == content
    assert path.stat().st_blocks * 512 <= 8192
    assert os.listdir(tmp_path) == ["x"]


def test_what_was_fetched_in_part_is_removed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), _fetched.whole_directory(tmp_path / "web1" / "now") as part:
        _fetched.make_sparse(part / "lost")
    assert list((tmp_path / "web1").iterdir()) == []


# Reports


def test_a_report_of_text_that_looks_like_json_is_that_text() -> None:
    answers = {
        "info": {"instances": [{"umid": "web1"}]},
        "facts": {"failed": True, "msg": "did not answer"},
        "sysrq": {"results": [{"item": "m", "text": "{'a': 1}"}, {"item": "w", "msg": "did not answer"}]},
        "stack": {"msg": "did not answer"},
        "proc": {"contents": {"stat": {"text": '{"b": 2}'}, "x": {"error": "no such file"}}},
        "console": {"stdout": '["c"]\x1b[31m\r\nend'},
    }
    found = _report.files(answers, 1000)
    assert json.loads(found["instance.json"]) == [{"umid": "web1"}]
    assert json.loads(found["facts.json"]) == answers["facts"]
    assert found["sysrq.txt"] == "=== sysrq m\n{'a': 1}\n=== sysrq w\ndid not answer\n\n"
    assert found["stack.txt"] == "did not answer\n"
    assert found["proc.txt"] == '=== stat\n{"b": 2}\n=== x\nno such file\n\n'
    assert found["console.txt"] == '["c"]?[31m\nend\n'


def test_a_report_is_bounded_and_made_of_anything() -> None:
    assert all(len(text.encode()) <= 11 for text in _report.files({"console": {"stdout": "ä" * 1000}}, 10).values())
    assert set(_report.files({"info": None, "sysrq": "x"}, 10)) == set(_report.files({}, 10))
