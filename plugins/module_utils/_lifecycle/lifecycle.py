# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bring an instance into a state: observe it, have the steps decided, look at all that they need, and do each."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Callable, Dict, List, Optional, Tuple

from .._mconsole import instances, liveness
from .._mconsole.console import Console
from .._mconsole.errors import Error, InputError, NotAllowedError, NotThereError, UnansweredError, UnverifiedError
from .._task.reconcile import Change, State, changing
from .._task.task import Task
from . import (
    decide,
    inherited,
    keeper,
    kernel_arg_groups,
    kernel_args,
    launch,
    launch_spec,
    preflight,
    prospect,
    rollback,
    shutdown,
    systemd_unit,
    unit_limits,
)
from .decide import Request, Unit
from .launch import Launch
from .observation import ABSENT, Observation, boot_line, console_log_of, probe_place
from .readiness import Readiness
from .removal import remove

_POLL = 0.02


class Lifecycle:
    """One instance on its way to ``desired``: to be read, planned for, and changed by its steps."""

    def __init__(self, task: Task, wanted: kernel_arg_groups.Words, ready: Readiness) -> None:
        self._task = task
        self._ready = ready
        self._request = Request(task.umid, task.params, wanted, unit_limits.parse(task.params))
        self._unit = Unit()
        self._has_unit = False  # or had or wants one, so that the result says whether it starts at boot
        self._launch: Optional[Launch] = None
        self._previous: Optional[rollback.Previous] = None
        self._started: Optional[launch.Started] = None
        self.sighting = Observation(None, ABSENT)
        self.stop: Optional[shutdown.Stop] = None
        self.steps: Tuple[str, ...] = ()
        self.done: List[str] = []
        self.differences: Dict[str, Dict[str, List[str]]] = {}

    @property
    def deadline(self) -> float:
        """Return until when what is begun now may take."""
        return time.monotonic() + float(self._task.params["wait_timeout"])

    # What is there.

    def read(self, task: Task) -> State:
        """Return the state of the instance, and of its boot line the groups that are wanted."""
        self.sighting = probe_place(task)
        if self._request.desired in decide.UP:
            self._wait_for_boot()
        state: State = {"state": self.sighting.state}
        found, wanted = self.sighting.instance, self._request.words
        if self.sighting.is_up and found is not None:
            actual = boot_line(found)
            self.differences = kernel_args.differences(wanted, actual)
            state.update({"boot_line": {group: actual[group] for group in wanted}} if wanted else {})
        self._read_unit(state)
        return state

    def _read_unit(self, state: State) -> None:
        """Look whether systemd keeps the instance, and whether that is as wanted."""
        place, wanted, pid = self._task.place, self._request.supervisor, self.sighting.pid
        is_declared = systemd_unit.place_of(place.umid) == place
        keeps = systemd_unit.owns(pid, place.umid) if pid else is_declared
        self._unit = Unit(is_declared, keeps, systemd_unit.is_inside(place.umid))
        self._has_unit = self._has_unit or bool(wanted) or keeps
        actual = "systemd" if keeps else "none"
        if self._has_unit:
            state.update(supervisor=actual, starts_at_boot=is_declared and systemd_unit.is_enabled(place.umid))
        if self._request.limits and self._has_unit and self._request.desired not in decide.ENDED:
            state["limits"] = unit_limits.read(place.umid, self._request.limits)
        if pid and wanted not in (None, actual):
            self.differences["supervisor"] = {"running": [actual], "wanted": [str(wanted)]}

    def _wait_for_boot(self) -> None:
        """Wait for one that boots as for one that is started.

        :raises UnansweredError: when it answers and still has no process at the deadline
        """
        deadline = self.deadline
        while self._boots():
            if time.monotonic() > deadline:
                self._give_up_on_boot()
                return
            time.sleep(_POLL)
            self.sighting = probe_place(self._task)

    def _boots(self) -> bool:
        if self.sighting.state == "running":
            log = console_log_of(self.sighting) or ""
            return self._ready.is_awaited(self._task.place, self._task.sockets, log)
        return self.sighting.state == "booting"

    def _give_up_on_boot(self) -> None:
        """Leave one without a console to the plan, which says so."""
        if self.sighting.state == "running":
            raise UnansweredError(
                f"{self._task.umid} answers, and no process ran in it within"
                f" {self._task.params['wait_timeout']} s; wait_for console does not wait for that",
                umid=self._task.umid,
            )

    # The changes to make.

    def plan(self, before: State) -> Change:
        """Return the steps; all that can go wrong with a start is looked for now, before anything is stopped.

        :raises Error: when the state cannot be reached from what is there
        """
        self._check_owner()
        self.steps = steps = decide.steps(self._request, self.sighting, self._unit, before, self.differences)
        if decide.needs_systemd(self._request, self.sighting, self._unit, steps):
            systemd_unit.check(self._task.place)
        if "start" in steps:
            self._launch = self._prepare()
        predicted = decide.predicted(self._request, self.sighting, self._unit, before, steps)
        return Change(self._commands(steps), predicted, self._reason(steps), steps)

    def _reason(self, steps: Tuple[str, ...]) -> str:
        if steps:
            return self.sighting.probe.reason
        otherwise = f", and differs from what is wanted in {', '.join(self.differences)}" if self.differences else ""
        return f"it is {self.sighting.state}{otherwise}"

    def _commands(self, steps: Tuple[str, ...]) -> List[str]:
        """Return the console commands that the steps begin with; what follows depends on what they bring about."""
        found = {"pause": ["stop"], "resume": ["go"], "stop": self._stopping() if "stop" in steps else []}
        return [command for step in steps for command in found.get(step, ())]

    def _stopping(self) -> List[str]:
        ways = self._task.params["stop_methods"]
        paused = self.sighting.state == "paused"
        if self.sighting.state not in decide.UP:
            return []
        wake = ["go"] if paused else []
        if "shutdown" in ways and not paused and shutdown.guest_handles_cad(self._task.console):
            return [*wake, "sysrq s", "cad"]
        return [*wake, *shutdown.SYNC, "halt"] if "halt" in ways else wake

    def _check_owner(self) -> None:
        """Refuse to act on a process of one user because of a pid file that another one could write."""
        found = self.sighting.instance
        with contextlib.suppress(FileNotFoundError):
            owner = os.lstat(self._task.place.directory).st_uid
            if found is not None and found.alive and found.uid not in (owner, None):
                whose, names = instances.user_name(owner), instances.user_name(found.uid or 0)
                raise NotAllowedError(
                    f"{self._task.place.pid_file} of {whose} names process {found.pid} of {names}; nothing was done"
                )

    def _prepare(self) -> Launch:
        found = self.sighting.instance
        old = launch_spec.from_running(found) if found is not None else None
        wanted = launch_spec.merge(self._task.params, self._task.place, self._request.words, old)
        own = (found.pid or 0, *found.members) if found is not None else ()
        force = bool(self._task.params["force"])
        self._check_shared(force)
        warnings = inherited.check(found, wanted.argv, force) if found is not None else []
        dare = force or (old is not None and "memory" not in self._request.words)
        warnings += preflight.check(wanted, dare, own, self._task.params["memory_budget"])
        for text in [*warnings, *prospect.check(wanted, force)]:
            self._task.warn(text)
        self._ready.check(wanted)
        if self._task.params["rollback"] and found is not None and found.alive:
            state = self.sighting.state
            self._previous = rollback.prepare(self._task.place, found, state, self._unit.keeps, force)
        return wanted

    def _check_shared(self, force: bool) -> None:
        """Refuse to start over what another machine may run: a process there cannot be seen here.

        :raises InputError: when the directory that is left is on a file system of several machines
        """
        folder = self._task.place.directory
        kind = liveness.shared_filesystem(folder) if self.sighting.state == "stale" else None
        if kind and not force:
            raise InputError(
                f"{folder} is on a file system ({kind}) that other VM hosts may use, and its process is not on this"
                f" one; end {self._task.umid} there, remove {folder}, or set force=true to start it here",
                umid=self._task.umid,
                path=folder,
            )

    # Doing it.

    def apply(self, task: Task, plan: Change) -> None:
        """Do the steps, each proven before the next."""
        table: Dict[str, Callable[[], None]] = {
            "resume": self._resume,
            "pause": self._pause,
            "stop": self._stop,
            "clear": self._clear,
            "start": self._start,
            "limit": lambda: unit_limits.write(task.umid, self._request.limits),
            "enable": lambda: systemd_unit.enable(task.umid),
            "disable": lambda: systemd_unit.remove(task.umid),
        }
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, NotThereError):  # what is not there yet has no pid file
                stack.enter_context(task.exclusive())
            for step in plan.steps:
                table[step]()
                self.done.append(step)

    def _resume(self) -> None:
        self._command("go", "running")

    def _pause(self) -> None:
        self._command("stop", "paused")

    def _command(self, text: str, state: str) -> None:
        self._task.console.command(text)
        found = probe_place(self._task)
        if found.state != state:
            raise UnverifiedError(
                f"{self._task.umid} said OK to {text!r}, and it is {found.state}, not {state}", umid=self._task.umid
            )

    def _stop(self) -> None:
        if self._previous is not None:
            rollback.keep_kernel(self._previous)
        self.stop = self._end(self._unit.keeps)

    def _end(self, is_by_unit: bool) -> Optional[shutdown.Stop]:
        """End what runs, and remove what it leaves."""
        found = self.sighting.instance
        if found is None:
            return None
        params, other = self._task.params, keeper.find(found)
        way = shutdown.Shutdown(
            found, self.sighting.state, self._console(), params["stop_methods"], float(params["stop_timeout"])
        )
        stop = way.run()
        shutdown.kill_members(found)
        if is_by_unit:
            systemd_unit.stop(self._task.umid)
        remove(self._task.place, found.pid)
        warning = keeper.look_again(found, other) if other is not None else None
        if warning:
            self._task.warn(warning)
        return stop

    def sent(self) -> List[str]:
        """Return the commands that were sent and change something."""
        return changing(self._console().sent)

    def _console(self) -> Console:
        """Return the console, or one that goes nowhere where the path of the real one is too long for a socket."""
        try:
            return self._task.console
        except InputError:
            return Console(os.devnull, self._task.umid)

    def _clear(self) -> None:
        found = self.sighting.instance
        if found is not None:
            if not found.alive:
                shutdown.kill_members(found)
            remove(self._task.place, found.pid)
        if self._request.desired == "absent":
            rollback.forget_kernel(self._task.place)

    def _start(self) -> None:
        if self._launch is None:
            return
        is_by_unit = self._request.is_by_unit(self._unit)
        try:
            self._bring_up(self._launch, is_by_unit)
        except Error as err:
            if self._previous is None:
                raise
            self._roll_back(self._previous, err, is_by_unit)
        if self._launch.argv[0] != rollback.copy_of(self._task.place):
            rollback.forget_kernel(self._task.place)

    def _bring_up(self, wanted: Launch, is_by_unit: bool) -> None:
        """Start a kernel and wait until it is ready; what is left of one that ended is removed."""
        deadline = self.deadline
        with self._ready.listening(wanted):
            self._started = started = (systemd_unit if is_by_unit else launch).start(wanted)
            try:
                self._ready.wait(started, self._task.sockets, deadline)
            except Error:
                if started.process.poll() is not None:
                    if is_by_unit:
                        systemd_unit.give_up(self._task.umid)
                    shutdown.kill_left_behind(started.process.pid, self._task.umid)
                    remove(self._task.place, started.process.pid)
                raise

    def _roll_back(self, previous: rollback.Previous, err: Error, is_by_unit: bool) -> None:
        """Start the instance again as it ran.

        :raises Error: always, with the reason why the new start failed
        """
        what = f"the new {', '.join(self.differences)}" if self.differences else "a restart"
        said = f"{self._task.umid} did not come up with {what}: {rollback.reason(err)}"
        try:
            self._end_started(is_by_unit)
            self._bring_up(previous.launch, previous.is_by_unit)
            if previous.was_paused:
                self._pause()
        except Error as again:
            raise Error(f"{said}; and it could not be started again as it ran before: {again}", **err.facts) from err
        self.done.append("rollback")
        raise Error(f"{said}; it runs again with the options that it had before", **err.facts)

    def _end_started(self, is_by_unit: bool) -> None:
        """End what was started and is not ready, also if it has not taken its name."""
        started, self._started = self._started, None
        if started is None or started.process.poll() is not None:
            return
        self.sighting = probe_place(self._task)
        if self.sighting.pid == started.process.pid:
            self._end(is_by_unit)
        elif not is_by_unit:
            shutdown.kill_started(started.process.pid, self._task.umid)
        if is_by_unit:
            systemd_unit.give_up(self._task.umid)
