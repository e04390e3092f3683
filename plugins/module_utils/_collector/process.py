# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Start a collector that outlives us, and end one."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Dict, Optional

from .._lifecycle import launch
from .._mconsole import procfs
from .._mconsole.errors import Error, NotAllowedError, UnansweredError
from .._program import bootstrap, bundle
from . import main, session, status_socket

_START_TIME = 20.0
_END_TIME = 10.0  # seconds until it is killed: it may have much to write
_POLL = 0.02
CARRIED = (bootstrap, main)  # named, so that the archive of a module holds them for the collector
_NAME = "uml.mconsole collector"  # for those who look at the list of processes


def start(order: Dict[str, Any]) -> Dict[str, Any]:
    """Start a collector in a new session, without our descriptors, and return its report once it collects.

    ``order`` are the arguments of :func:`collect.collect`.

    :raises Error: when it did not come up, with its output
    """
    program = bundle.program(bundle.sources(session.ENTRY), session.ENTRY)
    line = json.dumps({"detached": True, **order}).encode("ascii")
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function
        [sys.executable or "python3", "-I", "-S", "-c", bundle.STUB, _NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=launch.environment(),
        start_new_session=True,
    )
    threading.Thread(target=process.wait, name="reap the collector", daemon=True).start()
    said = _talk(process, b"%d\n" % len(program) + program + line + b"\n")
    found = status_socket.query(order["journal_dir"])
    if found is None or found["pid"] != process.pid:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise Error(f"the collector did not start: {lines[-1] if lines else 'it said nothing'}")
    return found


def _talk(process: subprocess.Popen[bytes], program: bytes) -> bytes:
    """Give a process its program, and return what it says until it lets go of its output."""
    if process.stdin is None or process.stdout is None:
        return b""
    said = b""
    with process.stdout, contextlib.suppress(BrokenPipeError):
        with process.stdin:
            process.stdin.write(program)
        deadline = time.monotonic() + _START_TIME
        while select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                break
            said += part
    return said


def stop(directory: str, pid: Optional[int] = None) -> None:
    """End the collector of a directory, by its number if that is known; one that does not end is killed.

    :raises NotAllowedError: when it is another user's
    :raises UnansweredError: when it is still there
    """
    found = session.holder(directory)
    target = found.get("pid", pid) if found is not None else None
    for number in (signal.SIGTERM, signal.SIGKILL):
        if target is None:
            return
        _signal(target, number)
        deadline = time.monotonic() + _END_TIME
        while time.monotonic() < deadline:
            if not _is_there(directory, target):
                return
            time.sleep(_POLL)
    raise UnansweredError(f"the collector {target} of {directory} does not end", pid=target)


def _is_there(directory: str, pid: int) -> bool:
    return session.holder(directory) is not None or procfs.alive(pid)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as err:
        raise NotAllowedError(f"the collector is process {pid}, which belongs to another user", pid=pid) from err
