# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written for users is whole and true: errors, commands, and the arguments of every example."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.uml.mconsole.plugins.module_utils._arguments import argument_spec
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import dangers, errors
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.commands import WORDS
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from support import documents
from support.paths import CHECKOUT

LABEL = ".. _ansible_collections.uml.mconsole.docsite."
ERRORS = {name: each for name, each in vars(errors).items() if getattr(each, "__module__", "") == errors.__name__}
PLUGINS = sorted((CHECKOUT / "plugins").glob("[a-z]*/[a-z]*.py"))
DOCUMENTS = [documents.README, *documents.guides(), *sorted((CHECKOUT / "roles").glob("*/README.md"))]
TROUBLE = " ".join((documents.GUIDES / "guide_troubleshooting.rst").read_text().split())
SHORTEST = 12  # characters of a message by which it can be found


def messages() -> Iterator[tuple[str, str]]:
    """Yield the longest fixed text of each message that an error of the tree is raised with, and where it is."""
    for path in sorted((CHECKOUT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS and node.args:
                texts = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                fixed = max((" ".join(text.split()) for text in texts if isinstance(text, str)), key=len, default="")
                if len(fixed) >= SHORTEST:
                    yield f"{path.name}:{node.lineno}", fixed


def test_every_error_is_told_of() -> None:
    assert set(ERRORS) > {"InputError", "UnansweredError"}
    assert [name for name in ERRORS if f"``{name}``" not in TROUBLE] == []
    assert [error.kind for error in ERRORS.values() if f" {error.kind} " not in TROUBLE] == []


def test_every_message_is_explained() -> None:
    found = list(messages())
    assert len(found) > 150
    assert [(where, text) for where, text in found if text not in TROUBLE] == []


def test_every_danger_is_told_of() -> None:
    assert [row.name for row in dangers.DANGERS if f"``{row.name}``" not in TROUBLE] == []


def test_every_command_of_a_console_has_its_equivalent() -> None:
    guide = (documents.GUIDES / "guide_uml_mconsole.rst").read_text()
    told = {row.split()[0].strip("`") for row in re.findall(r"^   \* - (``.*)", guide, re.MULTILINE)}
    assert set(WORDS) - told == set()


def test_every_guide_is_listed_and_can_be_linked_to() -> None:
    (section,) = yaml.safe_load((documents.GUIDES.parent / "extra-docs.yml").read_text())["sections"]
    assert sorted(section["toctree"]) == [path.stem for path in documents.guides()]
    for path in documents.guides():
        assert f"{LABEL}{path.stem}:" in path.read_text()


# Examples


def examples(path: Path) -> Any:
    """Return the examples of a plugin, as YAML."""
    return list(yaml.safe_load_all(documents.examples(path)))


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every task in plays, blocks and lists of them."""
    if isinstance(value, list):
        for each in value:
            yield from tasks(each)
    elif isinstance(value, dict):
        for key in ("tasks", "block", "rescue", "always", "pre_tasks", "post_tasks", "handlers"):
            yield from tasks(value.get(key))
        if any(str(key).startswith("uml.mconsole.") for key in value):
            yield value


def complaints(task: dict[str, Any]) -> list[str]:
    """Return what is wrong with the arguments of a task of ours; a template may become anything."""
    (module,) = [key.removeprefix("uml.mconsole.") for key in task if str(key).startswith("uml.mconsole.")]
    given = task[f"uml.mconsole.{module}"] or {}
    if module not in registry.NAMES:
        return [] if module == "events" else [f"there is no module {module}"]
    spec = argument_spec(registry.load(module))
    arguments = spec.pop("argument_spec")
    templates = {key for key, value in given.items() if isinstance(value, str) and "{{" in value}
    arguments = {key: {"type": "raw"} if key in templates else value for key, value in arguments.items()}
    return list(ArgumentSpecValidator(arguments, **spec).validate(given).error_messages)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_examples_of_a_plugin_are_valid(path: Path) -> None:
    if path.parent.name not in ("modules", "inventory", "lookup"):
        return
    found = examples(path)
    assert found
    if path.parent.name == "modules":
        assert f"uml.mconsole.{path.stem}:" in path.read_text()
    for task in tasks(found):
        assert complaints(task) == [], task


def role_options(role: str) -> set[str]:
    """Return the variables that a role of ours takes."""
    specs = yaml.safe_load((CHECKOUT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    return set(specs["argument_specs"]["main"]["options"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem if path.stem != "README" else path.parent.name)
def test_the_examples_of_a_document_are_valid(path: Path) -> None:
    for block in documents.blocks(path):
        if block.language not in ("yaml", "yaml+jinja"):
            continue
        value = yaml.safe_load(block.text)
        for task in tasks(value):
            assert complaints(task) == [], block
        for play in value if isinstance(value, list) else []:
            for role in play.get("roles", []):
                name = role["role"].removeprefix("uml.mconsole.")
                assert set(role.get("vars", {})) - role_options(name) == set(), block


@pytest.mark.parametrize(
    ("expected", "output", "missing"),
    [
        ("a\nb", "a\nx\nb", ""),
        ("b\na", "a\nb", "a"),
        ("a ... c", "a b  c", ""),
        ("a b", "a   b", ""),
        ("a\n...\nb", "a\nb", ""),
        ("a", "ab", "a"),
        ("h | x\nhb\ng | x\ngb", "g | x\ngb\nh | x\nhb", ""),
        ("h | x\nhb", "hb\nh | x", "hb"),
    ],
)
def test_what_is_shown_is_compared_with_what_is_printed(expected: str, output: str, missing: str) -> None:
    assert documents.said(expected, output) == missing
