# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Every instance of a VM host, started by any user, and its state."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from .._collector import status_socket
from .._facts import vm_host
from .._lifecycle import instance_report
from .._mconsole import parallel, states
from .._mconsole.console import Console
from .._mconsole.errors import Error
from .._mconsole.instances import Instance
from .._mconsole.states import Probe
from .._task.task import Task
from . import selection
from .perform import bug

SCOPE = "fleet"
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "gather_subset": {"type": "list", "elements": "str"},
    "declaration": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {}
_FACTS_TIME = 10.0  # seconds for those of one instance; a slow one must not take away those of all others
Seen = Tuple[Instance, Probe]


def run(task: Task) -> Dict[str, Any]:
    """Look once at the host, ask each instance that can answer, and list them all by name."""
    found = selection.selected(task)
    probes = states.probe_all(found, task.sockets, task.timeout)
    collectors = status_socket.query_all()
    rows = [instance_report.describe(instance, probe, collectors) for instance, probe in zip(found, probes)]
    for instance in found:
        path = instance_report.open_to_all(instance)
        if path:
            task.warn(f"every user of the VM host may control {instance.place.umid}: {path} is writable by all")
    subsets = task.params.get("gather_subset")
    if subsets is not None:
        _add_facts(task, list(zip(found, probes)), rows, subsets)
    if task.params.get("declaration"):
        _add_declarations(task, list(zip(found, probes)), rows)
    queries = ["version" for probe in probes if probe.version]
    return {"changed": False, "instances": rows, "vm_host": vm_host.describe_vm_host(), "commands": queries}


def _add_facts(task: Task, seen: Sequence[Seen], rows: Sequence[instance_report.Row], subsets: List[str]) -> None:
    """Add the facts of each running instance, side by side; one that fails meanwhile has none and says why."""
    from .._facts import facts  # only here: it is large, and most do not ask

    chosen = facts.select(subsets)

    def ask(pair: Tuple[Instance, Probe]) -> Dict[str, Any]:
        instance, probe = pair
        if probe.state != "running":
            return {"facts": None}
        console = Console(instance.place.console, instance.place.umid, task.timeout, task.sockets, read_only=True)
        try:
            standard, uml = facts.gather(console, chosen, seconds=max(_FACTS_TIME, 2 * task.timeout))
        except Error as err:
            return {"facts": None, "facts_error": str(err)}
        except Exception as err:
            return {"facts": None, "facts_error": str(bug(err))}
        return {"facts": {**standard, "uml": uml}}

    if task.sockets is not None:
        task.sockets.start()
    for row, found in zip(rows, parallel.map_in_parallel(ask, seen)):
        row.update(found)


def _add_declarations(task: Task, seen: Sequence[Seen], rows: Sequence[instance_report.Row]) -> None:
    """Add how each instance would be declared."""
    from .._lifecycle import adoption  # only here: it loads all devices

    def describe(pair: Seen) -> Dict[str, Any]:
        instance, probe = pair
        own = Task(task.params, True, instance.place, task.sockets)
        try:
            return adoption.describe(own, instance, probe)
        except Exception as err:
            known = err if isinstance(err, Error) else bug(err)
            return {"options": None, "notes": [str(known)], "runtime_only": [], "replaced": []}

    if task.sockets is not None:
        task.sockets.start()
    for row, found in zip(rows, parallel.map_in_parallel(describe, seen)):
        row["declaration"] = found
