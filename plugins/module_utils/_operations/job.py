# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One command in an instance that is there for it alone, and a verdict on how it ended."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from typing import Any, BinaryIO, Dict, List, Optional

from .._guest import ktap
from .._guest_shell.line import Gone
from .._guest_shell.login import Account
from .._guest_shell.session import Outcome, Session
from .._guest_shell.sessions import Door, Sessions
from .._guest_shell.talk import Cancelled
from .._lifecycle import kernel_args, launch_spec, throwaway
from .._lifecycle.throwaway import Scratch
from .._mconsole.errors import Error, InputError
from .._mconsole.instances import Place
from .._mconsole.names import host_path
from .._task.task import COMMON_ARGUMENTS, Task
from . import instance, perform

SCOPE = "host"
_OF_INSTANCE = ("kernel", "memory", "ncpus", "root", "devices", "kernel_args", "memory_dir")
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    **{name: instance.ARGUMENTS[name] for name in _OF_INSTANCE},
    "command": {"type": "str", "required": True},
    "shell_as_init": {"type": "bool", "default": False},
    "boot_timeout": {"type": "float", "default": 60.0},
    "time_limit": {"type": "float", "default": 600.0},
    "collect": {"type": "list", "elements": "str"},
    "collect_to": {"type": "str"},
    "max_output": {"type": "int", "default": 4 << 20},
}
CONSTRAINTS: Dict[str, Any] = {"required_by": {"collect": "collect_to"}}
_SHELL = "/bin/sh"
# A shell that is init reads the line as the console, which the kernel writes to as well.
_AS_INIT = ["console=tty0", "console=ttyS1"]
Result = Dict[str, Any]


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the VM host."""
    return True


def run(task: Task) -> Result:
    """Start the instance, run the command, and remove the instance, also after a failure."""
    umid = task.params.get("umid") or f"job-{secrets.token_hex(4)}"
    if task.check:
        launch_spec.check_root(Place(umid, ""), kernel_args.desired(_of_instance(task.params, None), umid))
        return {"changed": True, "verdict": None, "umid": umid}
    scratch = Scratch(umid)
    try:
        return _Job(task, scratch).run()
    finally:
        scratch.close()


def _of_instance(params: Dict[str, Any], cow: Optional[str]) -> Dict[str, Any]:
    """Return the options of the instance that runs the command; ``cow`` takes what the guest writes to its image."""
    found = {name: params.get(name) for name in _OF_INSTANCE}
    root = found["root"] or {}
    if cow and root.get("image") and not root.get("cow") and not root.get("read_only"):
        found["root"] = {**root, "cow": cow}
    if params["shell_as_init"]:
        words = found["kernel_args"] or []
        if not isinstance(words, list):
            raise InputError("kernel_args of a job with shell_as_init must be a list of words")
        found["kernel_args"] = [*words, *_AS_INIT]
        found["root"] = {**(found["root"] or {}), "init": _SHELL}
    return found


class _Job:
    """One command and what came of it."""

    def __init__(self, task: Task, scratch: Scratch) -> None:
        self._task, self._scratch = task, scratch
        self._params = task.params
        self._result: Result = {"changed": True, "umid": scratch.place.umid, "rc": None, "stdout": "", "stderr": ""}
        self._result.update(files=[], boot_time=None)

    def run(self) -> Result:
        """Return the result; it has failed unless the command ended with status 0."""
        began = time.monotonic()
        verdict = self._boot() or self._work()
        self._result["duration"] = round(time.monotonic() - began, 3)
        self._result.update(verdict=verdict, console=self._scratch.console())
        self._result["ktap"] = ktap.parse(self._result["stdout"])
        if verdict != "ended" or self._result["rc"] != 0:
            self._result.update(failed=True, msg=self._failure(verdict))
        return self._result

    def _failure(self, verdict: str) -> str:
        if verdict == "ended":
            return f"the command ended with status {self._result['rc']}"
        return f"the command did not end by itself: {verdict} (the last lines of the console are in the result)"

    def _boot(self) -> Optional[str]:
        """Start the instance; return why it did not come up."""
        specs = {**COMMON_ARGUMENTS, **instance.ARGUMENTS}
        params = {name: spec.get("default") for name, spec in specs.items()}
        params.update(_of_instance(self._params, self._scratch.cow), **self._scratch.place._asdict())
        params["console_log"] = self._scratch.log
        ready = "console" if self._params["shell_as_init"] else "login"  # a look at the line would end that init
        params.update(wait_for=ready, wait_timeout=self._params["boot_timeout"], supervisor="none")
        began = time.monotonic()
        found = perform.perform(instance, params, False, self._task.sockets, self._task.origin)
        if not found.get("failed"):
            self._result["boot_time"] = round(time.monotonic() - began, 3)
            return None
        if found.get("error", {}).get("kind") == "input":
            raise InputError(found["msg"])
        self._result["stderr"] = found["msg"]
        return throwaway.verdict(self._scratch, "no_boot")

    def _work(self) -> str:
        """Run the command, and return how that ended."""
        sessions = Sessions(ends_commands=False)  # they end with the instance
        deadline = time.monotonic() + float(self._params["time_limit"])
        door = Door(self._scratch.place, None, Account("root", None, _SHELL), "auto", self._task.timeout)
        try:
            with sessions.borrow(door, self._params["boot_timeout"], lambda: time.monotonic() > deadline) as session:
                self._keep(session.run(self._params["command"], None))
                self._collect(session)
            return "out_of_memory" if self._was_killed() else "ended"
        except Cancelled:
            return throwaway.verdict(self._scratch, "timeout")
        except (Gone, Error) as err:
            self._result["stderr"] = self._result["stderr"] or str(err)
            return throwaway.verdict(self._scratch, "timeout" if time.monotonic() > deadline else "lost")
        finally:
            sessions.close()

    def _was_killed(self) -> bool:
        return self._result["rc"] != 0 and throwaway.ran_out_of_memory(self._scratch)

    def _keep(self, outcome: Outcome) -> None:
        most = int(self._params["max_output"])
        with outcome.out, outcome.err:
            self._result.update(rc=outcome.rc, stdout=_text(outcome.out, most), stderr=_text(outcome.err, most))

    def _collect(self, session: Session) -> None:
        """Copy files of the guest to the VM host; one that is not there is said and does not end the job."""
        names: List[str] = self._params["collect"] or []
        folder = host_path(self._params["collect_to"], "collect_to") if names else ""
        for path in names:
            target = os.path.join(folder, os.path.basename(path))
            try:
                with session.fetch(path) as source:
                    os.makedirs(folder, exist_ok=True)
                    with open(target, "wb") as stream:
                        shutil.copyfileobj(source, stream)
                self._result["files"].append(target)
            except Error as err:
                self._task.warn(f"{path} was not collected: {err}")


def _text(stream: BinaryIO, most: int) -> str:
    """Return the last ``most`` bytes of a stream as text."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - most, 0))
    return stream.read().decode("utf-8", "replace")
