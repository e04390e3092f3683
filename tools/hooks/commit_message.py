# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A commit-msg hook: refuse a message that does not follow CONTRIBUTING.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

SUBJECT = 72
BODY = 100
EXEMPT = re.compile(r"(Merge|Revert|fixup!|squash!) ")
FORM = re.compile(r"[\w./ ,-]+: [a-z`\"]")


def faults_of(text: str) -> Iterator[str]:
    """Yield what is wrong with a message; lines that begin with # are git's own."""
    subject, *rest = [line for line in text.splitlines() if not line.startswith("#")] or [""]
    if EXEMPT.match(subject):
        return
    if len(subject) > SUBJECT:
        yield f"the subject has {len(subject)} characters; expected at most {SUBJECT}"
    if not FORM.match(subject):
        yield f"the subject is {subject!r}; expected one like 'channel: rebuild a stopped master'"
    if subject.endswith("."):
        yield "the subject ends with a full stop; expected none"
    if rest and rest[0]:
        yield "the second line is not empty; expected an empty line between subject and body"
    if any(len(line) > BODY for line in rest if " " in line.strip()):
        yield f"a line of the body has more than {BODY} characters"


def main(path: str) -> int:
    """Print what is wrong with the message in a file; return the exit status."""
    found = list(faults_of(Path(path).read_text()))
    print(*found, sep="\n", end="\n" * bool(found), file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
