# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text for users avoids the phrases that docs/style.md warns about."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.paths import CHECKOUT

BANNED = {
    r"(?<![Tt]here )\b(is|are|was|were) no (?!longer|more\b)": "write 'is not a'",
    r"\b(is|are|was|were) none\b": "write 'there is no' or 'not a'",
    r"\b([Nn]obody|[Ss]omebody|[Ww]hoever|[Ww]hatever|[Ww]hichever)\b": "name the person or the thing",
    r"\b(tells?|told|telling)\b": "write 'say', 'show', 'return' or 'record'",
    r"^(?:Tell|Lend|Be (?:the|a)) ": "write 'Return whether', 'Yield' or 'Run'",
    r"\banew\b": "write 'again'",
    r"\bwish(es|ed)?\b": "write 'requested' or 'wanted'",
    r"\bshall\b": "write 'must', 'will' or 'should'",
    r", too([.,;:)]|$)": "write 'also'",
    r"\bof (its|their|his|her|our|your) own\b": "write 'its own X' or 'a separate X'",
    r", since\b|, for (it|he|she|they|there|that|this|we|you)\b": "write 'because'",
    r"[;,:] say (`|force|resume|shared|raw|overwrite|read_only|which|uml_dir|for)": "write 'set option=value'",
    r"(?:^|[.;:] )(What|Who) (?!to\b)(?:[^\s.?:]+ ){4,}[^.?:]*\.": "a clause is not a subject; name the subject",
    r"\b(foretell|foretold|besides,|thereof|therein|whereupon|hitherto|for ever)\b": "use the usual word",
    r"\b(looks? after|finds? out|to be had|to be seen|is to be|are to be)\b": "use the active voice and the usual word",
    r"\bgo(es)? on to be\b|\bas ever\b|\bnow and then\b|\bat the most\b|\bwithout an end\b": "use the usual phrase",
}
Area = Callable[[], Iterator[tuple[str, str]]]


def sentences(text: str) -> str:
    """Return prose on one line, without code."""
    text = re.sub(r"(?ms)^(```|~~~).*?^\1", "", text)
    return " ".join(re.sub(r"``[^`]+``|`[^`]+`|:\w+:`[^`]*`|<[^>]+>", "CODE", text).split())


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs, list items and table cells of Markdown or reStructuredText, without code blocks."""
    text = re.sub(r"(?ms)^```.*?^```$|<!-- measured.*?<!-- end -->", "", text)
    text = re.sub(r"(?m)^\.\. (code-block|raw|not run|_).*\n(?:(?:[ \t]+.*)?\n)*", "\n", text)
    for part in re.split(r"\n\s*\n|\n\s*(?:\*|-|\d+\.) |\|", text):
        yield sentences(part)


def pages(pattern: str) -> Area:
    """Return the area of the pages that a pattern finds."""

    def area() -> Iterator[tuple[str, str]]:
        for path in sorted(CHECKOUT.glob(pattern)):
            if path.name != "style.md":  # quotes what it warns about
                yield from ((path.name, part) for part in paragraphs(path.read_text()))

    return area


def texts(value: Any) -> Iterator[str]:
    """Yield the descriptions and notes in a plugin's documentation."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in ("default", "choices", "sample"):
                yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield sentences(re.sub(r"\b[A-Z]+\((?:[^()]|\([^()]*\))*\)", "CODE", value))


def documentation(*patterns: str) -> Area:
    """Return the area of the documentation blocks of plugins."""

    def area() -> Iterator[tuple[str, str]]:
        for path in sorted(path for pattern in patterns for path in CHECKOUT.glob(pattern)):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").isupper():
                    value = node.value.value if isinstance(node.value, ast.Constant) else None
                    name = getattr(node.targets[0], "id", "")
                    if isinstance(value, str) and (name in ("DOCUMENTATION", "RETURN") or "fragments" in str(path)):
                        yield from ((path.name, part) for part in texts(yaml.safe_load(value)))

    return area


def specs() -> Iterator[tuple[str, str]]:
    """Yield the descriptions of the options of roles."""
    for path in sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml")):
        yield from ((path.parts[-3], part) for part in texts(yaml.safe_load(path.read_text())))


def strings(path: Path) -> Iterator[ast.Constant]:
    """Yield the text constants of a file, without docstrings and documentation."""
    tree = ast.parse(path.read_text())
    apart = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").isupper())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node


def messages() -> Iterator[tuple[str, str]]:
    """Yield the texts of plugins that a user can see."""
    for path in sorted((CHECKOUT / "plugins").rglob("*.py")):
        for node in strings(path):
            if " " in node.value.strip():
                yield f"{path.name}:{node.lineno}", node.value


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the docstrings of plugins."""
    for path in sorted((CHECKOUT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path.name, sentences(ast.get_docstring(node) or "")


AREAS: dict[str, Area] = {
    "root pages": pages("*.md"),
    "guides": pages("docs/docsite/rst/*.rst"),
    "docs": pages("docs/*.md"),
    "plugins": documentation("plugins/[cil]*/*.py", "extensions/eda/plugins/event_source/*.py"),
    "modules": documentation("plugins/modules/*.py", "plugins/doc_fragments/*.py"),
    "roles": pages("roles/*/README.md"),
    "role options": specs,
    "messages": messages,
    "docstrings": docstrings,
}


def found(area: str) -> list[str]:
    """Return each banned phrase of an area, with its place and the remedy."""
    return [
        f"{where}: ...{text[max(0, match.start() - 30) : match.end() + 30]}...: {remedy}"
        for where, text in AREAS[area]()
        for pattern, remedy in BANNED.items()
        for match in [re.search(pattern, text, re.MULTILINE)]
        if match
    ]


@pytest.mark.parametrize("area", sorted(AREAS))
def test_no_phrase_is_banned(area: str) -> None:
    assert found(area) == []


@pytest.mark.parametrize("area", sorted(AREAS))
def test_every_area_has_text(area: str) -> None:
    assert sum(len(text.split()) for _where, text in AREAS[area]()) > 300


@pytest.mark.parametrize(
    "text",
    [
        "'hda' is no device",
        "nobody listens there",
        "it tells the state",
        "Tell whether it runs.",
        "Be the collector.",
        "the instance is started anew",
        "it is as wished",
        "what it shall be",
        "refused, too",
        "a user of its own",
        "refused, since it is paused",
        "use it; say force",
        "It fails. What is mounted then is an error.",
    ],
)
def test_a_banned_phrase_is_found(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in BANNED)


@pytest.mark.parametrize(
    "text",
    [
        "there is no initrd",
        "it is no longer there",
        "a process that has been idle since noon",
        "What to do first.",
        "Does it run? What state is it in?",
    ],
)
def test_plain_english_is_not_banned(text: str) -> None:
    assert not any(re.search(pattern, text) for pattern in BANNED)
