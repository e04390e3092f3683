# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps `tools/release` from making a release; what it makes is tried by `tools/test build` and by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.paths import CHECKOUT

IDENTITY = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
CHANGELOG = "---\nancestor: null\nreleases:\n  1.0.0:\n    changes: {}\n"


def git(folder: Path, *words: str) -> None:
    """Run git without the settings of whoever runs the test."""
    subprocess.run(["git", "-C", folder, *IDENTITY, *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a committed repository that could be released, as far as the refusals look."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "release").write_bytes((CHECKOUT / "tools" / "release").read_bytes())
    (tmp_path / "tools" / "setup").write_text("echo nothing refuses; exit 3\n")
    for script in (tmp_path / "tools").iterdir():
        script.chmod(0o755)
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


def answer(project: Path, *words: str) -> str:
    """Return what tools/release says before it fails; nothing can be built here."""
    command = ["bash", project / "tools" / "release", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def uncommitted(project: Path) -> None:
    """Leave a file that nobody committed."""
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
        (uncommitted, (), "not all of this is committed: ?? new"),
        (uncommitted, ("--changelog",), "not all of this is committed: ?? new"),
        (untold, (), "not in the changelog yet, run tools/release --changelog: changelogs/fragments/it.yml"),
        (unknown, (), "the changelog has no 1.1.0"),
        (out_already, (), "1.0.0 is out already, v1.0.0 is another commit: raise the version in galaxy.yml"),
        (out_already, ("--changelog",), "1.0.0 is out already"),
    ],
)
def test_a_release_is_refused(
    project: Path, change: Callable[[Path], None], words: tuple[str, ...], wanted: str
) -> None:
    change(project)
    said = answer(project, *words)
    assert wanted in said
    assert "nothing refuses" not in said


@pytest.mark.parametrize("words", [(), ("--changelog",)])
def test_nothing_else_is_refused(project: Path, words: tuple[str, ...]) -> None:
    git(project, "tag", "v1.0.0")  # this very commit
    assert "nothing refuses" in answer(project, *words)


def test_a_wrong_word_shows_the_usage(project: Path) -> None:
    assert "Usage: tools/release" in answer(project, "--wrong")
