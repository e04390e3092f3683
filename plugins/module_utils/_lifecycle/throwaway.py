# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What becomes of an instance that lives for one command: its folder, its end, and the verdict on it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import List

from .._guest import console_log
from .._mconsole import procfs
from .._mconsole.console import Console
from .._mconsole.errors import Error
from .._mconsole.instances import Place

_OUT_OF_MEMORY = re.compile(r"Out of memory|System is deadlocked on memory|oom-kill:|Killed process [0-9]+")
_PANIC = "Kernel panic"
_LAST = 20  # lines of a console
_END = 10.0  # seconds until every process of an instance that was killed is gone
_POLL = 0.02
_ANSWER = 3.0  # seconds in which a kernel that does not hang answers

# Ends every process of an instance's session, and removes its folder, after our death, also after SIGKILL.
_KEEPER = (
    "trap '' HUP INT TERM; cat >/dev/null; read -r p <{pid} && for f in /proc/[0-9]*/stat; do"
    " set -- $(sed 's/.*) //' $f 2>/dev/null); f=${{f%/stat}};"
    ' [ "$4" != "$p" ] || kill -9 "${{f#/proc/}}"; done; sleep 0.2; rm -rf -- {folder}'
)


class Scratch:
    """A separate folder for one instance and all that it needs, removed when we end."""

    def __init__(self, umid: str) -> None:
        self.path = tempfile.mkdtemp(prefix="uml-job.", dir="/tmp")
        os.chmod(self.path, 0o755)
        self.place = Place(umid=umid, uml_dir=os.path.join(self.path, "u"))
        self.log = os.path.join(self.path, "console.log")
        self.cow = os.path.join(self.path, "root.cow")
        script = _KEEPER.format(pid=shlex.quote(self.place.pid_file), folder=shlex.quote(self.path))
        self._keeper = subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["/bin/sh", "-c", script, "uml.mconsole keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def close(self) -> None:
        """Remove all of it, the instance included."""
        pid = procfs.read_pid(self.place.pid_file)
        deadline = time.monotonic() + _END
        while pid is not None and time.monotonic() < deadline and _kill_session(pid):
            time.sleep(_POLL)
        shutil.rmtree(self.path, ignore_errors=True)
        with self._keeper:  # closes its pipe and waits for its end
            self._keeper.kill()

    def console(self) -> List[str]:
        """Return the last lines of the instance's console."""
        return console_log.tail(self.log, 0, _LAST)


def _kill_session(pid: int) -> bool:
    """Kill each process of an instance, which has its own session; return False when none runs."""
    members = [stat for stat in map(procfs.stat, procfs.pids()) if stat is not None and stat.session == pid]
    running = [member.pid for member in members if member.state not in "ZX"]
    for member in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    return bool(running)


def verdict(scratch: Scratch, fallback: str) -> str:
    """Return why a command did not end by itself: what the console says, or ``fallback``."""
    text = console_log.read(scratch.log, 0)
    if _OUT_OF_MEMORY.search(text):
        return "out_of_memory"
    if _PANIC in text:
        return "panic"
    return "hang" if fallback == "timeout" and not _answers(scratch.place) else fallback


def ran_out_of_memory(scratch: Scratch) -> bool:
    """Return whether the kernel has ended a process for lack of memory."""
    return _OUT_OF_MEMORY.search(console_log.read(scratch.log, 0)) is not None


def _answers(place: Place) -> bool:
    try:
        return Console(place.console, place.umid, _ANSWER).ask("version") is not None
    except Error:
        return False
