# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Look, before a kernel is started, for what would make it die, lose its console or spoil a disk.

A kernel itself reports these late or not at all: without room for its console's path it runs without one, a disk that
is missing becomes a ghost, and a umid in use becomes six random characters.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Callable, List, Pattern, Sequence, Tuple

from .._mconsole import parsing
from .._mconsole.errors import InputError, NotAllowedError, NotThereError
from .._mconsole.names import MAX_SOCKET_PATH
from .._mconsole.wire import encode_text
from . import disk_check, host_check, kernel_arg_groups, kernel_args, kernel_file
from .launch import Launch, kernel_environment

LEAST_MEMORY = 64 << 20  # with less, kernels 6.1 and 6.12 sometimes die while booting
ENOUGH_MEMORY = 112 << 20  # threads-max of Debian's kernels is 779 and more then; a boot makes 680 to 750 tasks
_ST_NOEXEC = 8
_SECCOMP = (6, 16)
_Check = Callable[["re.Match[str]", Launch, Sequence[int]], None]


def check(launch: Launch, force: bool = False, own: Sequence[int] = (), memory_budget: str = "warn") -> List[str]:
    """Return warnings about a launch; ``own`` are the processes of the instance itself, which may hold its disks.

    :raises Error: when the kernel would die, lose its console, or work on a disk of another
    """
    _check_place(launch)
    _check_log(launch)
    _check_program(launch)
    kernel_environment(launch)
    warnings = [*host_check.check_rights(launch), *host_check.check_room(launch), *_check_kernel(launch)]
    before = next(iter(own), 0)
    warnings += _check_memory(launch, force, before) + host_check.check_budget(launch, memory_budget, before)
    warnings += disk_check.check(launch, own)
    for word in launch.argv[1:]:
        for pattern, look in _CHECKS:
            match = pattern.fullmatch(word)
            if match is not None:
                look(match, launch, own)
    return warnings


def _check_place(launch: Launch) -> None:
    """Look at the uml_dir, which is made if its parent is there, as the kernel does; without that the kernel crashes.

    :raises InputError: also when the console's path is too long
    """
    where, _console = launch.place, launch.place.console
    folder = where.uml_dir if os.path.lexists(where.uml_dir) else os.path.dirname(where.uml_dir)
    if not os.path.isdir(folder):
        raise NotThereError(f"the uml_dir {where.uml_dir} cannot be made: {folder} is not a directory", path=folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        why = ", whose file system is read-only" if os.statvfs(folder).f_flag & os.ST_RDONLY else ""
        raise NotAllowedError(
            f"not allowed to make {where.umid!r} in {folder}{why}; choose another uml_dir", path=folder
        )


def _check_log(launch: Launch) -> None:
    inside = os.path.join(os.path.realpath(launch.place.directory), "")
    if os.path.realpath(launch.log).startswith(inside):
        raise InputError(f"the console log {launch.log} is inside {inside}, which the kernel clears", path=launch.log)
    if os.path.lexists(launch.log) and launch.log != os.devnull and not stat.S_ISREG(os.lstat(launch.log).st_mode):
        raise InputError(f"the console log {launch.log} is not a regular file; expected one, or {os.devnull}")
    folder = os.path.dirname(launch.log)
    if folder == launch.place.uml_dir or launch.log == os.devnull:
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the console log {launch.log} cannot be made: {folder} is not there or not writable")


def _check_program(launch: Launch) -> None:
    """Look at the kernel's file and the working directory; those of an instance that runs may be gone by now.

    :raises InputError: when the kernel could not be executed there
    """
    kernel_args.program(launch.argv[0])
    if not kernel_file.is_program(launch.argv[0]):
        raise InputError(
            f"the kernel {launch.argv[0]} is not a program; expected a 64-bit ELF file, or a script that starts one",
            kernel=launch.argv[0],
        )
    if not os.path.isdir(launch.cwd):
        raise InputError(f"the working directory {launch.cwd} of {launch.place.umid} is not there", path=launch.cwd)


def _check_kernel(launch: Launch) -> List[str]:
    """Refuse what the kernel would hand to its guest's init, and point out what it would ignore.

    :raises InputError: when the kernel is too old for seccomp
    """
    kernel = kernel_file.inspect(launch.argv[0])
    words = kernel_arg_groups.split(launch.argv[1:])
    if words["seccomp"] and kernel.is_before(*_SECCOMP):
        raise InputError(f"{words['seccomp'][0]} needs a kernel from 6.16 on, and {launch.argv[0]} is {kernel.release}")
    if words["ncpus"] and kernel.smp is False and words["ncpus"] != ["ncpus=1"]:
        return [f"{words['ncpus'][0]} has no effect: {launch.argv[0]} ({kernel.release}) is built for one CPU (no SMP)"]
    return []


def _check_memory(launch: Launch, force: bool, own: int) -> List[str]:
    """Refuse too little memory, and point out what may be too little."""
    words = [word[4:] for word in launch.argv if word.startswith("mem=")]
    wanted = parsing.parse_size(words[-1]) if words else LEAST_MEMORY
    if wanted < LEAST_MEMORY and not force:
        raise InputError(
            f"memory is {words[-1]}, and kernels with less than 64M die while booting; set force=true to try"
        )
    warnings = _check_room(launch, wanted, force, own)
    if wanted < ENOUGH_MEMORY:
        least = f"{ENOUGH_MEMORY >> 20}M"
        warnings.append(
            f"with less than {least} of memory some boots of Debian's kernels end in a guest that cannot fork"
        )
    return warnings


def _check_room(launch: Launch, wanted: int, force: bool, own: int) -> List[str]:
    """Refuse a file system for the memory that cannot hold it (os-Linux/mem.c)."""
    folder = host_check.memory_directory(launch.environment)
    try:
        found = os.statvfs(folder)
    except OSError:
        raise InputError(f"the directory {folder} for the instance's memory is not there", path=folder) from None
    if found.f_flag & _ST_NOEXEC:
        raise InputError(f"{folder} is mounted noexec, and a kernel cannot have its memory there; give memory_dir")
    if found.f_blocks * found.f_frsize < wanted and not force:
        raise InputError(f"{folder} cannot hold a memory of {wanted} bytes; give another memory_dir", path=folder)
    return host_check.check_memory_dir(launch, own)


def _check_initrd(match: re.Match[str], launch: Launch, own: Sequence[int]) -> None:
    disk_check.check_readable(os.path.join(launch.cwd, match["value"]), "the initrd")


def _check_hostfs(match: re.Match[str], launch: Launch, own: Sequence[int]) -> None:
    if "rootfstype=hostfs" in launch.argv and not os.path.isdir(match["value"]):
        raise InputError(f"the root directory {match['value']} is not there", path=match["value"])


def _check_notify(match: re.Match[str], launch: Launch, own: Sequence[int]) -> None:
    """Look at the length of the path, which the kernel copies without looking (mconsole_user.c mconsole_notify)."""
    if len(encode_text(match["value"])) > MAX_SOCKET_PATH:
        raise InputError(f"the notify path {match['value']!r} has over {MAX_SOCKET_PATH} bytes")


_CHECKS: Tuple[Tuple[Pattern[str], _Check], ...] = (
    (re.compile(r"initrd=(?P<value>.*)"), _check_initrd),
    (re.compile(r"rootflags=(?P<value>/.*)"), _check_hostfs),
    (re.compile(r"mconsole=notify:(?P<value>.*)"), _check_notify),
)
