# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How an instance is, by its process, the flags of its console's socket, and two questions that change nothing."""

from __future__ import annotations

import os
import time
from typing import List, NamedTuple, Optional, Sequence, Tuple

from . import liveness, parallel, procfs
from .console import Console
from .errors import Error, InputError, NotThereError, UnansweredError
from .instances import Instance
from .reply_sockets import ReplySockets
from .wire import TIMEOUT

_MOMENT = 0.2  # seconds between the end of one boot and the next; measured: a few milliseconds


class Probe(NamedTuple):
    """How an instance is: ``state``, the reason for it in one sentence, and what ``version`` answered (or nothing).

    ``state`` is one of STATES.
    """

    state: str
    reason: str
    version: str = ""


STATES = {
    "running": "it answers",
    "paused": "its console is stopped and answers; it goes on with go",
    "booting": "its process runs, and its console is not there yet",
    "hung": "its process or its console's worker does not answer",
    "frozen": "its console is stopped and answers no more; only ending it helps",
    "stale": "its process is gone, its directory is left",
    "orphaned": "its main process is gone, and helpers of it hold on to its console and disks",
    "unknown": "its process runs, or may run, and this user or this host cannot see more",
}


def run_state(instance: Instance, sockets: Optional[ReplySockets] = None, timeout: float = TIMEOUT) -> Tuple[str, str]:
    """Return (state, reason) of an instance; nothing that changes something is sent."""
    found = probe(instance, sockets, timeout)
    return found.state, found.reason


def probe_all(
    instances: Sequence[Instance], sockets: Optional[ReplySockets] = None, timeout: float = TIMEOUT
) -> List[Probe]:
    """Return how each of many instances is; those that hang are waited for side by side."""
    shared = sockets or ReplySockets()
    return parallel.map_in_parallel(lambda instance: probe(instance, shared, timeout), instances)


def probe(instance: Instance, sockets: Optional[ReplySockets] = None, timeout: float = TIMEOUT) -> Probe:
    """Return how one instance is, within ``timeout`` seconds; only ``version`` and ``help`` are ever sent."""
    if not instance.alive:
        return _dead(instance)
    if instance.process_state in "Tt":
        return Probe("hung", f"its process {instance.pid} is stopped by a signal or a debugger")
    try:
        console = Console(instance.place.console, instance.place.umid, timeout, sockets, read_only=True)
    except InputError as err:
        return Probe("unknown", f"it has no console: {err}")
    return _asked(instance, console, timeout)


def _dead(instance: Instance) -> Probe:
    if instance.members:
        helpers = ", ".join(map(str, instance.members))
        return Probe("orphaned", f"its main process {instance.pid} is gone, its helpers {helpers} are not")
    if procfs.is_hidden(instance.pid):
        return Probe(
            "unknown", f"its process {instance.pid} cannot be seen: /proc hides those of other users (hidepid)"
        )
    if liveness.has_listener(os.path.join(instance.place.directory, "mconsole")):
        return Probe("unknown", "a process that cannot be seen here has its console open, perhaps in a container")
    return Probe("stale", f"its process {instance.pid if instance.pid else '(unknown)'} is gone, its directory is left")


def _asked(instance: Instance, console: Console, timeout: float) -> Probe:
    """Ask a living instance; the flags of its socket show a stopped console (:meth:`Console.paused`)."""
    paused = console.paused()
    try:
        version = console.request("version", timeout=timeout * 0.8).text
    except UnansweredError:
        return _unanswered(console, bool(paused), timeout * 0.2)
    except NotThereError:
        return _without_console(instance)
    except Error as err:
        return Probe("unknown", str(err))
    if paused:
        return Probe("paused", "its console is stopped", version)
    return Probe("running", "" if paused is False else "whether it is paused cannot be seen by this user", version)


def _unanswered(console: Console, paused: bool, timeout: float) -> Probe:
    """Distinguish a frozen instance from a hung one, and an instance that hangs from one whose worker alone does."""
    if paused:
        return Probe("frozen", "its console is stopped and did not answer 'version'")
    try:
        console.request("help", timeout=timeout)
    except Error:
        return Probe("hung", f"it did not answer 'version' within {timeout * 4:g} s")
    return Probe("hung", "its console's worker waits for something: 'help' was answered, 'version' was not")


def _without_console(instance: Instance) -> Probe:
    """Distinguish an instance that has not opened its console yet from one whose console file was removed.

    One that reboots removes its files with the old console still open, and is another program a moment later.
    """
    deadline = time.monotonic() + _MOMENT
    while _holds_console(instance):
        if time.monotonic() > deadline:
            return Probe(
                "unknown", f"its process {instance.pid} runs, but its console {instance.place.console} is gone"
            )
        time.sleep(_MOMENT / 10)
    return Probe("booting", f"its process {instance.pid} runs, and its console is not there yet")


def _holds_console(instance: Instance) -> bool:
    """Return whether a process has its console open although no client can reach it."""
    inodes = procfs.socket_inodes(instance.pid or 0, f"{instance.place.umid}/mconsole")
    return bool(instance.pid) and procfs.socket_descriptor(instance.pid or 0, inodes) is not None
