# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Run an operation on one instance, on many, or on the VM host, and say truthfully what came of it."""

from __future__ import annotations

import fnmatch
import functools
from types import ModuleType
from typing import Any, Callable, Dict, List, Mapping, Optional

from .._guest.console_log import harmless
from .._mconsole import instances, names, parallel
from .._mconsole.errors import Error, InputError
from .._mconsole.instances import Place
from .._mconsole.parsing import check_seconds
from .._mconsole.reply_sockets import ReplySockets
from .._mconsole.wire import TIMEOUT
from .._task.json_safe import json_safe
from .._task.task import Task
from . import audit
from .registry import changes

Result = Dict[str, Any]
TaskMaker = Callable[..., Task]


def perform(
    operation: ModuleType,
    params: Dict[str, Any],
    check: bool = False,
    sockets: Optional[ReplySockets] = None,
    origin: Optional[Mapping[str, Any]] = None,
) -> Result:
    """Return the result of an operation, as its module returns it; errors of the tree become ``failed``.

    ``origin`` says who wants it, for the journal.
    """
    shared = sockets or ReplySockets()
    try:
        return _dispatch(operation, params, functools.partial(Task, params, check, sockets=shared, origin=origin))
    except Error as err:
        return failure(err)
    finally:
        if sockets is None:
            shared.close()


def _dispatch(operation: ModuleType, params: Dict[str, Any], task_of: TaskMaker) -> Result:
    check_seconds("timeout", float(TIMEOUT if params.get("timeout") is None else params["timeout"]))
    if operation.SCOPE in ("host", "fleet"):
        names.check_named(params.get("umid") or "")
        return _run(operation, task_of())
    if params.get("umids") is not None:
        return _run_many(operation, params, task_of)
    return _run(operation, task_of(_place(operation, params)))


def failure(err: Error) -> Result:
    """Return the result of an operation that an error ended."""
    return _told({"failed": True, "changed": False, "msg": str(err), "error": err.describe()})


def _told(result: Result) -> Result:
    """Return a result that JSON can carry, and whose words for people cannot command their terminal.

    They may quote a guest, or a name that a user has chosen on the VM host, and Ansible prints them as they are.
    """
    told: Result = json_safe(result)
    if "msg" in told:
        told["msg"] = harmless(told["msg"])
    if "warnings" in told:
        told["warnings"] = [harmless(text) for text in told["warnings"]]
    return told


def _run(operation: ModuleType, task: Task) -> Result:
    """Run an operation on one instance, and write it to the journal; a fault of ours may have changed something."""
    try:
        result = _outcome(operation, task)
    except Exception as err:
        audit.record(operation, task, {**failure(bug(err)), "commands": task.sent})
        raise
    audit.record(operation, task, result)
    if task.warnings:
        result["warnings"] = task.warnings
    return _told(result)


def _outcome(operation: ModuleType, task: Task) -> Result:
    try:
        result: Result = operation.run(task)
    except Error as err:
        result = failure(err)
        if operation.SCOPE != "host":
            result["commands"] = list(err.facts.get("commands", ()))
        result["changed"] = bool(err.facts.get("changed", False))
    if task.umid:
        result.setdefault("umid", task.umid)
    return result


def _is_pattern(umid: str) -> bool:
    return any(char in umid for char in "*?[")


def _place(operation: ModuleType, params: Dict[str, Any]) -> Place:
    umid = params.get("umid")
    if not umid:
        raise InputError("no instance is named: set umid or umids, or run the task on an instance host")
    place = instances.place(umid, params.get("uml_dir"))
    if not instances.is_there(place):
        names.check_named(umid)
    if operation.SCOPE == "name":
        return place
    found = instances.locate(umid, params.get("uml_dir"))
    if not params.get("uml_dir") and changes(operation, params):
        instances.refuse_elsewhere([found])
    return found


def _places(operation: ModuleType, params: Dict[str, Any], warn: Callable[[str], None]) -> List[Place]:
    """Return the places of ``umids``: names as they stand, patterns from what exists; each place once."""
    known = instances.places(params.get("uml_dir"))
    found: Dict[Place, None] = {}
    for pattern in params["umids"]:
        if _is_pattern(pattern):
            matching = [place for place in known if fnmatch.fnmatchcase(place.umid, pattern)]
            if not matching:
                warn(f"no instance of this VM host matches {pattern!r}")
            found.update(dict.fromkeys(_meant(operation, params, matching, warn)))
        else:
            found[_place(operation, {**params, "umid": pattern})] = None
    return list(found)


def _meant(
    operation: ModuleType, params: Dict[str, Any], matching: List[Place], warn: Callable[[str], None]
) -> List[Place]:
    """Return those places that match a pattern and that the task may act on.

    An operation that changes something acts only on the default directory, as it does with a name, unless ``uml_dir``
    names one.
    """
    if params.get("uml_dir") or not changes(operation, params):
        return matching
    default = [place for place in matching if instances.is_default(place)]
    elsewhere = [place.directory for place in matching if place not in default]
    if elsewhere:
        warn(f"instances in other directories match as well; without uml_dir they are left out: {', '.join(elsewhere)}")
    return default


def _run_many(operation: ModuleType, params: Dict[str, Any], task_of: TaskMaker) -> Result:
    warnings: List[str] = []
    places = _places(operation, params, warnings.append)
    sockets = task_of().sockets
    if sockets is not None:
        sockets.start()
    results = parallel.map_in_parallel(lambda place: _isolated(operation, task_of(place)), places)
    return _told(_together({_key(place, places): found for place, found in zip(places, results)}, warnings))


def _isolated(operation: ModuleType, task: Task) -> Result:
    """Run it on one of many, which must not lose their results by what this one's guest says."""
    try:
        return _run(operation, task)
    except Exception as err:
        return {**failure(bug(err)), "umid": task.umid, "commands": list(task.sent)}


def bug(err: Exception) -> Error:
    """Return the error that reports a fault of ours."""
    return Error(f"a bug of the collection: {type(err).__name__}: {err}", kind="bug")


def _key(place: Place, places: List[Place]) -> str:
    """Return the umid, or the directory where two uml_dirs hold the same umid."""
    same = [other for other in places if other.umid == place.umid]
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
