# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table in support/layers.py holds: imports go down only, and what runs on a VM host is plain Python 3.8."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.layers import HIGHEST_ON_VM_HOST, LAYERS, layer_of, table
from support.paths import CHECKOUT

PLUGINS = CHECKOUT / "plugins"
UTILS = "module_utils"
LONGEST = 30
MEDIAN = 8
COLLECTION = "ansible_collections.uml.mconsole.plugins."

FILES = sorted(path for path in PLUGINS.rglob("*.py"))


def module_of(path: Path) -> str:
    """Return a file as `module_utils/_mconsole/wire`."""
    name = str(path.relative_to(PLUGINS).with_suffix(""))
    return name.removesuffix("/__init__")


MODULES = {module_of(path): path for path in FILES}
LOW = [module for module in MODULES if layer_of(module).height <= HIGHEST_ON_VM_HOST]


def tree_of(module: str) -> ast.Module:
    """Return the parsed file."""
    return ast.parse(MODULES[module].read_text(), module)


def imports_of(module: str) -> Iterator[str]:
    """Yield what a file imports: `module_utils/...` for what is ours, else the name as it is written."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition("/")[0]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from _imported(node, package)


def _imported(node: ast.ImportFrom, package: str) -> Iterator[str]:
    """Yield the modules of `from x import a, b`: a name may be a module or something in one."""
    start = node.module or ""
    if node.level:
        above = package.split("/")[: len(package.split("/")) - node.level + 1]
        start = "/".join([*above, *start.split(".")]).rstrip("/")
    elif start.startswith(COLLECTION):
        start = start.removeprefix(COLLECTION).replace(".", "/")
    inside = [f"{start}/{alias.name}" for alias in node.names if f"{start}/{alias.name}" in MODULES]
    yield from inside or [start]


def ours(module: str) -> list[str]:
    """Return the modules of the collection that a module imports."""
    return [name for name in imports_of(module) if name in MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    own = layer_of(module)
    up = [name for name in ours(module) if layer_of(name) != own and layer_of(name).height >= own.height]
    assert up == []


def test_nothing_imports_itself_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"{way} leads back to {module}"
        if module not in done:
            for name in ours(module):
                visit(name, (*way, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", [module for module in LOW if MODULES[module].name != "__init__.py"])
def test_nothing_is_asked_of_its_own_import_while_it_is_imported(module: str) -> None:
    """Python 3.8 and 3.9 give a module of an archive, which Ansible makes, its package and its spec afterwards."""
    tree = tree_of(module)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    later = {id(node) for function in functions for node in ast.walk(function)}
    asked = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in later]
    assert [name for name in asked if name in ("__package__", "__spec__", "__loader__")] == []


@pytest.mark.parametrize("module", LOW)
def test_what_travels_needs_nothing_but_python(module: str) -> None:
    foreign = [
        name
        for name in imports_of(module)
        if name not in MODULES and name.split(".")[0] not in sys.stdlib_module_names and name.split("/")[0] != UTILS
    ]
    assert foreign == []


@pytest.mark.parametrize("module", LOW)
def test_what_travels_imports_its_own_by_relative_names(module: str) -> None:
    absolute = [
        node.module
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("ansible")
    ]
    assert absolute == []


@pytest.mark.parametrize("module", LOW)
def test_what_travels_is_python_3_8(module: str) -> None:
    ast.parse(MODULES[module].read_text(), module, feature_version=(3, 8))


@pytest.mark.parametrize("module", MODULES)
def test_no_assert_is_shipped(module: str) -> None:
    """`python -O` removes it."""
    assert [node.lineno for node in ast.walk(tree_of(module)) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("module", LOW)
def test_what_is_too_new_is_not_used(module: str) -> None:
    nodes = list(ast.walk(tree_of(module)))
    assert [node.lineno for node in nodes if isinstance(node, ast.Match)] == []
    assert [
        node.lineno for node in nodes if isinstance(node, ast.Call) for word in node.keywords if word.arg == "slots"
    ] == []


def functions() -> Iterator[tuple[str, int]]:
    """Yield every function with its length in lines, docstring and all."""
    for module in MODULES:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{module}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_is_long() -> None:
    assert [(name, length) for name, length in functions() if length > LONGEST] == []


def test_most_functions_are_short() -> None:
    assert statistics.median(length for _name, length in functions()) <= MEDIAN


def test_every_layer_has_code() -> None:
    assert {layer_of(module) for module in MODULES} == set(LAYERS)


def test_unit_tests_stand_in_the_folders_of_what_they_test() -> None:
    unit = CHECKOUT / "tests" / "unit"
    folders = {path.parent.relative_to(unit) for path in unit.rglob("test_*.py")} - {Path("rules")}
    missing = [folder for folder in folders if not any((CHECKOUT / top / folder).is_dir() for top in ("plugins", "."))]
    assert folders
    assert missing == []


def test_the_design_shows_this_table() -> None:
    assert table() in (CHECKOUT / "docs/design.md").read_text()
