# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation is complete and true: errors, commands, and the arguments of every example."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.uml.mconsole.plugins.module_utils._arguments import argument_spec
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import dangers, errors
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.commands import WORDS
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from support import documents, messages
from support.paths import CHECKOUT

LABEL = ".. _ansible_collections.uml.mconsole.docsite."
ERRORS = {name: each for name, each in vars(errors).items() if getattr(each, "__module__", "") == errors.__name__}
PLUGINS = sorted((CHECKOUT / "plugins").glob("[a-z]*/[a-z]*.py"))
DOCUMENTS = [documents.README, *documents.guides(), *sorted((CHECKOUT / "roles").glob("*/README.md"))]
TROUBLE = (documents.GUIDES / "guide_troubleshooting.rst").read_text()
MESSAGES = list(messages.messages(CHECKOUT / "plugins", set(ERRORS)))


def readable(templates: Iterable[str]) -> list[str]:
    """Return templates as a page can quote them."""
    return [messages.readable(template) for template in templates]


def test_every_class_of_error_is_explained() -> None:
    assert set(ERRORS) > {"InputError", "UnansweredError"}
    assert [name for name in ERRORS if f"``{name}``" not in TROUBLE] == []
    assert [error.kind for error in ERRORS.values() if f"\n{error.kind} " not in TROUBLE] == []


def test_every_quoted_message_exists() -> None:
    known = {message.template: message for message in MESSAGES}
    assert len(messages.quoted(TROUBLE)) > 80
    for text in messages.quoted(TROUBLE):
        assert any(message.fits(text) for message in known.values()), (
            f"no message fits {text!r} of the page; the source has {messages.nearest(text, readable(known))!r}"
        )


def test_every_message_is_explained_but_for_bad_input() -> None:
    quoted = messages.quoted(TROUBLE)
    found: dict[str, list[messages.Message]] = {}
    for message in MESSAGES:
        if message.error not in ("", "InputError") and message.is_specific:
            found.setdefault(message.where, []).append(message)
    assert len(found) > 70
    for where, variants in found.items():
        assert any(variant.fits(text) for variant in variants for text in quoted), (
            f"{where}: the page does not quote {messages.readable(variants[0].template)!r}; "
            f"it has {messages.nearest(variants[0].template, quoted)!r}"
        )


def test_every_danger_is_explained() -> None:
    assert [row.name for row in dangers.DANGERS if f"\n``{row.name}`` " not in TROUBLE] == []


def test_every_command_of_a_console_has_its_equivalent() -> None:
    guide = (documents.GUIDES / "guide_uml_mconsole.rst").read_text()
    listed = {row.split()[0].strip("`") for row in re.findall(r"^   \* - (``.*)", guide, re.MULTILINE)}
    assert set(WORDS) - listed == set()


def test_every_file_that_the_design_names_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", (CHECKOUT / "docs" / "design.md").read_text()))
    there = [str(path.relative_to(CHECKOUT)) for top in ("plugins", "tests") for path in (CHECKOUT / top).rglob("*.py")]
    assert len(named) > 10
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)] == []


def test_every_guide_is_listed_and_can_be_linked_to() -> None:
    sections = yaml.safe_load((documents.GUIDES.parent / "extra-docs.yml").read_text())["sections"]
    assert sorted(sections[0]["toctree"]) == [path.stem for path in documents.guides()]
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
