# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What to start: what a task says, and for all that it does not say what runs now, or a default."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Mapping, Optional, Tuple

from .._mconsole import names, placeholders, procfs
from .._mconsole.errors import InputError, NotAllowedError
from .._mconsole.instances import Instance, Place
from . import instance_report, kernel_arg_groups, kernel_args, kernel_script, launch
from .launch import Launch

_NAMESPACES = ("mnt", "net", "pid")
_SAYS = ("root", "disk0", "kernel_args")  # groups of which one must say what the guest is


def check_root(where: Place, wanted: kernel_arg_groups.Words) -> None:
    """Refuse to start an instance from nothing.

    :raises InputError: when no option names a root file system
    """
    if not wanted.keys() & set(_SAYS):
        raise _unknown(where)


def merge(params: Mapping[str, Any], where: Place, wanted: kernel_arg_groups.Words, old: Optional[Launch]) -> Launch:
    """Return what to start: the wanted groups, and all else as in the process that runs, or by default.

    :raises InputError: when neither says what the guest is
    """
    if old is None:
        check_root(where, wanted)
    base = old or Launch(where, [], launch.environment(), "/", "")
    program = (
        wanted["kernel"][0] if "kernel" in wanted else old.argv[0] if old else kernel_args.program(kernel_args.KERNEL)
    )
    words = kernel_args.compose(where, wanted, old.argv if old else None)
    log = _path(params, "console_log", where) or base.log or f"{where.directory}.log"
    known = base.log_file if log == base.log else None
    memory = _path(params, "memory_dir", where)
    environment = {**base.environment, "TMPDIR": memory} if memory else base.environment
    environment = kernel_script.mark(environment, program)
    return base._replace(place=where, argv=[program, *words], environment=environment, log=log, log_file=known)


def _unknown(where: Place) -> InputError:
    """Return the error that says why nothing is known of a guest, and what to do."""
    ended = os.path.lexists(where.directory)
    why = "has ended, and its command line with it" if ended else "does not run"
    return InputError(
        f"the instance {where.umid!r} {why}, so the task must say what to start; set root (or devices.ubd0), and the"
        " kernel, memory, devices and kernel_args that it had",
        umid=where.umid,
    )


def _path(params: Mapping[str, Any], name: str, where: Place) -> str:
    value = params.get(name)
    return names.host_path(placeholders.filled(value, where.umid), name) if value else ""


def from_running(found: Instance) -> Optional[Launch]:
    """Return how an instance was started, from /proc of its main process or of an orphaned helper; None of a stale one.

    To be read before its processes end.

    :raises NotAllowedError: when it belongs to another user, or runs in namespaces in which a new one would not
    """
    pid = found.pid if found.alive else next(iter(found.members), None)
    if pid is None or not found.argv:
        return None
    identity = launch.identity_of(pid)
    for kind in _NAMESPACES:
        if procfs.link(f"/proc/{pid}/ns/{kind}") != procfs.link(f"/proc/self/ns/{kind}"):
            raise NotAllowedError(
                f"{found.place.umid} runs in another {kind} namespace, and would start in this one; restart it there",
                umid=found.place.umid,
            )
    program = procfs.link(f"/proc/{pid}/exe") or found.argv[0]
    program = found.argv[0] if os.path.isabs(found.argv[0]) else program.replace(" (deleted)", "")
    program = kernel_script.of(procfs.environ(pid)) or program
    cwd = procfs.link(f"/proc/{pid}/cwd") or "/"
    log = instance_report.log_of(pid) or ""
    words = [program, *found.argv[1:]]
    return Launch(found.place, words, procfs.environ(pid), cwd, log, identity, _written(pid))


def _written(pid: int) -> Optional[Tuple[int, int]]:
    """Return (st_dev, st_ino) of a process's standard output, if it is open for writing."""
    flags = procfs.descriptor_flags(pid, 1)
    if flags is None or flags & os.O_ACCMODE == os.O_RDONLY:
        return None
    with contextlib.suppress(OSError):
        found = os.stat(f"/proc/{pid}/fd/1")
        return found.st_dev, found.st_ino
    return None
