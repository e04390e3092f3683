# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the VM host's own /proc tells of a process; no instance is asked."""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple, Optional


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that we use; ``start`` is in clock ticks since the host booted."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start: int


def read_text(path: str) -> str:
    """Return the text of a /proc file, or nothing when it is gone or not ours to read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""


def stat(pid: int) -> Optional[Stat]:
    """Return the process's stat, or None when there is no such process."""
    text = read_text(f"/proc/{pid}/stat")
    head, found, tail = text.rpartition(")")
    if not found:
        return None
    words = tail.split()
    return Stat(int(head.split("(", 1)[0]), words[0], int(words[1]), int(words[2]), int(words[3]), int(words[19]))


def alive(pid: int) -> bool:
    """Tell whether the process runs (a zombie does not)."""
    found = stat(pid)
    return found is not None and found.state not in "ZX"


def pids() -> List[int]:
    """Return every process id of the host."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def argv(pid: int) -> List[str]:
    """Return the process's command line; empty for kernel threads and processes that are gone."""
    text = read_text(f"/proc/{pid}/cmdline")
    return text.rstrip("\0").split("\0") if text else []


def environ(pid: int) -> Dict[str, str]:
    """Return the process's environment at its start; empty when it is not ours to read."""
    pairs = (entry.partition("=") for entry in read_text(f"/proc/{pid}/environ").split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def link(path: str) -> Optional[str]:
    """Return where a /proc link points, or None when it cannot be read."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def socket_inodes(pid: int, suffix: str = "/mconsole") -> Dict[str, str]:
    """Return {inode: path} of the Unix sockets whose path ends so, in the process's own network namespace."""
    found = {}
    for line in read_text(f"/proc/{pid}/net/unix").splitlines():
        if line.endswith(suffix):
            words = line.split(" ")
            rest = [word for word in words if word]
            found[rest[6]] = line[line.index(rest[6]) + len(rest[6]) + 1 :]
    return found


def socket_descriptor(pid: int, inodes: Dict[str, str]) -> Optional[int]:
    """Return the process's first descriptor that is one of these sockets, or None."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    for name in names:
        target = link(f"/proc/{pid}/fd/{name}") or ""
        if target.startswith("socket:[") and target[8:-1] in inodes:
            return int(name)
    return None


def descriptor_flags(pid: int, descriptor: int) -> Optional[int]:
    """Return the open flags of a descriptor, or None when it is gone or not ours to see."""
    for line in read_text(f"/proc/{pid}/fdinfo/{descriptor}").splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return None
