# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kernel that lies, and texts of a guest that try to control the programs that show them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from support.fake_kernel import Kernel, Part

TEMPLATE = "{{lookup('pipe','touch${IFS}/tmp/uml-owned')}}"
ESCAPES = "\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b31m\u202etxt\r"
NO_UTF8 = "\udcff\udc80"
TEXTS = {
    "nothing": "",
    "a template": TEMPLATE,
    "escapes": ESCAPES,
    "no UTF-8": NO_UTF8,
    "a path": "../../../../../../etc/shadow",
    "a shell's words": "; touch /tmp/uml-owned; `id` $(id)",
    "a NUL": "a\0b",
    "a colon and no more": "Dirty:\nWriteback:\nMemFree:\nMemAvailable: kB\n",
    "no number": "nan inf -1 1e999 x y z u v w\n",
    "a long number": "9" * 5000,
    "brackets": "[({" * 1000,
    "hashes": "Linux " + "a #b " * 500 + "\nx y",
    "many words": "vec1 " * 500,
    "many lines": "a b c d e f\n" * 200,
}
# What makes parsers go on: the first words of files that are looked into.
TRUE_PARTS = {
    "version": "Linux guest 6.1.176 #1 Sat Jul  4 15:38:16 UTC 2026 x86_64",
    "proc 1/mounts": "\nsysfs /sys sysfs rw 0 0\n",
}
SPICES = "\n\n   :=,./[](){}%#\"'\\\t\0\x1b019-aZ\udcff\u202e"


@dataclass
class ConstantReply(Kernel):
    """Answers every command with the same text, OK or not; ``truths`` come first."""

    text: str = ""
    err: int = 0
    honest: bool = False

    def answer(self, command: str) -> list[Part]:
        """Return the lie."""
        truth = TRUE_PARTS.get(command) if self.honest else None
        return [Part(self.err if truth is None else 0, self.text if truth is None else truth)]


@dataclass
class RandomReply(Kernel):
    """Answers every command with something else each time."""

    source: random.Random = random.Random(1)  # noqa: RUF009 - each test gives its own

    def answer(self, command: str) -> list[Part]:
        """Return noise, after a true beginning at times."""
        start = TRUE_PARTS.get(command, "") if self.source.random() < 0.5 else ""
        noise = "".join(self.source.choices(SPICES, k=self.source.randrange(60)))
        words = " ".join(self.source.choices(("ubd1", "/dev/null", "kB", "Dirty:", "0x1", "1", "pts:"), k=4))
        return [Part(self.source.choice((0, 0, 0, 1, -22)), start + self.source.choice((noise, words, words + noise)))]


Lie = Callable[[], Kernel]
