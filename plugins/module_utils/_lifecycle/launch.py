# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Start a kernel detached, and wait until it answers, or say why it does not."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Protocol, Tuple

from .._guest import console_log
from .._mconsole import instances, procfs, syscalls
from .._mconsole.console import Console
from .._mconsole.errors import Error, InputError, NotAllowedError, UnansweredError
from .._mconsole.instances import Place
from .._mconsole.reply_sockets import ReplySockets
from . import xstate
from .kernel_args import PATH

LEFT = "it was left running"
_POLL = 0.01
_SENSIBLE = 0o022  # umask: any user who can write to a console controls its instance
# Replaces itself by the kernel, as another user or with another umask: threads cannot have these for a child alone,
# and subprocess has names for them from Python 3.9 only. The kernel's environment comes through a descriptor, because
# a user's own LD_PRELOAD must not be loaded by a program that is still root's.
_STARTER = """
import json, os, sys
umask, uid, gid, groups, descriptor = sys.argv[1:6]
with open(int(descriptor)) as stream:
    environment = json.load(stream)
os.umask(int(umask))
if uid:
    os.setgroups([int(group) for group in groups.split(",") if group])
    os.setgid(int(gid))
    os.setuid(int(uid))
os.execve(sys.argv[6], sys.argv[6:], environment)
"""


class RunAs(NamedTuple):
    """The user that an instance runs as, where that is not the running one."""

    uid: int
    gid: int
    groups: Tuple[int, ...]


class Launch(NamedTuple):
    """All that starts one kernel: ``argv`` with the program's absolute path first, and what it finds around it.

    ``log_file`` is (st_dev, st_ino) of a log that the instance has written to before, also where another user owns it.
    """

    place: Place
    argv: List[str]
    environment: Dict[str, str]
    cwd: str
    log: str
    identity: Optional[RunAs] = None
    log_file: Optional[Tuple[int, int]] = None


class Process(Protocol):
    """The questions about a kernel's process, with any parent."""

    pid: int

    def poll(self) -> Optional[int]:
        """Return None while it runs, else its status, or the signal that ended it as a negative number."""

    def terminate(self) -> None:
        """Ask it to end."""


class Started(NamedTuple):
    """A kernel that was started: its process, and how long its log was before."""

    launch: Launch
    process: Process
    offset: int


def environment(memory_dir: Optional[str] = None) -> Dict[str, str]:
    """Return the environment of a kernel: nothing of a task, above all not its TMPDIR, where memory would go."""
    home = os.path.expanduser("~")
    found = {"HOME": home, "PATH": PATH, "USER": instances.user_name(os.geteuid())}
    return {**found, "LOGNAME": found["USER"], **({"TMPDIR": memory_dir} if memory_dir else {})}


# Starting.


def start(launch: Launch) -> Started:
    """Start the kernel in a new session, without our descriptors, and return at once."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(launch.place.uml_dir, 0o755)
    offset = console_log.length(launch.log)
    owner = launch.identity.uid if launch.identity else None
    found = kernel_environment(launch)
    descriptor = console_log.open_log(launch.log, owner, launch.log_file)
    try:
        process = _spawn(launch, found, descriptor)
    except OSError as err:
        raise InputError(
            f"the kernel {launch.argv[0]} cannot be started: {err.strerror}", kernel=launch.argv[0]
        ) from err
    finally:
        os.close(descriptor)
    # A zombie counts as alive for the next kernel of that umid (umid.c is_umdir_used), so it is reaped when it ends.
    threading.Thread(target=process.wait, name=f"reap {launch.place.umid}", daemon=True).start()
    return Started(launch, process, offset)


def kernel_environment(launch: Launch) -> Dict[str, str]:
    """Return the environment that the kernel gets, with the register shim where that kernel needs it.

    :raises NotThereError: when it needs the shim, and can load none
    """
    uid = launch.identity.uid if launch.identity else os.geteuid()
    return xstate.environment(launch.argv[0], launch.environment, uid)


def _spawn(launch: Launch, found: Dict[str, str], log: int) -> subprocess.Popen[bytes]:
    """Start the kernel itself wherever possible, else what replaces itself by it."""
    with syscalls.fixed_addresses():
        if launch.identity is None and _umask() & _SENSIBLE == _SENSIBLE:
            return _run(launch, launch.argv, log, found)
        with os.fdopen(os.memfd_create("environment"), "w") as stream:
            stream.write(json.dumps(found))
            stream.flush()
            stream.seek(0)
            return _run(launch, _command(launch, stream.fileno()), log, {}, (stream.fileno(),))


def _run(
    launch: Launch, words: List[str], log: int, found: Dict[str, str], inherited: Tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # pylint: disable=ansible-bad-function
        words,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=launch.cwd,
        env=found,
        pass_fds=inherited,
        start_new_session=True,
    )


def _command(launch: Launch, descriptor: int) -> List[str]:
    """Return the words that start the kernel as its user and with a sensible umask."""
    words = [str(_umask() | _SENSIBLE), "", "", "", str(descriptor)]
    if launch.identity is not None:
        uid, gid, groups = launch.identity
        words[1:4] = [str(uid), str(gid), ",".join(map(str, groups))]
    return [sys.executable or "python3", "-I", "-S", "-c", _STARTER, *words, *launch.argv]


def _umask() -> int:
    """Return this process's umask without changing it; a console that others may write to is theirs."""
    found = re.search(r"^Umask:\s*([0-7]+)", procfs.read_text("/proc/self/status"), re.MULTILINE)
    return int(found.group(1), 8) if found else 0


# Waiting.


def wait(started: Started, sockets: Optional[ReplySockets], deadline: float, ready: Callable[[Started], bool]) -> None:
    """Wait until the kernel's console answers and it is ready.

    :raises Error: when it ended, when it took another name, or when the deadline passed
    """
    for _turn in _turns(deadline):
        _check_alive(started)
        if _has_own_name(started) and answers(started.launch.place, sockets) and ready(started):
            return
    raise _late(started)


def wait_for_name(started: Started, deadline: float) -> None:
    """Wait until the kernel has taken its umid, after which no other kernel gets it."""
    for _turn in _turns(deadline):
        _check_alive(started)
        if _has_own_name(started):
            return
    raise _late(started)


def _turns(deadline: float) -> Iterator[None]:
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL)


def _check_alive(started: Started) -> None:
    """Look whether the kernel still runs.

    :raises Error: when it ended
    """
    code = started.process.poll()
    if code is None:
        return
    where, log = started.launch.place, started.launch.log
    how = f"signal {-code}" if code < 0 else f"status {code}"
    why = console_log.complaint(log, started.offset)
    raise Error(
        f"the kernel of {where.umid} ended with {how} while it booted: {why}",
        umid=where.umid,
        console_log=log,
        console_log_lines=console_log.tail(log, started.offset),
    )


def _late(started: Started) -> Error:
    where, log = started.launch.place, started.launch.log
    lines = console_log.tail(log, started.offset)
    return UnansweredError(
        f"{where.umid} was started as process {started.process.pid} and was not ready in time; {LEFT}."
        f" The last it said: {lines[-1].strip() if lines else 'nothing'}",
        umid=where.umid,
        pid=started.process.pid,
        changed=True,
        console_log=log,
        console_log_lines=lines,
    )


def _has_own_name(started: Started) -> bool:
    """Return whether the kernel is in its place.

    :raises InputError: when another kernel is, so that ours took a random name; ours is ended
    """
    pid = procfs.read_pid(started.launch.place.pid_file)
    if pid is None or pid == started.process.pid:
        return pid is not None
    if not procfs.alive(pid):
        return False
    started.process.terminate()
    umid = started.launch.place.umid
    raise InputError(
        f"the umid {umid!r} was taken by process {pid} meanwhile; the one just started was ended", umid=umid
    )


def answers(where: Place, sockets: Optional[ReplySockets]) -> bool:
    """Return whether a console answers, without waiting long."""
    if not os.path.exists(where.console):
        return False
    try:
        return Console(where.console, where.umid, 1.0, sockets, read_only=True).request("version").ok
    except Error:
        return False


def identity_of(pid: int) -> Optional[RunAs]:
    """Return the user that a process runs as, or None when it is the running one.

    :raises NotAllowedError: when it is another and this user is not root
    """
    lines = (line.partition(":") for line in procfs.read_text(f"/proc/{pid}/status").splitlines())
    found = {name: text.split() for name, _colon, text in lines if name in ("Uid", "Gid", "Groups")}
    uid = int(found["Uid"][1]) if "Uid" in found else os.geteuid()
    if uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        owner = instances.user_name(uid)
        raise NotAllowedError(f"process {pid} belongs to {owner}; run the task as that user", pid=pid)
    return RunAs(uid, int(found["Gid"][1]), tuple(map(int, found.get("Groups", ()))))
