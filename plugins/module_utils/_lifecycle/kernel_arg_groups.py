# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words on a kernel's command line: in groups, each of which is what one option is about, and what they mean."""

from __future__ import annotations

import os
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
    flags = re.fullmatch(r"ubd(?:\d+|[a-p])([rscdt]*)", name)
    return f"{name_of(word)}{''.join(sorted(flags[1]))}{equals}{value}" if flags else word


def absolute(word: str, cwd: str) -> str:
    """Return a word with absolute paths in place of those that are relative to a process's working directory.

    These are the files of a disk, of which the third is a serial number, and the initrd.
    """
    match = re.fullmatch(r"(ubd(?:\d+|[a-p])[rscdt]*=|initrd=)(.+)", word, re.DOTALL)
    if match is None or not os.path.isabs(cwd):
        return word
    if match[1] == "initrd=":
        return match[1] + os.path.join(cwd, match[2])
    parts = re.split("([,:])", match[2], maxsplit=2)  # file, separator, backing file, separator, serial
    parts[::2] = [os.path.join(cwd, part) if part and index < 2 else part for index, part in enumerate(parts[::2])]
    return match[1] + "".join(parts)
