# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A disk image of the VM host: made from a file with a checksum, and never replaced under what stands on it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from typing import Any, Dict, Optional

from .._files import copying, image
from .._lifecycle import file_users
from .._mconsole import locks, procfs
from .._mconsole.errors import Error, InputError
from .._mconsole.names import host_path
from .._mconsole.parsing import parse_size
from .._mconsole.private_dir import private_directory
from .._task.task import Task

SCOPE = "host"
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "src": {"type": "str"},
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": list(image.FORMATS), "default": "auto"},
    "size": {"type": "str"},
    "replace": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {"required_if": [("state", "present", ["checksum"])]}
_RECORD = ".source"  # beside the image: what it was made from
_PATIENCE = 600.0  # seconds for another task that makes the same image
Result = Dict[str, Any]


def run(task: Task) -> Result:
    """Do what the state says; see the module's documentation."""
    path = host_path(task.params["path"], "path")
    if os.path.lexists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(f"{path} is not a regular file; expected an image, or nothing", path=path)
    if task.check:
        return _run(task, path)
    with locks.named(private_directory, path, time.monotonic() + _PATIENCE, f"another task is making {path}"):
        return _run(task, path)


def _run(task: Task, path: str) -> Result:
    return _absent(task, path) if task.params["state"] == "absent" else _present(task, path)


def _absent(task: Task, path: str) -> Result:
    there = os.path.lexists(path)
    if there:
        _refuse_used(path, "removed")
    if there and not task.check:
        for name in (path, path + _RECORD):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    return {"changed": there, "diff": _diff({"path": path} if there else {}, {}), "image": None}


def _present(task: Task, path: str) -> Result:
    checksum = _checksum(task.params["checksum"] or "")
    size = parse_size(task.params["size"], "size") if task.params["size"] else 0
    before = _described(path)
    if before is not None and _is_from(path, checksum):
        return {"changed": False, "diff": _diff(before, before), "image": before, "free": _room(path)}
    if before is not None:
        _refuse_other(task, path, checksum)
    _check_folder(path)
    source = _source(task, path)
    if source:
        _make(task, source, path, checksum, size)
    after = {"path": path, "checksum": checksum} if task.check else _described(path)
    return {
        "changed": True,
        "diff": _diff(before, after),
        "image": None if task.check else after,
        "free": _room(path),
    }


def _source(task: Task, path: str) -> str:
    """Return the file to make the image from; nothing if this is a check run and the file is not there yet."""
    if not task.params["src"] and not task.check:
        raise InputError(f"src is missing; expected the file to make {path} from, because there is no such image")
    source = host_path(task.params["src"], "src") if task.params["src"] else ""
    return source if not task.check or os.path.lexists(source) else ""


def _diff(before: Optional[Result], after: Optional[Result]) -> Result:
    return {"before": before or {}, "after": after or {}}


def _room(path: str) -> int:
    return image.room(os.path.dirname(path))


def _checksum(text: str) -> str:
    """Return a checksum in one writing: its kind and lower-case digits."""
    kind, _colon, digits = text.strip().lower().rpartition(":")
    kind = kind or "sha256"
    lengths = {"sha256": 64, "sha384": 96, "sha512": 128}
    if kind not in lengths or not re.fullmatch(f"[0-9a-f]{{{lengths[kind]}}}", digits):
        raise InputError(
            f"checksum {text!r} is not a checksum; expected sha256:DIGITS (64 of them), sha384:DIGITS or sha512:DIGITS"
        )
    return f"{kind}:{digits}"


# What is there.


def _described(path: str) -> Optional[Result]:
    if not os.path.lexists(path):
        return None
    found, record = os.stat(path), _record(path)
    known = record.get("inode") == found.st_ino
    return {
        "path": path,
        "size": found.st_size,
        "allocated": found.st_blocks * 512,
        "checksum": record.get("checksum") if known else None,
        "format": record.get("format") if known else None,
    }


def _record(path: str) -> Result:
    """Return what was written down when an image was made; nothing where that is not there, or damaged."""
    try:
        found = json.loads(procfs.read_text(path + _RECORD) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_from(path: str, checksum: str) -> bool:
    """Return whether an image was made from a source with that checksum, or is such a source itself."""
    record = _record(path)
    if record.get("inode") == os.stat(path).st_ino:
        return bool(record.get("checksum") == checksum)
    kind, _colon, digits = checksum.partition(":")
    return image.digest(path, kind) == digits


def _refuse_other(task: Task, path: str, checksum: str) -> None:
    """Refuse to replace an image that stands there for something else, or that something stands on."""
    if not task.params["replace"]:
        found = (_described(path) or {}).get("checksum") or "an unknown source"
        raise InputError(
            f"{path} is not made from {checksum}; found an image from {found}. Choose another path, for COW files on it"
            " would become invalid, or set replace=true",
            path=path,
        )
    _refuse_used(path, "replaced")


def _refuse_used(path: str, what: str) -> None:
    users = file_users.users_of(path)
    if users:
        raise InputError(f"{path} cannot be {what}: it is in use by {', '.join(users)}; nothing was changed", path=path)


def _check_folder(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise InputError(f"the directory of {path} does not exist", path=path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the directory of {path} is not writable by this user", path=path)


# Making it.


def _make(task: Task, source: str, path: str, checksum: str, size: int) -> None:
    """Check the source and, unless this is a check run, make the image; it is whole when it appears."""
    _check_source(source, path, checksum)
    kind = task.params["format"] if task.params["format"] != "auto" else image.format_of(source)
    if kind == "qcow2" and not image.compression(source):
        image.check_alone(source)
    free, needed = _room(path), image.room_needed(source, os.path.dirname(path))
    if needed > free:
        raise InputError(
            f"the image needs {needed} bytes or more, and {os.path.dirname(path)} has {free} left", path=path
        )
    if task.check:
        return
    part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
    try:
        _remove(part)  # of a task that was killed
        image.make(source, part, kind, size)
        copying.fsync_file(part)
        _write_record(path, {"checksum": checksum, "format": kind, "inode": os.stat(part).st_ino})
        os.replace(part, path)
    except OSError as err:
        raise Error(f"the image {path} cannot be written: {err.strerror}; nothing of it is left", path=path) from err
    finally:
        _remove(part)


def _check_source(source: str, path: str, checksum: str) -> None:
    if not os.path.isfile(source):
        raise InputError(f"src {source} is not there, or is not a file", path=source)
    if os.path.realpath(source) == os.path.realpath(path):
        raise InputError(f"src and path are both {path}; expected another path for the image", path=path)
    try:
        found = image.digest(source, checksum.partition(":")[0])
    except OSError as err:
        raise InputError(f"src {source} cannot be read: {err.strerror}", path=source) from err
    if f"{checksum.partition(':')[0]}:{found}" != checksum:
        raise InputError(f"the checksum of {source} is {found}; expected {checksum}. Nothing was changed", path=source)


def _write_record(path: str, record: Result) -> None:
    """Write down what the image is made from, before it appears: it counts for that very file only."""
    draft = f"{path}{_RECORD}.part"
    with open(draft, "w", encoding="ascii") as stream:
        stream.write(json.dumps(record, sort_keys=True) + "\n")
    os.replace(draft, path + _RECORD)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
