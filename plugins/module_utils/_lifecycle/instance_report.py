# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The report of an instance that modules return, from its processes and files, and from its console."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Dict, Optional, Sequence, Tuple

from .._guest import parsers
from .._mconsole import instances, notify, procfs
from .._mconsole.errors import InputError
from .._mconsole.instances import Instance
from .._mconsole.states import Probe
from . import networks, xstate

Row = Dict[str, Any]


def describe(instance: Instance, probe: Probe, collectors: Sequence[Tuple[int, Row]] = ()) -> Row:
    """Return what a module reports of an instance; what cannot be seen, or is gone with its process, is None.

    ``collectors`` are those that run, each with its owner (:func:`door.ask_all`).
    """
    where = instance.place
    return {
        "umid": where.umid,
        "uml_dir": where.uml_dir,
        "console": console_of(instance),
        "state": probe.state,
        "state_reason": probe.reason,
        "pid": instance.pid if instance.alive else None,
        "processes": len(instance.members),
        "owner": instances.user_name(instance.uid) if instance.uid is not None else None,
        "kernel": parsers.platform(probe.version).get("kernel"),
        **_of_process(instance),
        "networks": networks.attachments(instance) if instance.alive else [],
        "world_writable": None if (found := open_to_all(instance)) is None else bool(found),
        "collector_coverage": coverage(instance, collectors) if instance.alive else None,
    }


def _of_process(instance: Instance) -> Row:
    """Return what /proc shows of the main process."""
    pid = instance.pid if instance.alive else None
    return {
        "kernel_path": kernel_path(instance),
        "arguments": list(instance.argv[1:]),
        "cwd": procfs.link(f"/proc/{pid}/cwd") if pid else None,
        "console_log": log_of(pid) if pid else None,
        "started": started(instance.start) if pid else None,
        "memory": resident(pid) if pid else None,
        "xstate_shim": xstate.is_used(pid) if pid else None,
    }


def coverage(instance: Instance, collectors: Sequence[Tuple[int, Row]]) -> Row:
    """Return what of an instance is written to a journal, by its own user's collector or by root's."""
    path = notify.path_of(instance.argv, procfs.link(f"/proc/{instance.pid}/cwd") or "/")
    found = [
        followed
        for owner, status in collectors
        for followed in status.get("instances", ())
        if owner in (0, instance.uid) and followed.get("pid") == instance.pid
    ]
    alone = {"notifications_reason": "no collector covers it", "console_reason": "no collector covers it"}
    best = max(found, key=lambda row: (bool(row["notifications"]), bool(row["console_followed"])), default=alone)
    return {
        "notify": path,
        "notifications": bool(best.get("notifications")),
        "notifications_reason": best["notifications_reason"] if path else "it was started without a notify socket",
        "console": bool(best.get("console_followed")),
        "console_reason": best["console_reason"],
    }


def console_of(instance: Instance) -> Optional[str]:
    """Return the path of the console, or None when it is too long for there to be one."""
    try:
        return instance.place.console
    except InputError:
        return None


def kernel_path(instance: Instance) -> Optional[str]:
    """Return the kernel's file, or what it was called where that is not ours to see."""
    link = procfs.link(f"/proc/{instance.pid}/exe") if instance.alive else None
    return link or (instance.argv[0] if instance.argv else None)


def log_of(pid: int) -> Optional[str]:
    """Return the file that a process's standard output goes to, or None when that file cannot be opened again.

    The host makes up a name for a file that was removed, and the owner may put a link to anything there.
    """
    own = f"/proc/{pid}/fd/1"
    target = procfs.link(own) or ""
    with contextlib.suppress(OSError):
        there, opened = os.lstat(target), os.stat(own)
        if target == os.devnull or (stat.S_ISREG(there.st_mode) and os.path.samestat(there, opened)):
            return target
    return None


def started(ticks: int) -> Optional[int]:
    """Return when a process started, in seconds since 1970, from ticks since the host booted."""
    for line in procfs.read_text("/proc/stat").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) + ticks // os.sysconf("SC_CLK_TCK")
    return None


def resident(pid: int) -> Optional[int]:
    """Return the bytes of host memory that an instance holds: the main process maps all of it, the others parts."""
    for line in procfs.read_text(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    return None


def open_to_all(instance: Instance) -> Optional[str]:
    """Return what lets every user of the host control the instance, or nothing; None when that cannot be seen.

    That is its console, if they may write to it, or a directory in which they may put another one in its place.
    """
    path = console_of(instance)
    if path is None:
        return None
    with contextlib.suppress(OSError):
        for folder in (instance.place.uml_dir, instance.place.directory):
            mode = os.stat(folder).st_mode
            if not mode & stat.S_IXOTH:
                return ""
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                return folder
        return path if os.stat(path).st_mode & stat.S_IWOTH else ""
    return None
