# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of floors is the whole rule: imports go down only, and what travels to a VM host is plain Python 3.8."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import CHECKOUT

PLUGINS = CHECKOUT / "plugins"
UTILS = "module_utils"
# The first row that a path begins with counts.
FLOORS = {
    "module_utils/_mconsole/errors": 0,
    "module_utils/_mconsole/wire": 1,
    "module_utils/_mconsole/commands": 1,
    "module_utils/_mconsole/names": 1,
    "module_utils/_mconsole/numbers": 1,
    "module_utils/_mconsole/hostproc": 1,
    "module_utils/_mconsole": 2,
    "module_utils/_model": 3,
    "module_utils/_lifecycle": 3,
    "module_utils/_events": 3,
    "module_utils/_operations": 3,
    "module_utils/_client": 3,
    "module_utils": 4,
    "plugin_utils": 5,
    "": 6,
}
TRAVELS = 3  # floors up to this one run on the VM host's own Python
LONGEST = 40
MEDIAN = 8
COLLECTION = "ansible_collections.uml.mconsole.plugins."

FILES = sorted(path for path in PLUGINS.rglob("*.py"))
TRAVELLERS = [path for path in FILES if path.is_relative_to(PLUGINS / UTILS)]


def module_of(path: Path) -> str:
    """Return a file as `module_utils/_mconsole/wire`."""
    name = str(path.relative_to(PLUGINS).with_suffix(""))
    return name.removesuffix("/__init__")


def floor_of(module: str) -> int:
    """Return the floor a module is on."""
    return next(floor for start, floor in FLOORS.items() if f"{module}/".startswith(f"{start}/") or not start)


MODULES = {module_of(path): path for path in FILES}
LOW = [module for module in MODULES if floor_of(module) <= TRAVELS]


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
    up = [name for name in ours(module) if floor_of(name) > floor_of(module)]
    assert up == []


@pytest.mark.parametrize("module", [module for module in LOW if "/_model/" in module])
def test_the_model_needs_neither_lifecycle_nor_events_nor_operations(module: str) -> None:
    beside = [name for name in ours(module) if floor_of(name) == 3 and "/_model" not in name]
    assert beside == []


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
    functions = [each for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    later = {id(node) for each in functions for node in ast.walk(each)}
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
    """Whoever runs Python with -O would lose it."""
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


def test_every_floor_is_lived_on() -> None:
    """A row of the table that fits nothing is a mistake."""
    found = {next(start for start in FLOORS if f"{module}/".startswith(f"{start}/") or not start) for module in MODULES}
    assert found == set(FLOORS)
