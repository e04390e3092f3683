# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bring an instance into a state: what is there, the steps from there, and each step done and proven."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .._mconsole import instances, procfs, states
from .._mconsole.console import Console
from .._mconsole.errors import Error, InputError, NotAllowedError, NotThereError, UnansweredError, UnverifiedError
from .._mconsole.instances import Instance, Place
from .._mconsole.states import Probe
from .._task.reconcile import Change, State, changing
from .._task.task import Task
from . import (
    instance_report,
    kernel_arg_groups,
    kernel_args,
    launch,
    launch_spec,
    preflight,
    shutdown,
    systemd_unit,
    unit_limits,
)
from .launch import Launch
from .readiness import Readiness

ABSENT = Probe("absent", "")
_UP = ("running", "paused")
_ENDED = ("stopped", "absent")
_POLL = 0.02
_THEN: Dict[str, Tuple[str, ...]] = {"paused": ("pause",)}
# (desired state, what is there) -> steps; what is there and not in the table is stopped, cleared and started anew.
_STEPS: Dict[Tuple[str, str], Tuple[str, ...]] = {
    ("running", "running"): (),
    ("running", "paused"): ("resume",),
    ("paused", "running"): ("pause",),
    ("paused", "paused"): (),
    ("stopped", "absent"): (),
    ("stopped", "stale"): (),
    ("stopped", "orphaned"): ("clear",),
    ("absent", "absent"): (),
    ("absent", "stale"): ("clear",),
    ("absent", "orphaned"): ("clear",),
    ("stopped", "up"): ("stop",),
    ("absent", "up"): ("stop", "clear"),
    ("running", "absent"): ("start",),
    ("running", "stale"): ("clear", "start"),
    ("running", "orphaned"): ("clear", "start"),
    ("paused", "absent"): ("start", "pause"),
    ("paused", "stale"): ("clear", "start", "pause"),
    ("paused", "orphaned"): ("clear", "start", "pause"),
    ("restarted", "absent"): ("start",),
    ("restarted", "stale"): ("clear", "start"),
    ("restarted", "orphaned"): ("clear", "start"),
    ("restarted", "up"): ("stop", "clear", "start"),
}


class Observation(NamedTuple):
    """What is there: the instance (None when nothing is), and how it is."""

    instance: Optional[Instance]
    probe: Probe

    @property
    def state(self) -> str:
        """Return its run state, or ``absent``."""
        return self.probe.state

    @property
    def is_up(self) -> bool:
        """Tell whether its main process runs."""
        return self.instance is not None and self.instance.alive


class Lifecycle:
    """One instance on its way to ``desired``: to be read, planned for, and changed by its steps."""

    def __init__(self, task: Task, wanted: kernel_arg_groups.Words, ready: Readiness) -> None:
        self._task = task
        self._wanted = wanted
        self._ready = ready
        self._desired = str(task.params["state"])
        self._launch: Optional[Launch] = None
        self.sighting = Observation(None, ABSENT)
        self.stop: Optional[shutdown.Stop] = None
        self._is_declared = False  # a unit of systemd is for it
        self._kept = False  # by that unit, now or when it was last there
        self._has_unit = False  # or had or wants one, so that it is told whether it starts at boot
        self.steps: Tuple[str, ...] = ()
        self.done: List[str] = []
        self.differences: Dict[str, Dict[str, List[str]]] = {}
        self._limits = unit_limits.parse(task.params)

    @property
    def deadline(self) -> float:
        """Return until when what is begun now may take."""
        return time.monotonic() + float(self._task.params["wait_timeout"])

    # What is there.

    def read(self, task: Task) -> State:
        """Return the state of the instance, and of its boot line the groups that are wanted."""
        self.sighting = probe_place(task)
        if self._desired in _UP:
            self._wait_for_boot()
        state: State = {"state": self.sighting.state}
        found = self.sighting.instance
        if self.sighting.is_up and found is not None:
            actual = _boot_line(found)
            self.differences = kernel_args.differences(self._wanted, actual)
            state.update({"boot_line": {group: actual[group] for group in self._wanted}} if self._wanted else {})
        self._read_unit(state)
        return state

    def _read_unit(self, state: State) -> None:
        """Look whether systemd keeps the instance, and whether that is as wanted."""
        place, wanted = self._task.place, self._task.params.get("supervisor")
        pid = self.sighting.instance.pid if self.sighting.is_up and self.sighting.instance else None
        self._is_declared = systemd_unit.place_of(place.umid) == place
        self._kept = systemd_unit.owns(pid, place.umid) if pid else self._is_declared
        self._has_unit = self._has_unit or bool(wanted) or self._kept
        actual = "systemd" if self._kept else "none"
        if self._has_unit:
            state.update(supervisor=actual, starts_at_boot=self._is_declared and systemd_unit.is_enabled(place.umid))
        if self._limits and self._has_unit and self._desired not in _ENDED:
            state["limits"] = unit_limits.read(place.umid, self._limits)
        if pid and wanted not in (None, actual):
            self.differences["supervisor"] = {"running": [actual], "wanted": [str(wanted)]}

    @property
    def _by_unit(self) -> bool:
        """Tell whether systemd is to keep it; who does not say, leaves that as it is."""
        return (self._task.params.get("supervisor") or ("systemd" if self._kept else "none")) == "systemd"

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

    def _restarts(self) -> bool:
        """Tell whether it is to be restarted for the sake of its boot line."""
        return bool(self.differences) and self._desired in _UP and self._task.params["restart"] == "when_required"

    # What is to be done.

    def plan(self, before: State) -> Change:
        """Return the steps; all that can go wrong with a start is looked for now, before anything is stopped.

        :raises Error: when the state cannot be reached from what is there
        """
        self._check_owner()
        main = self._steps()
        steps = (*self._limit_steps(before), *main, *self._unit_steps(before, main))
        if "stop" in steps and not self._task.params["stop_methods"]:
            raise InputError(
                f"{self._task.umid} is to be stopped, and stop_methods allows no way", umid=self._task.umid
            )
        self.steps = steps
        if "start" in steps:
            self._launch = self._prepare()
        predicted: State = {**before, "state": _predicted(self._desired, main, self.sighting.state)}
        if "start" in steps and self._wanted:
            predicted["boot_line"] = self._wanted
        elif predicted["state"] == "absent":
            predicted.pop("boot_line", None)
        if self._has_unit:
            predicted.update(self._predicted_unit(before, steps))
        return Change(self._commands(steps), predicted, self._reason(steps), steps)

    def _steps(self) -> Tuple[str, ...]:
        there = self.sighting.state
        if self._restarts():
            return ("stop", "clear", "start", *_THEN.get(self._desired, ()))
        if (self._desired, there) in _STEPS:
            return _STEPS[self._desired, there]
        if (self._desired, "up") in _STEPS:
            return _STEPS[self._desired, "up"]
        reason = self.sighting.probe.reason
        if there == "unknown":
            raise NotAllowedError(f"{self._task.umid} cannot be {self._desired}: {reason}", umid=self._task.umid)
        raise UnansweredError(
            f"{self._task.umid} is {there}: {reason}; state restarted ends it and starts it anew", umid=self._task.umid
        )

    def _unit_steps(self, before: State, steps: Sequence[str]) -> Tuple[str, ...]:
        """Return the step after which the VM host starts the instance when it boots, or does so no longer."""
        if systemd_unit.is_inside(self._task.umid):
            return ()  # systemd itself stops it, and will start it when the VM host boots
        wanted, is_ended = self._task.params.get("supervisor"), self._desired in _ENDED
        if is_ended and not self._is_declared and not self._kept:
            return ()
        is_left = self._kept and self.sighting.is_up and "stop" not in steps
        if self._by_unit or (self._kept and not is_left):
            systemd_unit.check(self._task.place)
        if is_ended or (wanted == "none" and not is_left):
            return ("disable",) if self._is_declared else ()
        will_be_kept = self._by_unit and (is_left or "start" in steps)
        return ("enable",) if will_be_kept and not before["starts_at_boot"] else ()

    def _limit_steps(self, before: State) -> Tuple[str, ...]:
        """Return the step that sets the limits of the unit, which the instance need not be restarted for.

        :raises InputError: when systemd does not keep the instance
        """
        if not self._limits or self._desired in _ENDED:
            return ()
        if not self._by_unit:
            raise InputError(
                f"{', '.join(self._limits)} of {self._task.umid} cannot be set; expected supervisor=systemd",
                umid=self._task.umid,
            )
        systemd_unit.check(self._task.place)
        return ("limit",) if before["limits"] != self._limits else ()

    def _predicted_unit(self, before: State, steps: Sequence[str]) -> State:
        """Return what keeps the instance after the steps."""
        kept = self._by_unit if "start" in steps else self._kept and "disable" not in steps
        starts = "enable" in steps or (before["starts_at_boot"] and "disable" not in steps)
        limits = {"limits": self._limits} if "limit" in steps else {}
        return {"supervisor": "systemd" if kept else "none", "starts_at_boot": starts, **limits}

    def _reason(self, steps: Sequence[str]) -> str:
        if steps:
            return self.sighting.probe.reason
        otherwise = f", and differs from what is wanted in {', '.join(self.differences)}" if self.differences else ""
        return f"it is {self.sighting.state}{otherwise}"

    def _commands(self, steps: Sequence[str]) -> List[str]:
        """Return the console commands that the steps begin with; what follows depends on what they bring about."""
        found = {"pause": ["stop"], "resume": ["go"], "stop": self._stopping() if "stop" in steps else []}
        return [command for step in steps for command in found.get(step, ())]

    def _stopping(self) -> List[str]:
        ways = self._task.params["stop_methods"]
        paused = self.sighting.state == "paused"
        if self.sighting.state not in _UP:
            return []
        wake = ["go"] if paused else []
        if "shutdown" in ways and not paused and shutdown.guest_handles_cad(self._task.console):
            return [*wake, "cad"]
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
        wanted = launch_spec.merge(self._task.params, self._task.place, self._wanted, old)
        own = (found.pid or 0, *found.members) if found is not None else ()
        dare = bool(self._task.params["force"]) or (old is not None and "memory" not in self._wanted)
        for text in preflight.check(wanted, dare, own, self._task.params["memory_budget"]):
            self._task.warn(text)
        self._ready.check(wanted)
        return wanted

    # Doing it.

    def apply(self, task: Task, plan: Change) -> None:
        """Do the steps, each proven before the next."""
        table: Dict[str, Callable[[], None]] = {
            "resume": self._resume,
            "pause": self._pause,
            "stop": self._stop,
            "clear": self._clear,
            "start": self._start,
            "limit": lambda: unit_limits.write(task.umid, self._limits),
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
        found = self.sighting.instance
        if found is None:
            return
        params = self._task.params
        way = shutdown.Shutdown(
            found, self.sighting.state, self._console(), params["stop_methods"], float(params["stop_timeout"])
        )
        self.stop = way.run()
        shutdown.kill_members(found)
        if self._kept:
            systemd_unit.stop(self._task.umid)
        remove(self._task.place, found.pid)

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

    def _start(self) -> None:
        if self._launch is None:
            return
        deadline = self.deadline
        with self._ready.listening(self._launch):
            started = (systemd_unit if self._by_unit else launch).start(self._launch)
            try:
                self._ready.wait(started, self._task.sockets, deadline)
            except Error:
                if started.process.poll() is not None:
                    if self._by_unit:
                        systemd_unit.give_up(self._task.umid)
                    remove(self._task.place, started.process.pid)
                raise


def resolve_place(task: Task) -> Place:
    """Return the place that a task means, which is in the default directory unless ``uml_dir`` names another.

    Instances of other users are only pointed out, because another user may run one of the same name.

    :raises InputError: when this user runs an instance of that name in another directory
    :raises NotAllowedError: when this user may not look into the uml_dir
    """
    if instances.is_there(task.place) or task.params.get("uml_dir"):
        return task.place
    found = [each for each in instances.discover() if each.place.umid == task.umid and each.alive]
    own = [instance.place for instance in found if instance.uid == os.geteuid()]
    default = [place for place in own if instances.is_default(place)]
    if not default:
        instances.refuse_elsewhere(own)
    for instance in found:
        if instance.place not in own:
            owner = instances.user_name(instance.uid or 0)
            task.warn(
                f"{owner} runs another instance {task.umid} in {instance.place.uml_dir}; set uml_dir to act on it"
            )
    return default[0] if default else task.place


def probe_place(task: Task) -> Observation:
    """Return what there is of an instance now."""
    found = instances.find_instance(task.place)
    return Observation(found, states.probe(found, task.sockets, task.timeout) if found is not None else ABSENT)


def _predicted(desired: str, steps: Sequence[str], there: str) -> str:
    """Return the state after the steps."""
    if not steps:
        return there
    return desired if desired in _UP else ("running" if desired == "restarted" else "absent")


def remove(where: Place, pid: Optional[int]) -> None:
    """Remove the directory that a dead instance left; links are never followed, files of others never removed.

    ``pid`` is what its pid file may say at most: when another instance has taken the place, nothing is done.

    :raises NotAllowedError: when this user may not, or when something else is in it
    """
    if procfs.read_pid(where.pid_file) not in (pid, None):
        return
    try:
        folder = os.open(where.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        for name, kind in (("mconsole", stat.S_ISSOCK), ("pid", stat.S_ISREG)):
            with contextlib.suppress(FileNotFoundError):
                if kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=folder)
        os.rmdir(where.directory)
    except OSError as err:
        raise NotAllowedError(
            f"what {where.umid} left in {where.directory} cannot be removed: {err.strerror}", path=where.directory
        ) from err
    finally:
        os.close(folder)


def console_log_of(sighting: Observation) -> Optional[str]:
    """Return the file that the instance's console goes to, or None when there is none or it cannot be seen."""
    found = sighting.instance
    return instance_report.log_of(found.pid) if found is not None and found.alive and found.pid else None


def _boot_line(found: Instance) -> kernel_arg_groups.Words:
    """Return by what words an instance runs; its kernel is the file, which may have been replaced since."""
    return {**kernel_arg_groups.split(found.argv[1:]), "kernel": [instance_report.kernel_path(found) or ""]}
