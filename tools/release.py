# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a release that no other tool has; the nox sessions `build_import_check` and `release` use them.

release.py refuse                     Fail where the committed tree cannot be released.
release.py refuse --changelog         The same, before the changelog of the release is made.
release.py inspect ARTIFACT           Fail where an artifact holds what a user does not need, or is too large.
release.py documentation ANSIBLE_DOC  Show the documentation of all plugins that are installed.
release.py publishing ARTIFACT        Say how to publish; nothing is published.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 1 << 20  # bytes; Galaxy takes twenty times as much
SHIPPED = re.compile(
    r"MANIFEST\.json|FILES\.json|README\.md|CHANGELOG\.rst|LICENSE|LICENSES/[\w.-]+\.txt|meta/[a-z.-]+"
    r"|(CODE_OF_CONDUCT|CONTRIBUTING|SECURITY)\.md|changelogs/(changelog|config)\.yaml|docs/(kernels|limits|reliability)\.md"
    r"|docs/(docsite|examples)/.*|docs/fleet_page\.png|(plugins|roles|playbooks|extensions/eda|extensions/terminal)/.*"
)
STRAY = re.compile(r"(^|/)(\.|__pycache__)|\.(pyc|tar\.gz|orig|rej)$")
KINDS = ("module", "connection", "inventory", "lookup", "role")


def git(*words: str) -> str:
    """Return what git prints, empty where it fails."""
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False).stdout.strip()


def version() -> str:
    """Return the version in galaxy.yml."""
    found = re.search(r"^version: *(\S+)", (ROOT / "galaxy.yml").read_text(), re.MULTILINE)
    return found[1] if found else ""


def obstacles(before_changelog: bool) -> Iterator[str]:
    """Yield what keeps the committed tree from being released."""
    if changes := git("status", "--porcelain"):
        yield f"the checkout has changes that are not committed: {changes}"
    tagged = git("rev-parse", "--quiet", "--verify", f"refs/tags/v{version()}^{{commit}}")
    if tagged and tagged != git("rev-parse", "HEAD"):
        yield f"{version()} is released already, v{version()} is another commit; raise the version in galaxy.yml"
    if not before_changelog:
        yield from missing_in_changelog()


def missing_in_changelog() -> Iterator[str]:
    """Yield what the changelog lacks."""
    advice = "run: nox -s release -- --changelog"
    if fragments := sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("changelogs/fragments/*.y*ml")):
        yield f"the changelog lacks {', '.join(fragments)}; {advice}"
    if f"\n  {version()}:\n" not in (ROOT / "changelogs" / "changelog.yaml").read_text():
        yield f"the changelog lacks {version()}; {advice}"


def faults_of(artifact: Path) -> Iterator[str]:
    """Yield what is wrong with an artifact."""
    with tarfile.open(artifact) as archive:
        names = [member.name for member in archive if not member.isdir()]
    for name in names:
        if not SHIPPED.fullmatch(name) or STRAY.search(name):
            yield f"{name} is in the artifact, and a user does not need it; add it to build_ignore in galaxy.yml"
    if artifact.stat().st_size >= LARGEST:
        yield f"the artifact has {artifact.stat().st_size} bytes; expected less than {LARGEST}"
    print(f"{len(names)} files, {artifact.stat().st_size >> 10} KiB")


def undocumented(program: str) -> Iterator[str]:
    """Show the documentation of every plugin that ansible-doc finds, and yield the kinds that have none."""
    for kind in KINDS:
        listed = subprocess.run([program, "-t", kind, "-l", "uml.mconsole"], capture_output=True, text=True, check=True)
        names = re.findall(r"^uml\.mconsole\.[a-z_]+", listed.stdout, re.MULTILINE)
        subprocess.run([program, "-t", kind, *names], check=True)
        if not names:
            yield f"the installed collection shows no {kind}"


def publishing(artifact: Path) -> str:
    """Return how an artifact is published."""
    return "\n".join(
        [
            f"{version()} is {artifact}, SHA-256 {hashlib.sha256(artifact.read_bytes()).hexdigest()}. To publish it:",
            f"    git tag -s v{version()} && git push origin v{version()}",
            f"    ansible-galaxy collection publish {artifact}",
        ]
    )


def main(words: list[str]) -> int | str | None:
    """Do what the words say; return the exit status, or what is wrong."""
    match words:
        case ["refuse"] | ["refuse", "--changelog"]:
            return "\n".join(obstacles(before_changelog=len(words) > 1)) or None
        case ["inspect", artifact]:
            return "\n".join(faults_of(Path(artifact))) or None
        case ["documentation", program]:
            return "\n".join(undocumented(program)) or None
        case ["publishing", artifact]:
            print(publishing(Path(artifact)))
            return None
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
