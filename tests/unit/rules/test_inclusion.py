# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Ansible community package asks of a collection, where no other tool looks (see docs/inclusion.md)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins import loader
from ansible.utils import plugin_docs

from support.paths import CHECKOUT

GALAXY = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
README = (CHECKOUT / "README.md").read_text()
FILES = subprocess.run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd=CHECKOUT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split("\0")[:-1]
PYTHON = [name for name in FILES if name.endswith(".py") and (CHECKOUT / name).is_file()]
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
READERS = [name for name in MODULES if name.endswith(("_info", "_facts"))]
SHIPPED = ("meta", "plugins", "roles", "playbooks")
LARGE = 1 << 20
SPDX = "SPDX-License-" + "Identifier:"  # in two parts, because reuse would take it for a licence of this file
GPL, BSD = "GPL-3.0-or-later", "BSD-2-Clause"
BEYOND_CORE = {"plugin_utils", "module_utils", "sub_plugins"}
KEYWORDS = {"name", "hosts", "vars", "register", "loop", "loop_control", "when", "check_mode", "diff", "tasks"}
KEYWORDS |= {"module_defaults", "become", "become_user", "delegate_to", "changed_when", "failed_when", "gather_facts"}
NO_QUERIES = {"get", "list", "query", "info"}


def documentation(module: str) -> tuple[dict[str, Any], Any, Any]:
    """Return a module's documentation with its fragments, its examples and its return values."""
    path = CHECKOUT / "plugins" / "modules" / f"{module}.py"
    doc, examples, returns, _metadata = plugin_docs.get_docstring(
        str(path), loader.fragment_loader, collection_name="uml.mconsole", is_module=True
    )
    return doc, examples, returns


# The files


def test_the_metadata_is_whole() -> None:
    assert (GALAXY["namespace"], GALAXY["name"]) == ("uml", "mconsole")
    assert re.fullmatch(r"[1-9]\d*\.\d+\.\d+", GALAXY["version"])
    assert GALAXY["tags"]
    assert GALAXY["license"] == [GPL, BSD]
    assert all(GALAXY[name].startswith("https://") for name in ("repository", "documentation", "homepage", "issues"))


def test_no_other_collection_is_needed() -> None:
    assert GALAXY["dependencies"] == {}


def test_the_oldest_ansible_is_named_and_no_newest() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    assert re.fullmatch(r">=2\.\d+\.0", runtime["requires_ansible"])


@pytest.mark.parametrize(
    "wanted",
    [
        "Code of Conduct",
        "forum.ansible.com/c/help",
        "use the tag `",
        "Contributing",
        "semver.org",
        "CHANGELOG",
        "Python 3",
    ],
)
def test_the_readme_says(wanted: str) -> None:
    assert wanted in README


def test_every_link_of_a_readme_to_a_file_leads_there() -> None:
    for path in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_file_has_the_licence_of_its_place() -> None:
    for name in PYTHON:
        text = (CHECKOUT / name).read_text()
        wanted = BSD if name.startswith("plugins/module_utils/") else GPL
        assert not text or f"{SPDX} {wanted}" in text, name


def test_plugins_are_of_kinds_that_core_knows() -> None:
    known = {each.package.rpartition(".")[2] for each in vars(loader).values() if isinstance(each, loader.PluginLoader)}
    kinds = {Path(name).parts[1] for name in FILES if name.startswith("plugins/")}
    assert kinds - known - BEYOND_CORE == set()


def test_utilities_are_private_by_their_names() -> None:
    names = {Path(name).parts[2] for name in FILES if re.match(r"plugins/(module|plugin)_utils/", name)}
    assert [name for name in names if not name.startswith("_")] == []


def test_nothing_is_large() -> None:
    assert [name for name in FILES if (CHECKOUT / name).is_file() and (CHECKOUT / name).stat().st_size > LARGE] == []


def test_packages_hold_nothing_of_their_own() -> None:
    """Sanity of ansible-core 2.17 wants it so."""
    assert [
        name
        for name in FILES
        if name.startswith("plugins/") and name.endswith("/__init__.py") and (CHECKOUT / name).stat().st_size
    ] == []


def test_sanity_ignores_nothing() -> None:
    assert [name for name in FILES if name.startswith("tests/sanity/ignore")] == []


def test_an_execution_environment_finds_what_it_needs() -> None:
    needs = yaml.safe_load((CHECKOUT / "meta" / "execution-environment.yml").read_text())["dependencies"]
    assert set(needs) == {"python", "system"}
    assert all((CHECKOUT / name).is_file() for name in needs.values())


def test_a_vm_host_is_named_by_the_same_packages_as_in_the_role() -> None:
    lines = (CHECKOUT / "meta" / "ee-bindep.txt").read_text().splitlines()
    named = {line.split()[0] for line in lines if line.endswith("[platform:dpkg vm-host]")}
    defaults = yaml.safe_load((CHECKOUT / "roles" / "host" / "defaults" / "main.yml").read_text())
    assert named == set(defaults["host_packages"])


def test_what_is_public_needs_four_directories_alone(tmp_path: Path) -> None:
    tree = tmp_path / "ansible_collections" / "uml" / "mconsole"
    for name in SHIPPED:
        shutil.copytree(CHECKOUT / name, tree / name)
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "HOME": str(tmp_path)}

    def run(*words: str) -> str:
        command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    assert set(MODULES) <= {
        line.split()[0].rpartition(".")[2] for line in run("ansible-doc", "-l", "uml.mconsole").splitlines()
    }
    books = [path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")]
    run("ansible-playbook", "--syntax-check", "-i", "localhost,", *[f"uml.mconsole.{book}" for book in books])
    assert '"changed": false' in run("ansible", "localhost", "-m", "uml.mconsole.instance_info", "-a", "umid=nobody")


# The modules


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_documented(name: str) -> None:
    doc, examples, returns = documentation(name)
    assert examples
    assert returns
    assert "3.8" in " ".join(doc["requirements"])
    assert set(doc["attributes"]) >= {"check_mode", "diff_mode", "idempotent", "action_group"}
    added = tuple(map(int, doc["version_added"].split(".")))
    assert added <= tuple(map(int, GALAXY["version"].split(".")))


@pytest.mark.parametrize("name", MODULES)
def test_examples_and_references_have_full_names(name: str) -> None:
    doc, examples, _returns = documentation(name)
    for task in DataLoader().load(examples):
        for each in [task, *task.get("tasks", [])]:
            assert [key for key in each if key not in KEYWORDS and key.count(".") != 2] == []
    assert [each for each in doc.get("seealso", []) if each.get("module", "a.b.c").count(".") != 2] == []


@pytest.mark.parametrize("name", READERS)
def test_what_only_reads_says_so(name: str) -> None:
    attributes = documentation(name)[0]["attributes"]
    assert attributes["check_mode"]["support"] == "full"
    assert attributes["diff_mode"]["support"] == "N/A"
    assert ("facts" in attributes) == name.endswith("_facts")


@pytest.mark.parametrize("name", MODULES)
def test_no_state_is_a_query(name: str) -> None:
    state = documentation(name)[0]["options"].get("state", {})
    assert NO_QUERIES & set(state.get("choices", [])) == set()
