# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Instances that systemd keeps: a unit for each, made from one template, and a file that says how it is launched."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
from typing import Any, Dict, Optional, Sequence

from .._guest import console_log
from .._mconsole import procfs
from .._mconsole.errors import Error, InputError, NotAllowedError
from .._mconsole.instances import Place
from . import launch as launches
from .launch import Launch, Started

TEMPLATE = "/etc/systemd/system/uml-mconsole@.service"  # written by the role instances
FOLDER = "/etc/uml-mconsole/instances"
_RUN = "/run/uml-mconsole"  # what the template has for PIDFile
_BOOTED = "/run/systemd/system"  # sd_booted(3)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")  # what systemctl takes as it is, neither escaped nor as a pattern
_TIME = 150.0  # seconds for systemctl; the template gives a start and a stop less than that
_NAME_TIME = 60.0  # seconds for a kernel to take its name; measured: 0.1 s


class UnitProcess:
    """The main process of a unit, with as much of Popen as a launch asks for."""

    def __init__(self, umid: str, pid: Optional[int], status: Optional[int] = None) -> None:
        self._umid = umid
        self._status = status
        self.pid = pid or 0

    def poll(self) -> Optional[int]:
        """Return None while it runs, else its status, which systemd alone knows, or minus the signal that ended it."""
        if self._status is None and not procfs.alive(self.pid):
            self._status = _status(self._umid)
        return self._status

    def terminate(self) -> None:
        """Leave it to systemd."""


def name(umid: str) -> str:
    """Return the name of an instance's unit."""
    return f"uml-mconsole@{umid}.service"


def owns(pid: Optional[int], umid: str) -> bool:
    """Return whether a process is in the control group of the instance's unit."""
    lines = procfs.read_text(f"/proc/{pid}/cgroup").splitlines() if pid else []
    return any(line.endswith(f"/{name(umid)}") for line in lines)


def is_inside(umid: str) -> bool:
    """Return whether this process is the unit's own, which systemd waits for."""
    return owns(os.getpid(), umid)


def place_of(umid: str) -> Optional[Place]:
    """Return where the instance of a unit keeps its files, or None when there is no such unit, or not for this user.

    :raises InputError: when what describes the unit is broken
    """
    path = _path(umid)
    text = procfs.read_text(path)
    try:
        return Place(*json.loads(text)["launch"]["place"]) if text else None
    except (ValueError, KeyError, TypeError) as err:
        raise InputError(f"{path} does not say how {umid} is launched: {err!r}", path=path) from err


def is_enabled(umid: str) -> bool:
    """Return whether the instance is started when the VM host boots."""
    return os.path.islink(f"/etc/systemd/system/multi-user.target.wants/{name(umid)}")


def check(place: Place) -> None:
    """Look whether systemd can keep the instance.

    :raises InputError: when it does not run this machine, or has no unit of that name to give
    :raises NotAllowedError: when this user is not root
    """
    umid, other = place.umid, place_of(place.umid)
    if not os.path.isdir(_BOOTED):
        raise InputError(f"systemd does not run this VM host, so it cannot keep {umid}", umid=umid)
    if os.geteuid() != 0:
        raise NotAllowedError(f"the unit of {umid} is root's; run the task as root (become: true)", umid=umid)
    if not _NAME.match(umid):
        raise InputError(
            f"{umid!r} is not a name for a unit; expected letters, digits, dots, dashes and underscores", umid=umid
        )
    if not os.path.isfile(TEMPLATE):
        raise InputError(f"{TEMPLATE} is not there; the role uml.mconsole.instances writes it", umid=umid)
    if other not in (None, place):
        where = other.uml_dir if other else ""
        raise InputError(f"the unit of {umid} is that of the instance of that name in {where}", umid=umid)


def start(launch: Launch) -> Started:
    """Write down how an instance is launched, and have systemd start it; return when the kernel has its name.

    :raises Error: when systemd does not do so, or the kernel ended before
    """
    umid = launch.place.umid
    offset = console_log.length(launch.log)
    status = None
    _write(umid, launch)
    _reset_failed(umid)
    try:
        systemctl("start", umid)
    except Error:
        status = _status(umid)
        give_up(umid)
        if not console_log.tail(launch.log, offset):
            raise
    return Started(launch, UnitProcess(umid, procfs.read_pid(launch.place.pid_file), status), offset)


def stop(umid: str) -> None:
    """Let systemd know that the instance is to stay down; what is left in its control group is killed."""
    if not is_inside(umid):
        systemctl("stop", umid)


def give_up(umid: str) -> None:
    """Keep systemd from trying again what did not come up, and leave nothing of one that was not there before."""
    stop(umid)
    if not is_enabled(umid):
        remove(umid)


def enable(umid: str) -> None:
    """Have the instance started when the VM host boots."""
    systemctl("enable", umid)


def remove(umid: str) -> None:
    """Undo `enable`, and remove what says how the instance is launched."""
    systemctl("disable", umid)
    if os.path.isdir(f"/etc/systemd/system.control/{name(umid)}.d"):  # what set-property has written
        systemctl("revert", umid)
    _reset_failed(umid)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(umid))


def _reset_failed(umid: str) -> None:
    """Make systemd forget that it failed or was started often; neither prevents a start now."""
    with contextlib.suppress(Error):  # most have not failed
        systemctl("reset-failed", umid)


def _status(umid: str) -> int:
    """Return how the last main process ended: its status, or minus the signal."""
    said = systemctl("show", umid, "--property=ExecMainCode,ExecMainStatus")
    shown = dict(line.split("=", 1) for line in said.splitlines())
    status = int(shown["ExecMainStatus"])
    return status if shown["ExecMainCode"] == str(os.CLD_EXITED) else -status


def launch_from(order: Dict[str, Any]) -> None:
    """Launch what an order says, wait until the kernel has its name, and write down its process: the unit's ExecStart.

    :raises Error: when it ended before
    """
    given = dict(order["launch"], place=Place(*order["launch"]["place"]))
    if given["identity"]:
        uid, gid, groups = given["identity"]
        given["identity"] = launches.RunAs(uid, gid, tuple(groups))
    given["log_file"] = tuple(given["log_file"]) if given["log_file"] else None
    started = launches.start(Launch(**given))
    launches.wait_for_name(started, time.monotonic() + _NAME_TIME)
    os.makedirs(_RUN, 0o755, exist_ok=True)
    with open(os.path.join(_RUN, f"{given['place'].umid}.pid"), "w", encoding="ascii") as stream:
        stream.write(f"{started.process.pid}\n")


def _path(umid: str) -> str:
    return os.path.join(FOLDER, f"{umid}.json")


def _write(umid: str, launch: Launch) -> None:
    """Write the file at once or not at all, for root alone: arguments and environment may hold secrets."""
    os.makedirs(FOLDER, 0o755, exist_ok=True)
    text = json.dumps({"mode": "launch", "launch": launch._asdict()}, indent=1, sort_keys=True)
    descriptor, draft = tempfile.mkstemp(prefix=".", dir=FOLDER)
    with open(descriptor, "w", encoding="ascii") as stream:
        stream.write(text + "\n")
    os.replace(draft, _path(umid))


def systemctl(verb: str, umid: str, *options: str, after: Sequence[str] = ()) -> str:
    """Have systemd do something, and return what it says; ``after`` are words behind the unit's name.

    :raises Error: when it does not, with what it said
    """
    words = ["systemctl", "--no-ask-password", verb, *options, name(umid), *after]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIME, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise Error(f"systemctl {verb} {name(umid)} failed: {err}", umid=umid) from err
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Error(f"systemctl {verb} {name(umid)} failed: {said[0] if said else done.returncode}", umid=umid)
    return done.stdout.decode(errors="replace")
