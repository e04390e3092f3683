# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the pages of the playbooks on the site from playbooks/documentation: python tests/support/playbook_pages.py"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES, PAGES = ROOT / "playbooks" / "documentation", ROOT / "docs" / "docsite" / "rst"
WIDTH = 120
LABEL = "ansible_collections.uml.mconsole.docsite.playbook_"


def page(name: str) -> str:
    """Return the page of a playbook."""
    source = yaml.safe_load((SOURCES / f"{name}.yml").read_text())
    title = f"Playbook uml.mconsole.{name}"
    lines = [
        f".. Written from playbooks/documentation/{name}.yml by tests/support/playbook_pages.py.",
        "",
        f".. _{LABEL}{name}:",
        "",
        title,
        "=" * len(title),
        "",
        *_paragraph(source["short_description"] + "."),
        *_bullets(source["description"]),
        "",
        *_heading("Options"),
        "Give an option with ``-e NAME=VALUE``, or as a variable of the inventory.",
        "",
        *[line for option, row in source["options"].items() for line in _option(option, row)],
        *[line for text in source.get("variables", ()) for line in _paragraph(text)],
        *_heading("Examples"),
        *[line for example in source["examples"] for line in _example(example)],
        *_heading("Output"),
        *_code("text", source["output"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _heading(text: str) -> list[str]:
    return [text, "-" * len(text), ""]


def _paragraph(text: str, indent: str = "") -> list[str]:
    return [*textwrap.wrap(_rst(text), WIDTH, initial_indent=indent, subsequent_indent=indent, **_WHOLE_WORDS), ""]


def _bullets(texts: Iterable[str]) -> list[str]:
    marks = {"initial_indent": "* ", "subsequent_indent": "  "}
    return [line for text in texts for line in textwrap.wrap(_rst(text), WIDTH, **marks, **_WHOLE_WORDS)]


def _option(name: str, row: dict[str, Any]) -> Iterator[str]:
    """Yield the entry of an option in a list of definitions."""
    kind = row["type"] + (f" of {row['elements']}" if "elements" in row else "")
    yield f"``{name}`` ({kind})"
    description = row["description"]
    for text in [description] if isinstance(description, str) else description:
        yield from _paragraph(text, "  ")
    if row.get("required"):
        yield from _paragraph("Required.", "  ")
    if "choices" in row:
        yield from _paragraph("Choices: " + ", ".join(f"V({choice})" for choice in row["choices"]), "  ")
    if "keys" in row:
        yield from _paragraph("Keys: " + ", ".join(f"V({key})" for key in row["keys"]), "  ")
    if row.get("default") not in (None, "", {}):
        yield from _paragraph(f"Default: ``{_value(row['default'])}``", "  ")


def _value(value: Any) -> str:
    return (
        value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=WIDTH).split("\n")[0]
    )


def _example(example: dict[str, str]) -> list[str]:
    return [*_paragraph(example["text"]), *_code(example.get("language", "shell"), example["code"])]


def _code(language: str, text: str) -> list[str]:
    return [f".. code-block:: {language}", "", *textwrap.indent(text.rstrip(), "   ").splitlines(), ""]


_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def _rst(text: str) -> str:
    """Return a text with Ansible's markup as that of Sphinx."""
    text = " ".join(text.split())
    text = re.sub(r"P\(uml\.mconsole\.(\w+)#playbook\)", rf":ref:`uml.mconsole.\1 <{LABEL}\1>`", text)
    text = re.sub(r"O\(uml\.mconsole\.\w+#playbook:(\w+)\)", r"``\1``", text)
    text = re.sub(r"O\(([\w.]+)#(module|role):([\w.\[\]]+)\)", _foreign_option, text)
    text = re.sub(r"M\(([\w.]+)\)", r":ansplugin:`\1#module`", text)
    text = re.sub(r"P\(([\w.]+#role)\)", r":ansplugin:`\1`", text)
    return re.sub(r"[OVC]\(([^)]+)\)", r"``\1``", text)


def _foreign_option(match: re.Match[str]) -> str:
    plugin, kind, option = match.groups()
    return f":ansopt:`{plugin}#{kind}:{'main:' if kind == 'role' else ''}{option}`"


def main() -> None:
    """Write all pages."""
    for path in SOURCES.glob("*.yml"):
        (PAGES / f"playbook_{path.stem}.rst").write_text(page(path.stem))


if __name__ == "__main__":
    main()
