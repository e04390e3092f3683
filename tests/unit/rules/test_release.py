# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a release from being made, and what is refused in an artifact; the session `release` makes one."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.paths import CHECKOUT

IDENTITY = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
CHANGELOG = "---\nancestor: null\nreleases:\n  1.0.0:\n    changes: {}\n"


def git(folder: Path, *words: str) -> None:
    """Run git without the settings of the user who runs the test."""
    subprocess.run(["git", "-C", folder, *IDENTITY, *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a committed repository that could be released, as far as the refusals look."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "release.py").write_bytes((CHECKOUT / "tools" / "release.py").read_bytes())
    (tmp_path / "changelogs" / "fragments").mkdir(parents=True)
    (tmp_path / "changelogs" / "changelog.yaml").write_text(CHANGELOG)
    (tmp_path / "galaxy.yml").write_text("---\nversion: 1.0.0\n")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def commit(project: Path) -> None:
    """Commit all that is there."""
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "all")


def answer(project: Path, *words: str | Path) -> tuple[int, str]:
    """Return the exit status of tools/release.py, and what it says."""
    command = [sys.executable, project / "tools" / "release.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def uncommitted(project: Path) -> None:
    """Leave a file that is not committed."""
    (project / "new").write_text("")


def untold(project: Path) -> None:
    """Commit a fragment that is not in the changelog."""
    (project / "changelogs" / "fragments" / "it.yml").write_text("---\nbugfixes: [it]\n")
    commit(project)


def unknown(project: Path) -> None:
    """Raise the version alone."""
    (project / "galaxy.yml").write_text("---\nversion: 1.1.0\n")
    commit(project)


def out_already(project: Path) -> None:
    """Go on after a release without raising the version."""
    git(project, "tag", "v1.0.0")
    (project / "new").write_text("")
    commit(project)


@pytest.mark.parametrize(
    ("change", "words", "wanted"),
    [
        (uncommitted, (), "the checkout has changes that are not committed: ?? new"),
        (uncommitted, ("--changelog",), "the checkout has changes that are not committed: ?? new"),
        (untold, (), "the changelog lacks changelogs/fragments/it.yml; run: nox -s release -- --changelog"),
        (unknown, (), "the changelog lacks 1.1.0"),
        (out_already, (), "1.0.0 is released already, v1.0.0 is another commit; raise the version in galaxy.yml"),
        (out_already, ("--changelog",), "1.0.0 is released already"),
    ],
)
def test_a_release_is_refused(
    project: Path, change: Callable[[Path], None], words: tuple[str, ...], wanted: str
) -> None:
    change(project)
    status, said = answer(project, "refuse", *words)
    assert status == 1
    assert wanted in said


@pytest.mark.parametrize("words", [(), ("--changelog",)])
def test_nothing_else_is_refused(project: Path, words: tuple[str, ...]) -> None:
    git(project, "tag", "v1.0.0")  # this very commit
    assert answer(project, "refuse", *words) == (0, "")


def test_a_wrong_word_shows_the_usage(project: Path) -> None:
    status, said = answer(project, "--wrong")
    assert status == 2
    assert "release.py refuse" in said


def test_the_changelog_names_every_module_playbook_and_role() -> None:
    releases = yaml.safe_load((CHECKOUT / "changelogs" / "changelog.yaml").read_text())["releases"]
    names = {kind: names_of(kind, releases.values()) for kind in ("modules", "playbook", "role")}
    assert names["modules"] == {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py")}
    assert names["playbook"] == {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}
    assert names["role"] == {path.name for path in (CHECKOUT / "roles").iterdir()}


def names_of(kind: str, releases: Iterable[dict[str, Any]]) -> set[str]:
    """Return what is new in any of the releases."""
    lists = [release.get(kind) or release.get("objects", {}).get(kind, []) for release in releases]
    return {entry["name"] for entries in lists for entry in entries}


def test_the_first_release_mends_nothing() -> None:
    """Before it there was nothing that a user could have had."""
    releases = yaml.safe_load((CHECKOUT / "changelogs" / "changelog.yaml").read_text())["releases"]
    assert list(releases["1.0.0"]["changes"]) == ["release_summary"]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("plugins/modules/device.py", False),
        ("README.md", False),
        ("LICENSES/BSD-2-Clause.txt", False),
        ("plugins/modules/__pycache__/device.pyc", True),
        ("plugins/.hidden", True),
        ("tests/unit/test_wire.py", True),
        ("noxfile.py", True),
        (".github/workflows/ci.yml", True),
    ],
)
def test_an_artifact_holds_what_a_user_needs(project: Path, tmp_path: Path, name: str, refused: bool) -> None:
    artifact = tmp_path / "uml-mconsole-1.0.0.tar.gz"
    with tarfile.open(artifact, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    status, said = answer(project, "inspect", artifact)
    assert status == refused
    assert (f"{name} is in the artifact, and a user does not need it" in said) == refused
