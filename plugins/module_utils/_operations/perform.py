# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Run an operation on one instance, on many, or on the VM host, and say truthfully what came of it."""

from __future__ import annotations

import fnmatch
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

from .._guest.console_log import harmless
from .._mconsole import instances, parallel
from .._mconsole.errors import Error, InputError
from .._mconsole.instances import Place
from .._mconsole.reply_sockets import ReplySockets
from .._task.json_safe import json_safe
from .._task.task import Task

Result = Dict[str, Any]


def perform(
    operation: ModuleType, params: Dict[str, Any], check: bool = False, sockets: Optional[ReplySockets] = None
) -> Result:
    """Return the result of an operation, as its module returns it; errors of the tree become ``failed``."""
    shared = sockets or ReplySockets()
    try:
        return _dispatch(operation, params, check, shared)
    except Error as err:
        return failure(err)
    finally:
        if sockets is None:
            shared.close()


def _dispatch(operation: ModuleType, params: Dict[str, Any], check: bool, sockets: ReplySockets) -> Result:
    if operation.SCOPE in ("host", "fleet"):
        return _run(operation, Task(params, check, sockets=sockets))
    if params.get("umids") is not None:
        return _run_many(operation, params, check, sockets)
    return _run(operation, Task(params, check, _place(operation, params), sockets))


def failure(err: Error) -> Result:
    """Return the result of an operation that an error ended."""
    return _told({"failed": True, "changed": False, "msg": str(err), "error": err.describe()})


def _told(result: Result) -> Result:
    """Return a result that JSON can carry, and whose words for people cannot command their terminal.

    They may quote a guest, or a name that somebody has chosen on the VM host, and Ansible prints them as they are.
    """
    told: Result = json_safe(result)
    if "msg" in told:
        told["msg"] = harmless(told["msg"])
    if "warnings" in told:
        told["warnings"] = [harmless(text) for text in told["warnings"]]
    return told


def _run(operation: ModuleType, task: Task) -> Result:
    try:
        result: Result = operation.run(task)
    except Error as err:
        result = failure(err)
        if operation.SCOPE != "host":
            result["commands"] = list(err.facts.get("commands", ()))
        result["changed"] = bool(err.facts.get("changed", False))
    if task.umid:
        result.setdefault("umid", task.umid)
    if task.warnings:
        result["warnings"] = task.warnings
    return _told(result)


def _place(operation: ModuleType, params: Dict[str, Any]) -> Place:
    umid = params.get("umid")
    if not umid:
        raise InputError("no instance is named: give umid or umids, or run the task on an instance host")
    if operation.SCOPE == "name":
        return instances.place(umid, params.get("uml_dir"))
    return instances.locate(umid, params.get("uml_dir"))


def _places(operation: ModuleType, params: Dict[str, Any], warn: Callable[[str], None]) -> List[Place]:
    """Return the places of ``umids``: names as they stand, globs from what is there; each place once."""
    known = instances.places(params.get("uml_dir"))
    found: Dict[Place, None] = {}
    for pattern in params["umids"]:
        if any(char in pattern for char in "*?["):
            matching = [each for each in known if fnmatch.fnmatchcase(each.umid, pattern)]
            if not matching:
                warn(f"no instance of this VM host matches {pattern!r}")
            found.update(dict.fromkeys(_meant(operation, params, matching, warn)))
        else:
            found[_place(operation, {**params, "umid": pattern})] = None
    return list(found)


def _meant(
    operation: ModuleType, params: Dict[str, Any], matching: List[Place], warn: Callable[[str], None]
) -> List[Place]:
    """Return of the places that match a glob those that are meant.

    What may start or end an instance is about this user's own, as it is with a name, unless ``uml_dir`` says which.
    """
    if operation.SCOPE != "name" or params.get("uml_dir"):
        return matching
    own = [each for each in matching if instances.is_own(each)]
    if len(own) < len(matching):
        others = ", ".join(each.directory for each in matching if each not in own)
        warn(f"instances of other users match, which are not meant without uml_dir: {others}")
    return own


def _run_many(operation: ModuleType, params: Dict[str, Any], check: bool, sockets: ReplySockets) -> Result:
    warnings: List[str] = []
    places = _places(operation, params, warnings.append)
    sockets.start()
    results = parallel.map_in_parallel(lambda place: _isolated(operation, Task(params, check, place, sockets)), places)
    return _told(_together({_key(place, places): found for place, found in zip(places, results)}, warnings))


def _isolated(operation: ModuleType, task: Task) -> Result:
    """Run it on one of many, which must not lose their results by what this one's guest says."""
    try:
        return _run(operation, task)
    except Exception as err:
        return {**failure(bug(err)), "umid": task.umid, "commands": list(task.sent)}


def bug(err: Exception) -> Error:
    """Return the error that tells of a fault of ours."""
    return Error(f"a bug of the collection: {type(err).__name__}: {err}", kind="bug")


def _key(place: Place, places: List[Place]) -> str:
    """Return the umid, or the directory where two uml_dirs hold the same umid."""
    same = [each for each in places if each.umid == place.umid]
    return place.umid if len(same) == 1 else place.directory


def _warned(results: Dict[str, Result]) -> List[str]:
    """Take the warnings from the results; what several instances are warned of is said once, with their names."""
    warned: Dict[str, List[str]] = {}
    for umid, result in results.items():
        for text in result.pop("warnings", ()):
            warned.setdefault(text, []).append(umid)
    return [f"{', '.join(umids)}: {text}" for text, umids in warned.items()]


def _together(results: Dict[str, Result], warnings: List[str]) -> Result:
    """Return one result of many: one truthful ``changed``, each instance's own under ``instances``."""
    failed = {umid: result for umid, result in results.items() if result.get("failed")}
    diffs = [
        {"before_header": umid, "after_header": umid, **result.pop("diff")}
        for umid, result in results.items()
        if "diff" in result
    ]
    together: Result = {
        "changed": any(result.get("changed") for result in results.values()),
        "instances": results,
        "diff": diffs,
        "warnings": [*warnings, *_warned(results)],
    }
    if failed:
        said = "; ".join(f"{umid}: {result['msg']}" for umid, result in failed.items())
        together.update(failed=True, msg=f"{len(failed)} of {len(results)} instances failed: {said}")
    return together
