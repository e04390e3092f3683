# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What starts an instance from a backup: the copies that it needs, its options, and the verdict on a test of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

# Of the place where an instance ran, and not of the instance.
_OF_THE_PLACE = ("console_log", "notify", "state", "supervisor")
_BAD = re.compile(
    r"EXT[234]-fs error|mounting fs with errors|JBD2: .*(?:error|fail)|XFS .*(?:[Cc]orrupt|Internal error)"
    r"|BTRFS (?:error|critical)|(?:Buffer )?I/O error|Kernel panic"
)
_REPLAYED = re.compile(r"(?:EXT[34]-fs|XFS|BTRFS).*(?:recovery complete|Ending recovery|log replay)")
_LINES = 3  # of what a kernel says about its file systems
Manifest = Mapping[str, Any]
Options = dict[str, Any]


def plan(manifest: Manifest, source: str, folder: str, name: str, more: Mapping[str, Any], test: bool) -> Options:
    """Return `copies` ({device, source, dest}), the `options` of uml.mconsole.instance, and disks that are `left_out`.

    A test has copy-on-write files above the copies, no network, and no disk that is not in the backup.

    :raises AnsibleActionFail: when the backup cannot be used elsewhere
    """
    _check(manifest, source, more)
    declared = {**(manifest.get("declaration") or {}), **more}
    options = {key: value for key, value in declared.items() if key not in _OF_THE_PLACE or key in more}
    rows = [_disk(row, source, folder, name, test) for row in manifest["copies"]]
    settings = {row["device"]: row["setting"] for row in rows}
    devices, left_out = _devices(dict(options.get("devices") or {}), settings, test and "devices" not in more)
    root = dict(options.get("root") or {})
    if root.get("image") and "ubd0" in settings:
        root, devices = _root(root, settings["ubd0"]), {key: row for key, row in devices.items() if key != "ubd0"}
    found = {**options, "root": root, "devices": devices}
    copies = [{key: row[key] for key in ("device", "source", "dest")} for row in rows if row["dest"]]
    return {
        "copies": copies,
        "options": {key: value for key, value in found.items() if value not in ({}, None)},
        "left_out": left_out,
    }


def _check(manifest: Manifest, source: str, more: Mapping[str, Any]) -> None:
    if not manifest.get("declaration") and "root" not in more:
        raise AnsibleActionFail(
            f"{source} does not say how {manifest['umid']} was started; expected a backup that the playbook backup made"
            " with its declaration. Nothing was changed"
        )
    if manifest["backing"] != "keep":
        raise AnsibleActionFail(
            f"{source} was made with backup_backing={manifest['backing']}; expected backup_backing=keep. Nothing was"
            " changed"
        )


def _disk(row: Mapping[str, Any], source: str, folder: str, name: str, test: bool) -> dict[str, Any]:
    """Return the copy of one disk, and the setting of the disk; without ``dest`` the copy is used where it is."""
    file, backing = posixpath.basename(row["path"]), row.get("backing_file")
    copy = posixpath.join(source, file)
    dest = posixpath.join(folder, f"{name}-{row['device']}{posixpath.splitext(file)[1]}")
    if test and not backing:
        setting = {"file": posixpath.join(folder, f"{row['device']}.cow"), "backing_file": copy}
        return {"device": row["device"], "source": copy, "dest": "", "setting": setting}
    setting = {"file": dest, **({"backing_file": backing} if backing else {})}
    return {"device": row["device"], "source": copy, "dest": dest, "setting": setting}


def _devices(declared: Options, settings: Mapping[str, Options], test: bool) -> tuple[Options, list[str]]:
    """Return the devices with the disks of the backup; a test keeps only disks, and of others those it cannot write."""
    left_out = [name for name, old in declared.items() if test and name not in settings and not _is_harmless(name, old)]
    kept = {name: old for name, old in declared.items() if name not in left_out}
    for name, setting in settings.items():
        old = kept.get(name)
        rest = old if isinstance(old, Mapping) else {}
        kept[name] = {**{key: value for key, value in rest.items() if key not in ("file", "backing_file")}, **setting}
    return kept, left_out


def _is_harmless(name: str, setting: Any) -> bool:
    return name.startswith("ubd") and isinstance(setting, Mapping) and bool(setting.get("read_only"))


def _root(root: Options, setting: Options) -> Options:
    """Return the root file system on the disk of a backup."""
    rest = {key: value for key, value in root.items() if key not in ("image", "cow")}
    backing = setting.get("backing_file")
    return {**rest, **({"image": backing, "cow": setting["file"]} if backing else {"image": setting["file"]})}


def verdict(checks: Mapping[str, str], started: Options, log: str, stopped: Options) -> Options:
    """Return `whole`, `reasons` why not, and `notes`.

    ``checks`` is what is known of the file system in the copy of each device, ``started`` and ``stopped`` the results
    of the instance, ``log`` its console log.
    """
    reasons = [f"{device}: {text}" for device, text in checks.items() if text.startswith("errors")]
    lines = [line.strip() for line in log.splitlines() if _BAD.search(line)]
    if "error" in started:  # the task itself is never failed
        reasons.append(f"the guest did not come up: {started.get('msg', 'no reason is known')}")
    reasons += lines[:_LINES]
    reasons += _shutdown(started, stopped)
    notes = [f"{device}: {text}" for device, text in checks.items() if not text.startswith("errors")]
    notes += [line.strip() for line in log.splitlines() if _REPLAYED.search(line)][:_LINES]
    return {"whole": not reasons, "reasons": reasons, "notes": notes}


def _shutdown(started: Options, stopped: Options) -> Iterator[str]:
    if "error" not in started and not stopped.get("synced"):
        yield "the guest came up, and left its file systems in no order when it was shut down"
