# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Read what the VM host's own /proc shows of a process; no instance is asked."""

from __future__ import annotations

import os
import stat as modes
import time
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

_MAX_FILE = 16 << 20
_PART = 64 << 10
_ACCEPTS = 0x10000  # __SO_ACCEPTCON
_LONGEST_EXEC = 2.0  # seconds; a kernel that reboots, and must free its memory, takes some 10 ms


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that we use.

    ``start`` is in clock ticks since the host booted, ``size`` in bytes of virtual memory (0 for a kernel thread).
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start: int
    size: int


def read_text(path: str, flags: int = 0) -> str:
    """Return the text of a regular file, or nothing when it is gone or not ours to read.

    A user's pid file is read by root as well: a pipe or an endless file in its place must not hold us up.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags)
    except OSError:
        return ""
    try:
        return _read_regular(descriptor).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _read_regular(descriptor: int) -> bytes:
    """Return what is in a regular file, part by part: a file of /proc/sys refuses a buffer of many megabytes."""
    if not modes.S_ISREG(os.fstat(descriptor).st_mode):
        return b""
    found = part = os.read(descriptor, _PART)
    while part and len(found) < _MAX_FILE:
        part = os.read(descriptor, _PART)
        found += part
    return found


def read_pid(path: str) -> Optional[int]:
    """Return the process that a pid file names, or None; no link is followed, for reading some files changes them."""
    text = read_text(path, os.O_NOFOLLOW).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def stat(pid: int) -> Optional[Stat]:
    """Return the process's stat, or None when there is no such process."""
    text = read_text(f"/proc/{pid}/stat")
    head, found, tail = text.rpartition(")")
    if not found:
        return None
    words = tail.split()
    pid_, (parent, group, session) = int(head.split("(", 1)[0]), map(int, words[1:4])
    return Stat(pid_, words[0], parent, group, session, int(words[19]), int(words[20]))


def alive(pid: int) -> bool:
    """Return whether the process runs (a zombie does not)."""
    found = stat(pid)
    return found is not None and found.state not in "ZX"


def is_hidden(pid: Optional[int]) -> bool:
    """Return whether a process runs that /proc does not show this user (mounted with hidepid)."""
    if not pid or os.path.exists(f"/proc/{pid}"):
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False


def activity(pid: int) -> Dict[int, Tuple[str, int]]:
    """Return {thread: (its state, how often it was taken off a processor)} of a process, without threads that are gone.

    A thread that reads the same before and after all others were read has not run in between (proc_pid_status(5)).
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return {}
    texts = {int(thread): read_text(f"/proc/{pid}/task/{thread}/status") for thread in threads}
    return {thread: _activity(text) for thread, text in texts.items() if text}


def _activity(status: str) -> Tuple[str, int]:
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    switches = sum(int(fields.get(f"{kind}_ctxt_switches", "0")) for kind in ("voluntary", "nonvoluntary"))
    return fields.get("State", "?").strip()[:1], switches


def pids() -> List[int]:
    """Return every process id of the host."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def argv(pid: int) -> List[str]:
    """Return the process's command line; empty for kernel threads and processes that are gone."""
    text = _read_now(pid, "cmdline") or _once_executed(pid, "cmdline")
    return text.rstrip("\0").split("\0") if text else []


def starts_at(pid: int, address: str) -> bool:
    """Return whether a process's lowest memory begins at an address, as /proc/PID/maps writes it."""
    return any(read(pid, "maps").startswith(address) for read in (_read_now, _once_executed))


def _read_now(pid: int, name: str) -> str:
    return read_text(f"/proc/{pid}/{name}")


def _once_executed(pid: int, name: str) -> str:
    """Return a file of a process as it reads when the program that it is just executing is there.

    From execve(2) until the old memory is freed there is no command line and no map, and a UML kernel that reboots
    executes itself: it must not seem to be gone (linux fs/exec.c exec_mmap; milliseconds, as measured).
    """
    give_up = time.monotonic() + _LONGEST_EXEC
    while _executes(pid) and time.monotonic() < give_up:
        time.sleep(0.001)
    return _read_now(pid, name)


def _executes(pid: int) -> bool:
    """Return whether a process has memory and no arguments yet (proc_pid_stat(5); startcode 1: these are hidden)."""
    words = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return len(words) > 46 and words[20] != "0" and words[23] != "1" and words[46] == "0"


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
    lines = (line for line in read_text(f"/proc/{pid}/net/unix").splitlines() if line.endswith(suffix))
    return {words[6]: words[7] for words in (line.split(None, 7) for line in lines) if len(words) == 8}


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


def sockets_without_text(pid: int) -> Set[str]:
    """Return the inodes of sockets in a process's network namespace that listen, or that carry network packets.

    proc_pid_net(5) gives the columns: the state of TCP is 0A for a listening socket, the flags of unix have
    __SO_ACCEPTCON, and each socket in packet carries packets.
    """
    found = {row[9] for name in ("tcp", "tcp6") for row in _net_rows(pid, name) if len(row) > 9 and row[3] == "0A"}
    found |= {row[6] for row in _net_rows(pid, "unix") if len(row) > 6 and int(row[3], 16) & _ACCEPTS}
    return found | {row[8] for row in _net_rows(pid, "packet") if len(row) > 8}


def _net_rows(pid: int, name: str) -> List[List[str]]:
    return [line.split() for line in read_text(f"/proc/{pid}/net/{name}").splitlines()[1:]]


def descriptor_flags(pid: int, descriptor: int) -> Optional[int]:
    """Return the open flags of a descriptor, or None when it is gone or not ours to see."""
    for line in read_text(f"/proc/{pid}/fdinfo/{descriptor}").splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return None
