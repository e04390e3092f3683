# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Copy-on-write files of the VM host: made, looked at, and put together with their backing files."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from .._files import cow
from .._mconsole.errors import InputError
from .._mconsole.names import host_path
from .._task.task import Task

SCOPE = "host"
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "merged"], "default": "present"},
    "backing_file": {"type": "str"},
    "dest": {"type": "str"},
    "overwrite": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {"required_if": [("state", "merged", ["dest"])]}
Result = Dict[str, Any]


def changes(_params: Dict[str, Any]) -> bool:
    """Return that it may change the VM host."""
    return True


def run(task: Task) -> Result:
    """Do what the state says; see the module's documentation."""
    path = host_path(task.params["path"], "path")
    given = task.params.get("backing_file")
    backing = host_path(given, "backing_file") if given else None
    if task.params["state"] == "merged":
        return _merged(task, path, backing)
    if task.params.get("dest"):
        raise InputError("dest is only used with state=merged; remove it, or set state=merged")
    return _there(path, backing) if os.path.lexists(path) else _made(task, path, backing)


def _there(path: str, backing: Optional[str]) -> Result:
    """Look at a COW file; one that was made for another backing file is not changed."""
    found = cow.inspect(path)
    if backing is not None and os.path.realpath(backing) != os.path.realpath(found["backing_file"]):
        raise InputError(f"{path} was made for the backing file {found['backing_file']}, not for {backing}", path=path)
    if backing is not None and not found["valid"]:
        raise InputError(f"{path} is no longer valid: {found['reason']}", path=path)
    return _result(False, {"exists": True}, {"exists": True}, found)


def _made(task: Task, path: str, backing: Optional[str]) -> Result:
    if backing is None:
        raise InputError(f"the COW file {path} does not exist; set backing_file to make it", path=path)
    cow.check_backing(backing)
    if not os.path.isdir(os.path.dirname(path)):
        raise InputError(f"the directory of {path} does not exist", path=path)
    if not task.check:
        cow.make(path, backing)
    found = None if task.check else cow.inspect(path)
    return _result(True, {"exists": False}, {"exists": True, "backing_file": backing}, found)


def _merged(task: Task, path: str, backing: Optional[str]) -> Result:
    """Make an image of what the pair holds, unless there is one."""
    found = _there(path, backing)["cow"]
    dest, header = host_path(task.params["dest"], "dest"), cow.header_of(path)
    if not found["valid"]:
        raise InputError(f"{path} cannot be merged: {found['reason']}", path=path)
    if os.path.realpath(dest) in (os.path.realpath(path), os.path.realpath(found["backing_file"])):
        raise InputError(f"dest {dest} is the COW file or its backing file; expected another file", path=dest)
    cow.check_unused(path)
    if cow.is_merged(path, header, found["backing_file"], dest):
        return _result(False, {"merged": True}, {"merged": True}, found)
    if os.path.lexists(dest) and not task.params["overwrite"]:
        raise InputError(f"{dest} exists and has other contents; set overwrite=true to replace it", path=dest)
    if not os.path.isdir(os.path.dirname(dest)):
        raise InputError(f"the directory of {dest} does not exist", path=dest)
    if not task.check:
        cow.merge(path, header, found["backing_file"], dest)
    return _result(True, {"merged": False}, {"merged": True}, found)


def _result(changed: bool, before: Result, after: Result, found: Optional[Result]) -> Result:
    return {"changed": changed, "diff": {"before": before, "after": after}, "cow": found}
