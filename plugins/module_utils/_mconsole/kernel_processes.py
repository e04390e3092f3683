# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The kernels among the VM host's processes: which processes they are, and what their command lines say."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from . import procfs

_LOAD_ADDRESS = "60000000-"  # arch/um/Makefile START on x86-64
_MEMORY_FILE = re.compile(r"/(vm_file-\w+|#\d+) \(deleted\)$")  # os-Linux/mem.c; with O_TMPFILE it has no name


class HostProcesses:
    """One look at the host's processes."""

    def __init__(self) -> None:
        found = (procfs.stat(pid) for pid in procfs.pids())
        self.processes = {
            process.pid: process for process in found if process is not None and process.state not in "ZX"
        }
        self._members: Dict[int, List[int]] = {}
        for process in self.processes.values():
            for leader in sorted({process.group, process.session}):
                self._members.setdefault(leader, []).append(process.pid)

    def members(self, pid: int) -> Tuple[int, ...]:
        """Return the living processes of a session or, where a shell with job control started it, of a group."""
        return tuple(sorted(self._members.get(pid, ())))

    def candidates(self) -> Iterator[Tuple[int, List[str]]]:
        """Yield (pid, command line) of those with a umid or a uml_dir on it: group leaders, and orphans of one."""
        for process in self.processes.values():
            if process.size and (process.pid == process.group or process.group not in self.processes):
                argv = procfs.argv(process.pid)
                if any(word.startswith(("umid=", "uml_dir=")) for word in argv[1:]):
                    yield process.pid, argv

    def leads(self, pid: int) -> bool:
        """Return whether a process leads its group."""
        return self.processes[pid].group == pid


def kernel_arg(argv: Sequence[str], name: str) -> Optional[str]:
    """Return the value of the last ``name=value`` on a command line, or None."""
    values = [word[len(name) + 1 :] for word in argv[1:] if word.startswith(f"{name}=")]
    return values[-1] if values else None


def uml_dir_of(pid: int, argv: Sequence[str]) -> str:
    """Return the absolute uml_dir of a running instance, as its kernel finds it (umid.c make_uml_dir)."""
    value = kernel_arg(argv, "uml_dir") or "~/.uml"
    if value.startswith("~"):
        value = _home_of(pid) + value[1:]
    return os.path.normpath(os.path.join(procfs.link(f"/proc/{pid}/cwd") or "/", value))


def _home_of(pid: int) -> str:
    """Return a process's HOME, or its user's where its environment is not ours to read."""
    home = procfs.environ(pid).get("HOME")
    if home is None:
        with contextlib.suppress(OSError, KeyError):
            home = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_dir
    return home or "/"


def console_name(pid: int) -> Optional[str]:
    """Return the umid in the path of the console that a process has open, or None."""
    for inode, path in procfs.socket_inodes(pid).items():
        if procfs.socket_descriptor(pid, {inode: path}) is not None:
            return os.path.basename(os.path.dirname(path))
    return None


def belongs(pid: int, argv: Sequence[str], umid: str) -> bool:
    """Return whether a process is of the instance of a umid: numbers in pid files are reused by others.

    Helpers have the command line of the main process; a random umid is in none, but the console is held open.
    """
    if kernel_arg(argv, "umid") == umid:
        return True
    if not os.access(f"/proc/{pid}/fd", os.R_OK):
        return kernel_arg(argv, "umid") is not None or kernel_arg(argv, "uml_dir") is not None
    inodes = procfs.socket_inodes(pid, f"{umid}/mconsole")
    return procfs.socket_descriptor(pid, inodes) is not None


def is_kernel(pid: int, argv: Sequence[str]) -> bool:
    """Return whether a process that no pid file names is a kernel, not a program with ``umid=`` among its arguments.

    A kernel has no options; it is linked to its own address (from its first moment, also while it reboots), and on
    other machines than x86-64 the file of its memory shows it. A process that hides both counts as a kernel.
    """
    own = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    if any(word.startswith("-") for word in own):
        return False
    if procfs.starts_at(pid, _LOAD_ADDRESS):
        return True
    try:
        links = [procfs.link(f"/proc/{pid}/fd/{name}") or "" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return True
    return any(_MEMORY_FILE.search(link) for link in links)
