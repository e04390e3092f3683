# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Check, before an instance is started, that the VM host allows and has room for one more."""

from __future__ import annotations

import os
import re
import resource
from typing import Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .._mconsole import procfs, syscalls
from .._mconsole.errors import Error, InputError, NotAllowedError
from .._mconsole.parsing import is_size, parse_size
from .launch import Launch
from .xstate import probe

DEFAULT_MEMORY = 64 << 20  # what a kernel takes when its command line does not say
_FEWEST_TASKS = 8  # a kernel, its helpers, and the first processes of its guest
_MAPPED = "/sys/fs/cgroup"
_NO_MORE_OVERCOMMIT = "2"


class Budget(NamedTuple):
    """Bytes of memory: ``new`` is what the instance may use, ``growth`` what those that run may still take, ``free``
    what the VM host can give."""

    new: int
    growth: int
    free: int


def check_rights(launch: Launch) -> List[str]:
    """Return a warning about what the VM host does not allow.

    :raises NotAllowedError: when it does not allow what a kernel cannot do without
    """
    denied = probe().denied
    if denied and not _uses_seccomp(launch):
        raise NotAllowedError(
            f"this VM host does not allow ptrace ({denied}), which {launch.argv[0]} needs for its guest's processes"
        )
    with syscalls.fixed_addresses() as fixed:
        pass
    lost = "this VM host does not allow personality(ADDR_NO_RANDOMIZE), so the guest loses a random part of its memory"
    return [] if fixed else [lost]


def _uses_seccomp(launch: Launch) -> bool:
    return not {"seccomp=on", "seccomp=auto"}.isdisjoint(launch.argv)


def check_room(launch: Launch) -> List[str]:
    """Return a warning when the VM host has few processes left.

    :raises Error: when it has too few, or when a directory of the instance is on a full file system
    """
    for folder in (launch.place.uml_dir, os.path.dirname(launch.log)):
        _check_full(folder)
    left = _tasks_left(launch.identity.uid if launch.identity else os.geteuid())
    if left is not None and left < _FEWEST_TASKS:
        raise Error(
            f"this VM host has room for {max(left, 0)} more processes; an instance takes {_FEWEST_TASKS} and more"
        )
    few = f"this VM host has room for {left} more processes; each process of a guest takes one"
    return [few] if left is not None and left < 8 * _FEWEST_TASKS else []


def _check_full(folder: str) -> None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return  # it is still to be made
    if found.f_blocks and (not found.f_bavail or (found.f_files and not found.f_favail)):
        raise Error(f"the file system of {folder} is full; nothing was started", path=folder)


def _tasks_left(uid: int) -> Optional[int]:
    """Return how many tasks may still be made by this user and in this control group; None when nothing limits them."""
    found = list(_group_rooms())
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if uid not in (0, None) and uid == os.geteuid() and limit != resource.RLIM_INFINITY:
        found.append(limit - sum(1 for pid in procfs.pids() if _owner(pid) == uid))
    return min(found, default=None)


def _owner(pid: int) -> Optional[int]:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _group_rooms() -> Iterator[int]:
    """Yield the room of the control group and of those above it (version 2)."""
    match = re.search(r"^0::(/.*)$", procfs.read_text("/proc/self/cgroup"), re.MULTILINE)
    path = match[1] if match else ""
    while path not in ("", "/"):
        limit, used = (procfs.read_text(f"{_MAPPED}{path}/pids.{name}").strip() for name in ("max", "current"))
        if limit.isdigit() and used.isdigit():
            yield int(limit) - int(used)
        path = os.path.dirname(path)


def check_budget(launch: Launch, mode: str, own: int = 0) -> List[str]:
    """Return a warning when the VM host cannot hold the instance beside those that run; ``own`` is the process that it
    takes the place of.

    :raises InputError: when ``mode`` is ``enforce``
    """
    if mode == "ignore":
        return []
    found = budget(memory_of(launch.argv), own)
    if found.new + found.growth <= found.free:
        return []
    text = (
        f"the VM host can give {_mib(found.free)}, and this instance may use {_mib(found.new)} of memory and those that"
        f" run {_mib(found.growth)} more; the host's kernel ends processes when it has no memory left"
    )
    if mode == "enforce":
        raise InputError(f"{text}; give it less memory, or set memory_budget=warn to start it anyway")
    return [text]


def budget(new: int, own: int = 0) -> Budget:
    """Return what the instance, those that run, and the VM host come to."""
    growth = sum(size for _pid, size in _growing(own))
    return Budget(new, growth, _free() + (_resident(own) if own else 0))


def _growing(own: int) -> Iterator[Tuple[int, int]]:
    """Yield the main process of each other instance of the VM host, and how many bytes it may still take."""
    for pid in procfs.pids():
        argv = procfs.argv(pid) if pid != own else []
        if any(word.startswith("umid=") for word in argv) and _is_main(pid):
            yield pid, max(0, memory_of(argv) - _resident(pid))


def check_memory_dir(launch: Launch, own: int = 0) -> List[str]:
    """Return a warning when the file system of the memory cannot hold what all that have theirs there may use.

    A kernel that finds it full dies (SIGBUS); a process whose environment is hidden counts as one by default.
    """
    folder = memory_directory(launch.environment)
    found = os.statvfs(folder)
    others = sum(size for pid, size in _growing(own) if memory_directory(procfs.environ(pid)) == folder)
    free = found.f_bavail * found.f_frsize + (_resident(own) if own else 0)
    new = memory_of(launch.argv)
    if new + others <= free:
        return []
    text = f"{folder} has {_mib(free)} free, and this instance may use {_mib(new)} of it and those that run"
    return [f"{text} {_mib(others)} more; instances die when it is full"]


def memory_directory(environment: Mapping[str, str]) -> str:
    """Return where a kernel puts the file that is its memory."""
    return next((environment[name] for name in ("TMPDIR", "TMP", "TEMP") if environment.get(name)), "/dev/shm")


def _is_main(pid: int) -> bool:
    """Return whether a process leads its group; a kernel's helpers have its command line as well."""
    found = procfs.stat(pid)
    return found is not None and found.group == pid and found.state not in "ZX"


def memory_of(argv: List[str]) -> int:
    """Return the bytes of memory that a command line gives a guest."""
    words = [word[len("mem=") :] for word in argv if word.startswith("mem=")]
    return parse_size(words[-1]) if words and is_size(words[-1]) else DEFAULT_MEMORY


def _resident(pid: int) -> int:
    return _kilobytes(procfs.read_text(f"/proc/{pid}/status"), "VmRSS") or 0


def _free() -> int:
    """Return the bytes that the VM host can give; without overcommit no more than it has promised less than it has."""
    text = procfs.read_text("/proc/meminfo")
    found = (_kilobytes(text, "MemAvailable") or 0) + (_kilobytes(text, "SwapFree") or 0)
    if procfs.read_text("/proc/sys/vm/overcommit_memory").strip() == _NO_MORE_OVERCOMMIT:
        promised = (_kilobytes(text, "CommitLimit") or 0) - (_kilobytes(text, "Committed_AS") or 0)
        return min(found, max(0, promised))
    return found


def _kilobytes(text: str, name: str) -> Optional[int]:
    """Return the bytes of a line of kB."""
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) << 10 if match else None


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
