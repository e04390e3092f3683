# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The traffic of the taps that instances have open, as the VM host counts it."""

from __future__ import annotations

import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from .._mconsole import procfs

_NAME = re.compile(r"^iff:\t(\S{1,15})$", re.MULTILINE)
_MOST = 32  # taps of one instance
Counters = Dict[str, List[int]]  # interface -> the numbers of its line in /proc/net/dev


class Traffic(NamedTuple):
    """Counters of one tap from the guest's side: what the VM host sends into it is what the guest receives."""

    received_bytes: int
    received_packets: int
    received_drops: int
    sent_bytes: int
    sent_packets: int
    sent_drops: int


def traffic(pids: Iterable[int]) -> Dict[int, Dict[str, Traffic]]:
    """Return {main process: {tap: its counters}}, of those whose descriptors this user may see."""
    spaces: Dict[Tuple[Optional[str], str], Counters] = {}
    return {pid: _traffic_of(pid, spaces) for pid in pids}


def _traffic_of(pid: int, spaces: Dict[Tuple[Optional[str], str], Counters]) -> Dict[str, Traffic]:
    names = _taps(pid)
    if not names:
        return {}
    space = procfs.link(f"/proc/{pid}/ns/net")
    key = space, "" if space else str(pid)
    if key not in spaces:  # many instances share one network namespace, which has a line for each of them
        spaces[key] = _counters(pid)
    return {name: _seen_from_guest(spaces[key][name]) for name in names if name in spaces[key]}


def _taps(pid: int) -> List[str]:
    """Return the taps that a process has open."""
    folder = f"/proc/{pid}/fd"
    try:
        numbers = [number for number in os.listdir(folder) if _is_tap(f"{folder}/{number}")]
    except OSError:
        return []
    texts = (procfs.read_text(f"/proc/{pid}/fdinfo/{number}") for number in numbers[:_MOST])
    return list(dict.fromkeys(name for text in texts for name in _NAME.findall(text)))


def _is_tap(path: str) -> bool:
    return (procfs.link(path) or "").endswith("/net/tun")


def _counters(pid: int) -> Counters:
    lines = (line.partition(":") for line in procfs.read_text(f"/proc/{pid}/net/dev").splitlines()[2:])
    return {name.strip(): [int(word) for word in words.split()] for name, _colon, words in lines}


def _seen_from_guest(numbers: List[int]) -> Traffic:
    """Return a line of /proc/net/dev with its sides exchanged: bytes, packets, errors and drops of each side."""
    return Traffic(numbers[8], numbers[9], numbers[11], numbers[0], numbers[1], numbers[3])
