# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Disks: ``ubd0`` to ``ubd15``, also called ``ubda`` to ``ubdp``.

Source: linux arch/um/drivers/ubd_kern.c; measured on 6.1, 6.12 and 7.2. A disk that is set refuses every other
setting; the query returns the files but no flags; the rest is read from the guest's sysfs, and from the descriptors and
locks of the instance's process. Kernels of the 6.1 series open a disk's files only while the guest has it open,
later ones at once.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Dict, List, Optional

from .._files import sizes
from .._guest.snapshot import Snapshot
from .._mconsole import dangers
from .._mconsole.errors import InputError
from .._mconsole.parsing import parse_int
from . import disk_files
from .device_class import REPLACE, DeviceClass, Meaning, Name, Options, plain

SECTOR = sizes.SECTOR
UNITS = disk_files.UNITS
FLAGS = {"read_only": "r", "synchronous": "s", "shared": "c", "raw": "d"}  # the fifth, t, is discard turned off
LETTERS = "rscdt"
_MINORS = 16  # partitions of a disk, itself included


# What is given and what is sent.


def parse(raw: str) -> Options:
    """Return the options in ``file[,backing file][,serial]``; the kernel splits at colons too."""
    words = re.split("[,:]", raw)
    if len(words) > 3 or not words[0]:
        raise InputError(f"a disk is set by FILE[,BACKING FILE[,SERIAL]], and {raw!r} is not of that form")
    file, backing, serial = [*words, "", ""][:3]
    return {"file": file, "backing_file": backing, "serial": serial}


def flag_options(flags: str) -> Options:
    """Return the options that flag letters after a disk's number stand for."""
    options: Options = {name: True for name, letter in FLAGS.items() if letter in flags}
    return {**options, "discard": False} if "t" in flags else options


def validate(given: Options) -> Options:
    """Return options that the kernel reads as they are meant, with ``~`` of this user in paths.

    :raises InputError: when a value would be split, or options exclude each other
    """
    flat = dict(given)
    for key in ("file", "backing_file", "serial"):
        if flat.get(key):
            plain(flat[key], f"the disk's {key}", ",:", "the kernel splits a disk's setting at commas and colons")
    for key in ("file", "backing_file"):
        if flat.get(key):
            flat[key] = plain(os.path.expanduser(flat[key]), key, ",:", "the kernel would split it there")
    if flat.get("raw") and flat.get("backing_file"):
        raise InputError("raw: true and a backing_file exclude each other: raw data has no backing file")
    if not flat.get("file"):
        missing = ", ".join(sorted(key for key in flat if flat[key] is not None))
        raise InputError(f"a disk needs a file{f' beside {missing}' if missing else ''}")
    return flat


def render(flat: Options) -> str:
    """Return what follows the disk's number."""
    letters = "".join(letter for name, letter in FLAGS.items() if flat.get(name))
    if flat.get("discard") is False:
        letters += "t"
    words = [flat["file"], flat.get("backing_file") or "", flat.get("serial") or ""]
    return f"{letters}={','.join(words).rstrip(',')}"


def number(unit: str) -> int:
    """Return a disk's number, given by number or by letter."""
    return int(unit) if unit.isdigit() else ord(unit) - ord("a")


# What is there.


def read(snapshot: Snapshot, unit: int) -> Options:
    """Return a disk as it is; what is out of sight is None."""
    config = snapshot.ask(f"config ubd{unit}")
    if not config:
        return {"state": "absent"}
    file, _comma, backing = config.partition(",")
    return {
        "state": "present",
        "config": config,
        "file": file,
        "backing_file": backing,
        "ghost": None if snapshot.guest_unreadable else dangers.is_ghost(str(unit), snapshot),
        **_of_guest(snapshot, unit),
        **_of_host(snapshot, unit, file),
    }


def _of_guest(snapshot: Snapshot, unit: int) -> Options:
    """Return what the guest's sysfs and mounts show of a disk."""
    block = f"block/ubd{chr(ord('a') + unit)}"
    discard = snapshot.attribute(f"{block}/queue/discard_max_bytes")
    return {
        "read_only": _flag(snapshot.attribute(f"{block}/ro")),
        "serial": _serial(snapshot.attribute(f"{block}/serial")),
        "discard": None if discard is None else discard != "0",
        "size": _size(snapshot, unit),
        "mounts": mounts(snapshot, unit),
    }


def _flag(text: Optional[str]) -> Optional[bool]:
    return None if text is None else text == "1"


def _serial(text: Optional[str]) -> Optional[str]:
    return "" if text == "(null)" else text


def _size(snapshot: Snapshot, unit: int) -> Optional[int]:
    """Return a disk's size in bytes: from sysfs, else from the list of partitions, which leaves empty disks out."""
    letter = chr(ord("a") + unit)
    sectors = parse_int(snapshot.attribute(f"block/ubd{letter}/size"))
    if sectors is not None:
        return sectors * SECTOR
    rows = [line.split() for line in (snapshot.proc("partitions") or "").splitlines()]
    found = [parse_int(row[2]) for row in rows if len(row) == 4 and row[3] == f"ubd{letter}"]
    return found[0] * 1024 if found and found[0] is not None else None


def mounts(snapshot: Snapshot, unit: int) -> Optional[List[str]]:
    """Return where pid 1 and the kernel see a disk or its partitions mounted; None when that is out of sight."""
    texts = [snapshot.proc("1/mountinfo"), snapshot.proc("mounts")]
    if texts == [None, None]:
        return None
    device = re.compile(rf"/dev/ubd{chr(ord('a') + unit)}\d*")
    major = {f"98:{minor}" for minor in range(unit * _MINORS, (unit + 1) * _MINORS)}
    found = [row[4] for row in _rows(texts[0]) if row[2] in major or any(device.fullmatch(word) for word in row)]
    found += [row[1] for row in _rows(texts[1]) if device.fullmatch(row[0])]
    return sorted(set(found))


def _rows(text: Optional[str]) -> List[List[str]]:
    rows = (line.split() for line in (text or "").splitlines())
    return [row for row in rows if len(row) > 4]


def _of_host(snapshot: Snapshot, unit: int, file: str) -> Options:
    """Return the flags that only the process's open file shows; None while it has the file not open."""
    opened = snapshot.opened(file)
    if opened is None:
        return {"synchronous": None, "shared": None, "replaced": is_replaced(snapshot, unit, file)}
    return {"replaced": False, "synchronous": bool(opened.flags & os.O_SYNC), "shared": not opened.locked}


def is_replaced(snapshot: Snapshot, unit: int, file: str) -> Optional[bool]:
    """Return whether the guest has not this file open, but one that was at its path before; None when unknown.

    Kernels of the 6.1 series open a disk's files only while the guest has the disk open, such as mounted.
    """
    try:
        found = snapshot.stat(file)
    except FileNotFoundError:
        return True
    if found is None or not stat.S_ISREG(found.st_mode) or not snapshot.descriptor_numbers():
        return None
    if snapshot.opened(file) is not None:
        return False
    is_open = snapshot.series() >= (6, 12) or bool(mounts(snapshot, unit))
    return True if is_open or f"{snapshot.real_path(file)} (deleted)" in snapshot.links() else None


# What a spec implies and needs.


def fill_in(snapshot: Snapshot, want: Options) -> Options:
    """Return a spec with the backing file that its COW file names, so that a stale flag never opens it as raw.

    A refused setting leaves its ``d`` behind in the slot; a COW file named alone would then be opened as raw data,
    while one named with its backing file is refused.
    """
    full = {**want, "ghost": False}
    header = disk_files.header_of(snapshot, want["file"])
    if want.get("raw"):
        full["backing_file"] = ""
    elif header is not None and not want.get("backing_file") and not set(header.backing_file) & set(",:"):
        full["backing_file"] = header.backing_file
    elif header is None and disk_files.is_readable(snapshot, want["file"]) and want.get("backing_file") is None:
        full["backing_file"] = ""
    return full


def canonical(snapshot: Snapshot, flat: Options) -> Options:
    """Return a disk's options with each path as the file's one name; ``raw`` shows in the backing file."""
    keys = ("file", "backing_file", "read_only", "synchronous", "shared", "discard", "serial", "ghost")
    found = {key: flat.get(key) for key in keys}
    for key in ("file", "backing_file"):
        if found[key]:
            found[key] = snapshot.real_path(str(found[key]))
    return found


def in_use(snapshot: Snapshot, unit: int, have: Options) -> Optional[str]:
    """Return why a disk must not be removed now, or None."""
    if have.get("ghost"):
        return (
            "it is a ghost: configured at boot, where its set-up failed, so the guest has no such device;"
            " removing it would panic the kernel"
        )
    if have.get("mounts"):
        return f"the guest has it mounted at {', '.join(have['mounts'])}"
    if snapshot.series() < (6, 12) and snapshot.opened(have["file"]) is not None:
        return "the guest has it open (as swap, or by a process)"
    return None


# What came of it.


def unverifiable(snapshot: Snapshot, unit: int, want: Options, have: Options) -> List[str]:
    """Return what cannot be verified of a disk that is as wanted as far as it can be seen."""
    names = {"synchronous": "whether it is synchronous", "shared": "whether it is unlocked"}
    found = [
        f"{text} shows only while the guest has it open" for key, text in names.items() if _unseen(want, have, key)
    ]
    if have.get("size") is None and not snapshot.guest_unreadable:
        found.append("the guest shows no such disk: it has no /sys")
    elif any(_unseen(want, have, key) for key in ("read_only", "discard", "serial")):
        found.append("its flags and serial number are read from the guest's /sys, which is not there")
    if have.get("replaced"):
        found.append("the VM host's file was replaced since the disk was attached, and the guest still has the old one")
    size = expected_size(snapshot, have)
    if size is not None and have.get("size") is not None and size != have["size"]:
        found.append(
            f"the guest's disk has {have['size']} bytes, and the file now gives {size}:"
            " the size is read when a disk is attached"
        )
    return found


def _unseen(want: Options, have: Options, key: str) -> bool:
    return want.get(key) is not None and have.get(key) is None


def expected_size(snapshot: Snapshot, flat: Options) -> Optional[int]:
    """Return the size in bytes that a disk of these files gets, in whole sectors; None when it is not known."""
    try:
        path = flat.get("backing_file") or flat["file"]
        header = disk_files.header_of(snapshot, path)
        path = header.backing_file if header is not None else path
        found = snapshot.stat(path)
    except FileNotFoundError:
        return None
    length = sizes.length(found) if found is not None else None
    return None if length is None else (length + SECTOR - 1) // SECTOR * SECTOR


def predict(snapshot: Snapshot, sent: Options) -> Options:
    """Return what will be read back of a disk, as far as it follows from the files."""
    told = ",".join(filter(None, (sent["file"], sent.get("backing_file"))))
    return {"config": told, "size": expected_size(snapshot, sent), "mounts": []}


MEANINGS = (
    Meaning(-2, "determine size", "the instance finds no such file"),
    Meaning(-13, "determine size", "the instance's user may not read the file"),
    Meaning(-16, "already configured", "another task set it meanwhile"),
    Meaning(-16, "currently open", "the guest has it open: mounted, as swap, or by a process"),
    Meaning(-21, "", "it is a directory"),
    Meaning(-11, "", "another process has locked the file"),
    Meaning(-22, "", "the COW file and its backing file do not match, or the file is not a COW file"),
    Meaning(-2, "", "the COW file cannot be made there"),
)


def exclusive_resource(snapshot: Snapshot, want: Options) -> Optional[str]:
    """Return the file that no other disk may have at the same time."""
    return None if want.get("shared") else f"the file {snapshot.real_path(want['file'])}"


def cleanup_commands(name: Name, sent: Options) -> List[str]:
    """Return the commands that clear what a refused setting leaves in its slot: ``d``, ``c`` and ``t`` outlive it."""
    left = sent.get("raw") or sent.get("shared") or sent.get("discard") is False
    return clear(name) if left else []


def clear(name: Name) -> List[str]:
    """Return the commands that empty a free slot for good: only removing a set disk resets its flags."""
    return [f"config {name.text}=/dev/null", name.remove()]


def has_stale_flags(sent: Options, have: Options) -> bool:
    """Return whether a disk just set has flags that were not sent, left in its slot by a refused setting."""
    wanted: Dict[str, bool] = {"discard": sent.get("discard") is not False, "shared": bool(sent.get("shared"))}
    return any(have.get(key) is not None and have[key] != value for key, value in wanted.items())


DISK = DeviceClass(
    name="ubd",
    title="a disk",
    spelling=re.compile(r"ubd(?P<unit>[0-9]+|[a-z])(?P<flags>[rscdt]*)"),
    units="ubd0 to ubd15, or ubda to ubdp",
    limit=UNITS,
    change=REPLACE,
    kernels="all",
    probe="config ubd0",
    options=("file", "backing_file", "read_only", "synchronous", "shared", "discard", "raw", "serial"),
    parse=parse,
    validate=validate,
    render=render,
    read=read,
    canonical=canonical,
    fill_in=fill_in,
    check=disk_files.check,
    in_use=in_use,
    unverifiable=unverifiable,
    predict=predict,
    number=number,
    preserved=("read_only", "synchronous", "shared", "discard", "serial"),
    exclusive_resource=exclusive_resource,
    cleanup_commands=cleanup_commands,
    has_stale_flags=has_stale_flags,
    meanings=MEANINGS,
)


def asks_for_raw(command: str) -> bool:
    """Return whether a config command carries the letter ``d`` itself."""
    match = re.match(r"config ubd\d+([rscdt]*)=", command)
    return match is not None and "d" in match[1]
