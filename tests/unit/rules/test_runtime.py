# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that rot: a module that is forgotten in one of them silently gets no defaults, no channel or no proof."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import types
from typing import Any

import pytest
import yaml
from ansible.plugins import loader
from ansible.utils import plugin_docs

from ansible_collections.uml.mconsole.plugins.doc_fragments import attributes
from ansible_collections.uml.mconsole.plugins.module_utils._arguments import argument_spec
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error, InputError
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from ansible_collections.uml.mconsole.plugins.module_utils._operations.perform import perform
from ansible_collections.uml.mconsole.plugins.module_utils._task.task import COMMON_ARGUMENTS
from support.paths import CHECKOUT, TREE

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
RUNTIME = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())


def documentation(module: str, part: str = "DOCUMENTATION") -> dict[str, Any]:
    """Return a part of a module's own documentation."""
    source = (CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text()
    text = source.split(f'{part} = r"""', 1)[1].split('"""', 1)[0]
    value: dict[str, Any] = yaml.safe_load(text)
    return value


def test_every_module_is_an_operation() -> None:
    assert sorted(registry.NAMES) == MODULES


def test_every_module_is_in_the_action_group() -> None:
    assert RUNTIME["action_groups"]["all"] == MODULES


def test_every_module_goes_through_the_one_action() -> None:
    """By a file of its name, so that a strategy finds its class, loads it and with it the operation (see _preload)."""
    texts = {path.stem: path.read_text() for path in (CHECKOUT / "plugins" / "action").glob("*.py")}
    assert sorted(texts) == MODULES
    one = texts["request"]
    assert texts == {name: one.replace(" request;", f" {name};").replace('"request"', f'"{name}"') for name in MODULES}
    for name in MODULES:
        action = loader.action_loader.get(f"uml.mconsole.{name}", class_only=True)
        assert action.__name__ == "ActionModule"
        assert f"ansible_collections.uml.mconsole.plugins.module_utils._operations.{name}" in sys.modules


@pytest.mark.parametrize("name", MODULES)
def test_an_operation_has_its_four_parts(name: str) -> None:
    operation = registry.load(name)
    assert operation.SCOPE in ("console", "name", "fleet", "host")
    assert isinstance(operation.ARGUMENTS, dict)
    assert isinstance(operation.CONSTRAINTS, dict)
    assert list(inspect.signature(operation.run).parameters) == ["task"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_accepts_every_common_option(name: str) -> None:
    """Ansible merges the defaults of an action group into each member, even options that the member does not accept."""
    operation = registry.load(name)
    spec = argument_spec(operation)
    assert set(COMMON_ARGUMENTS) <= set(spec["argument_spec"])
    assert not set(COMMON_ARGUMENTS) & set(operation.ARGUMENTS)
    assert ("umid", "umids") in spec["mutually_exclusive"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_documents_its_error_and_its_commands(name: str) -> None:
    """A module that uses no console returns no commands, also when it fails."""
    returned = documentation(name, "RETURN")
    assert returned["error"] == documentation("request", "RETURN")["error"]
    assert "C(structured_errors)" in returned["error"]["description"]
    uses_a_console = registry.load(name).SCOPE != "host"
    assert ("commands" in returned) == uses_a_console

    def fail(_task: Any) -> dict[str, Any]:
        raise InputError("no")

    failing = types.SimpleNamespace(SCOPE=registry.load(name).SCOPE, run=fail)
    result = perform(failing, {"umid": "web1", "uml_dir": "/u"})  # type: ignore[arg-type]
    assert result["failed"]
    assert uses_a_console or "commands" not in result


def test_the_kinds_of_errors_are_documented() -> None:
    """The attribute that all modules share lists each kind of the tree, and no other."""
    fragment = yaml.safe_load(attributes.ModuleDocFragment.DOCUMENTATION)["attributes"]["structured_errors"]
    listed = set(re.findall(r"V\((\w+)\)", fragment["details"][0]))
    assert listed == {kind.kind for kind in (Error, *Error.__subclasses__())} | {"bug"}


@pytest.mark.parametrize("name", MODULES)
def test_no_path_would_be_expanded_on_the_controller(name: str) -> None:
    spec = argument_spec(registry.load(name))["argument_spec"]
    assert [key for key, value in spec.items() if value.get("type") == "path"] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_documents_what_it_supports(name: str) -> None:
    fragments = documentation(name)["extends_documentation_fragment"]
    assert any(each.startswith("uml.mconsole.attributes") for each in fragments)


def test_the_connection_has_every_option_of_ssh() -> None:
    found = []
    for name in ("ansible.builtin.ssh", "uml.mconsole.mconsole"):
        path = loader.connection_loader.find_plugin_with_context(name).plugin_resolved_path
        found.append(set(plugin_docs.get_docstring(path, loader.fragment_loader)[0]["options"]))
    theirs, ours = found
    assert len(theirs) > 25
    assert theirs - ours == set()


LOADED = """
import sys
from ansible.plugins.loader import action_loader, init_plugin_loader
init_plugin_loader([sys.argv[1]])
action_loader.get("uml.mconsole.device", class_only=True)
from ansible import constants as C
from ansible.plugins.loader import connection_loader
before = set(sys.modules)
name = connection_loader.get("uml.mconsole.mconsole", class_only=True)._load_name
print("ansible_uml_umid" in C.config.get_plugin_vars("connection", name), len(set(sys.modules) - before))
print(*(module for module in sys.modules if "uml.mconsole.plugins.module_utils." in module))
"""


def test_an_action_loads_what_each_task_needs_and_no_more() -> None:
    """A strategy loads it before it starts the processes of the tasks; a console is for the VM host alone."""
    done = subprocess.run([sys.executable, "-c", LOADED, str(TREE)], capture_output=True, text=True, check=True)
    options, loaded = done.stdout.splitlines()
    assert options == "True 0"
    modules = {module.partition("module_utils.")[2] for module in loaded.split()}
    assert "_operations.device" in modules
    assert not modules & {"_mconsole.console", "_mconsole.instances", "_devices.classes", "_operations.perform"}
