# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks of instances, and the files that several of them use."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.uml.mconsole.plugins.module_utils._devices import disks
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import kernel_arg_groups
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError

from ._instance_rows import Row, fact, is_disk
from ._page_text import clean, count, natural, size

Part = dict[str, Any]


def of_instance(row: Row) -> Iterator[Part]:
    """Yield the disks that have a file, by the guest's facts or, without these, by the command line."""
    reported = fact(row, "uml", "disks")
    found = dict(_disks_at_boot(row)) if reported is None else reported
    for name in sorted(found, key=natural):
        disk = found[name]
        if is_disk(disk) and not _is_of_kernel(row, name, disk):
            file, base = (_absolute(row, disk.get(key)) for key in ("file", "backing_file"))
            yield {
                "name": clean(name, 12),
                "path": file,
                "file": clean(posixpath.basename(file) or file, 60),
                "backing": base,
                "base": clean(posixpath.basename(base), 60),
                "bytes": disk.get("size") or 0,
                "size": size(disk["size"]) if disk.get("size") else "",
                "read_only": bool(disk.get("read_only")),
                "note": _note(disk),
            }


def root_of(row: Row) -> Part | None:
    """Return the disk that the guest's root is on, or None when it is on none of its disks."""
    unit = re.fullmatch(r"/dev/ubd([a-p])\d*", _word(row, "root") or "/dev/ubda")
    name = f"ubd{ord(unit[1]) - ord('a')}" if unit else ""
    return next((disk for disk in of_instance(row) if disk["name"] == name and not disk["note"]), None)


def initrd_of(row: Row) -> str:
    """Return the name of the file that the guest's first files come from, or an empty string."""
    return clean(posixpath.basename(_word(row, "initrd")), 60)


def _word(row: Row, name: str) -> str:
    """Return the last value of a word on the command line, or an empty string."""
    words = [str(word) for word in row.get("arguments") or ()]
    return next((word[len(name) + 1 :] for word in reversed(words) if word.startswith(f"{name}=")), "")


def _is_of_kernel(row: Row, name: str, disk: Row) -> bool:
    """Return whether a disk is the kernel's own default (ubd_kern.c ubd0_init), which the command line does not set."""
    words = [str(word) for word in row.get("arguments") or ()]
    is_named = any(kernel_arg_groups.name_of(word) == name for word in words if word.startswith("ubd"))
    return disk.get("file") == "root_fs" and disk.get("listed") is False and not is_named


def _disks_at_boot(row: Row) -> Iterator[tuple[str, Part]]:
    words = kernel_arg_groups.split([str(word) for word in row.get("arguments") or ()])
    for word in [*words["disk0"], *words["devices"]]:
        if word.startswith("ubd"):
            with contextlib.suppress(InputError):  # the kernel did not like it either
                yield kernel_arg_groups.name_of(word), disks.parse(word.partition("=")[2])


def _absolute(row: Row, path: Any) -> str:
    """Return a path of the VM host as it is from the root, as far as that is known; clean."""
    if not path:
        return ""
    return clean(posixpath.normpath(posixpath.join(str(row.get("cwd") or ""), str(path))), 300)


def _note(disk: Row) -> str:
    """Return what is odd about a disk."""
    if disk.get("ghost"):
        return "set, but the guest has no such disk"
    if disk.get("replaced"):
        return "the file was replaced or removed since it was opened"
    return "" if disk.get("listed", True) else "the guest does not list it"


def shared_files(instances: Sequence[Part]) -> list[Part]:
    """Return each file that is a backing file, or the disk of more than one, with who uses it."""
    users: dict[tuple[str, bool], list[Part]] = defaultdict(list)
    for instance in instances:
        for disk in instance["disks"]:
            is_base = bool(disk["backing"])
            user = {"key": instance["key"], "umid": instance["umid"], "disk": disk["name"]}
            user |= {"via": disk["file"] if is_base else "", "bytes": disk["bytes"], "read_only": disk["read_only"]}
            users[disk["backing"] or disk["path"], is_base].append(user)
    found = [_file(path, is_base, use) for (path, is_base), use in users.items() if is_base or len(use) > 1]
    return sorted(found, key=lambda use: (-len(use["users"]), natural(use["path"])))


def _file(path: str, is_base: bool, users: list[Part]) -> Part:
    largest = max(user["bytes"] for user in users)
    writers = sum(not user["read_only"] for user in users)
    keys = sorted({user["key"] for user in users})
    return {
        "path": path,
        "name": clean(posixpath.basename(path), 60) or path,
        "is_base": is_base,
        "kind": "backing file" if is_base else "one file",
        "how": "copy-on-write" if is_base else "one file for all",
        "size": size(largest) if largest else "",
        "users": users,
        "keys": keys,
        "danger": not is_base and writers > 1,
        "count": count(len(keys), "instance"),
    }
