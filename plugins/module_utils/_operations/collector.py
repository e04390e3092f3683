# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Start and end the collector, which writes the events of instances into a journal."""

from __future__ import annotations

import time
from typing import Any, Dict, Optional

from .._collector import metrics_address, process, session, status_socket
from .._collector.patterns import watches
from .._journal import event_filter
from .._journal.event_filter import SEVERITIES
from .._mconsole import locks, names, parsing
from .._mconsole.errors import InputError, NotAllowedError
from .._mconsole.private_dir import private_directory
from .._program import bundle
from .._task.reconcile import Change, State, sync
from .._task.task import Task

SCOPE = "host"
PATTERN: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "regex": {"type": "str", "required": True},
    "severity": {"type": "str", "choices": list(SEVERITIES), "default": "warning"},
}
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["started", "stopped", "restarted"], "default": "started"},
    "patterns": {"type": "list", "elements": "dict", "options": PATTERN},
    "uml_dirs": {"type": "list", "elements": "str"},
    "event_rate": {"type": "float"},
    "journal_size": {"type": "str"},
    "metrics_file": {"type": "str"},
    "metrics_listen": {"type": "str"},
    "guest_metrics": {"type": "bool"},
    "journal_dir": {"type": "str"},
}
CONSTRAINTS: Dict[str, Any] = {}
_SETTINGS = ("patterns", "uml_dirs", "event_rate", "journal_size", "metrics_file", "metrics_listen", "guest_metrics")
_PATIENCE = 60.0


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the VM host."""
    return True


def run(task: Task) -> Dict[str, Any]:
    """Bring the collector of one journal into its state, alone: of two tasks at once the second finds it there."""
    given = _given(task.params)
    directory = event_filter.directory(task.params)
    job = _Job(directory, str(task.params["state"]), given)
    if task.check:
        return job.report(task, sync(task, job.read, job.plan, job.apply))
    busy = f"another task is starting or stopping the collector of {directory}"
    with locks.named(private_directory, f"collector {directory}", time.monotonic() + _PATIENCE, busy):
        return job.report(task, sync(task, job.read, job.plan, job.apply))


def _given(params: Dict[str, Any]) -> Dict[str, Any]:
    """Return the settings that the task says, checked, as the collector takes them.

    :raises InputError: when one cannot be used
    """
    given = {name: params[name] for name in _SETTINGS if params.get(name) is not None}
    watches(given.get("patterns", ()))
    if given.get("event_rate", 0) < 0:
        rate = given["event_rate"]
        raise InputError(f"event_rate is {rate:g}; expected events per second, or 0 for no limit", event_rate=rate)
    if "journal_size" in given:
        given["journal_size"] = parsing.parse_size(given["journal_size"], "journal_size", least=1 << 16)
    if "metrics_file" in given:
        given["metrics_file"] = _metrics_file(given["metrics_file"])
    if "metrics_listen" in given:
        given["metrics_listen"] = _metrics_listen(given["metrics_listen"])
    if "uml_dirs" in given:
        given["uml_dirs"] = [names.host_path(path, "uml_dirs") for path in given["uml_dirs"]] or None
    return given


def _metrics_file(text: str) -> Optional[str]:
    """Return the path of a file that node_exporter would read, or None for no file.

    :raises InputError: when it would not
    """
    path = names.host_path(text, "metrics_file") if text else None
    if path is not None and not path.endswith(".prom"):
        raise InputError(f"metrics_file is {path!r}; expected a name that ends with .prom", path=path)
    return path


def _metrics_listen(text: str) -> Optional[str]:
    """Return where metrics are served, or None for nowhere; a path as the collector finds it.

    :raises InputError: when it is not an address
    """
    return metrics_address.parse(text).path or text if text else None


class _Job:
    """One collector on its way to a state."""

    def __init__(self, directory: str, desired: str, given: Dict[str, Any]) -> None:
        self._directory = directory
        self._desired = desired
        self._given = given
        self.found: Optional[Dict[str, Any]] = None

    def read(self, _task: Task) -> State:
        """Return its state, its settings, and the hash of its code."""
        self.found = status_socket.query(self._directory)
        if self.found is None:
            holder = session.holder(self._directory)
            return {"state": "stopped"} if holder is None else {"state": "hung", **holder.get("order", {})}
        return {"state": "started", "code": self.found["code"], **self.found["order"]}

    def plan(self, before: State) -> Change:
        """Return the steps.

        :raises NotAllowedError: when it is not ours to end
        """
        there = before["state"] != "stopped"
        if self._desired == "stopped":
            steps = ("stop",) if there else ()
            reason = "" if there else "already stopped"
            return Change([], {"state": "stopped"}, reason, self._allowed(steps))
        wanted = {"state": "started", "code": bundle.digest(session.ENTRY), **self._order(before)}
        different = [name for name in wanted if before.get(name) != wanted[name]]
        if there and not different and self._desired == "started":
            return Change([], before, "already running as requested")
        reason = f"running with another {', '.join(different)}" if there and different else ""
        return Change([], wanted, reason, self._allowed(("stop", "start") if there else ("start",)))

    def _allowed(self, steps: Any) -> Any:
        if "stop" in steps and self.found is not None and self.found["service"]:
            raise NotAllowedError(
                f"a service manager of the VM host runs the collector {self.found['pid']}; change its unit instead",
                pid=self.found["pid"],
            )
        return steps

    def _order(self, before: State) -> State:
        """Return the settings: the given ones, others as they are, or by default."""
        default: State = {"patterns": [], "uml_dirs": None, "event_rate": session.RATE, "guest_metrics": True}
        return {name: self._given.get(name, before.get(name, default.get(name))) for name in _SETTINGS}

    def apply(self, _task: Task, plan: Change) -> None:
        """End the one that runs, start one."""
        if "stop" in plan.steps:
            process.stop(self._directory, self.found["pid"] if self.found else None)
        if "start" in plan.steps:
            settings = {name: plan.predicted[name] for name in _SETTINGS}
            process.start({"journal_dir": self._directory, **settings})

    def report(self, task: Task, result: Dict[str, Any]) -> Dict[str, Any]:
        """Return the result with how it is now."""
        now = self.found or {}
        del result["commands"]  # it sends none, and never will
        result.update(
            state=result["diff"]["after"]["state"],
            journal_dir=self._directory,
            code=result["diff"]["after"].get("code"),
            pid=None if task.check and result["changed"] else now.get("pid"),
            instances=now.get("instances", []),
            counters=now.get("counters", {}),
        )
        return result
