# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words on a kernel's command line: in groups, each of which is what one option is about, and what they mean."""

from __future__ import annotations

import re
from typing import Dict, List, Sequence, Tuple

from .._mconsole.parsing import is_size, parse_size

Words = Dict[str, List[str]]  # group -> words on the command line

GROUPS: Tuple[Tuple[str, str], ...] = (  # the first that matches a whole word says its group
    ("identity", r"(umid|uml_dir)=.*"),
    ("memory", r"mem=.*"),
    ("ncpus", r"ncpus=.*"),
    ("seccomp", r"seccomp=.*"),
    ("notify", r"mconsole=notify:.*"),
    ("root", r"(root|rootfstype|rootflags|hostfs|initrd|init|rdinit)=.*|r[ow]"),
    ("disk0", r"ubd(0|a)[rscdt]*=.*"),
    ("devices", r"(ubd|con|ssl|eth)\w*=.*|vec\d+[:=].*|virtio_uml\.device=.*"),
    ("kernel_args", r".*"),
)
_PATTERNS = tuple((group, re.compile(pattern, re.DOTALL)) for group, pattern in GROUPS)


def group_of(word: str) -> str:
    """Return the group of a word."""
    return next(group for group, pattern in _PATTERNS if pattern.fullmatch(word))


def name_of(word: str) -> str:
    """Return what a word sets: a disk by its number without its flags, else the part before ``=`` or ``:``."""
    match = re.match(r"ubd(\d+|[a-p])[rscdt]*=", word)
    if match is not None:
        return f"ubd{match[1] if match[1].isdigit() else ord(match[1]) - ord('a')}"
    return re.split("[=:]", word, maxsplit=1)[0]


def split(argv: Sequence[str]) -> Words:
    """Return the words of a command line (without the program) by group; what follows ``--`` is free words."""
    words: Words = {group: [] for group, _pattern in GROUPS}
    own = list(argv).index("--") if "--" in argv else len(argv)
    for index, word in enumerate(argv):
        words[group_of(word) if index < own else "kernel_args"].append(word)
    return words


def canonical(word: str) -> str:
    """Return a word as all words are written that mean the same."""
    name, equals, value = word.partition("=")
    if name == "mem" and is_size(value):
        return f"mem={parse_size(value)}"
    return f"{name_of(word)}{equals}{value}" if name.startswith("ubd") and not re.search("[rscdt]$", name) else word
