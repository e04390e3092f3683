# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answer ansible.builtin.setup with the facts of the collection, as far as a console can read them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

# What setup gathers by these names is part of a subset of ours.
_SUBSETS = {
    "all": "default",
    "architecture": "platform",
    "distribution_major_version": "distribution",
    "distribution_release": "distribution",
    "distribution_version": "distribution",
    "kernel": "platform",
    "kernel_version": "platform",
    "machine": "platform",
    "os_family": "distribution",
    "processor_cores": "processor",
    "processor_count": "processor",
    "ssh_host_key_ecdsa_public": "ssh_pub_keys",
    "ssh_host_key_ed25519_public": "ssh_pub_keys",
    "ssh_host_key_rsa_public": "ssh_pub_keys",
    "ssh_host_pub_keys": "ssh_pub_keys",
    "system": "platform",
    "virtual": "platform",
    "virtualization_role": "platform",
    "virtualization_type": "platform",
}
# The names that setup and instance_facts have in common.
_SHARED = (
    "cmdline",
    "devices",
    "distribution",
    "dns",
    "hardware",
    "interfaces",
    "loadavg",
    "machine_id",
    "min",
    "mounts",
    "network",
    "platform",
    "processor",
    "ssh_pub_keys",
    "uptime",
)


def translate(arguments: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what instance_facts is to gather for the arguments of setup, and the words that it cannot gather."""
    words = _words(arguments.get("gather_subset")) or ["all"]
    known: list[str] = []
    foreign: list[str] = []
    for word in words:
        mark, name = ("!", word[1:]) if word.startswith("!") else ("", word)
        if (mark, name) == ("!", "all"):
            known.append(word)
        elif name in _SHARED or name in _SUBSETS:
            known.append(mark + _SUBSETS.get(name, name))
        elif not mark:
            foreign.append(word)
    only_foreign = bool(foreign) and all(word.startswith("!") for word in known)
    return (["min", *known] if only_foreign else known or ["default"]), foreign


def select(facts: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that the filter of setup keeps."""
    patterns = _words(arguments.get("filter"))
    return {name: value for name, value in facts.items() if not patterns or _is_kept(name, patterns)}


def _is_kept(name: str, patterns: Iterable[str]) -> bool:
    names = (name, name.removeprefix("ansible_"))
    return any(fnmatch.fnmatch(form, pattern) for form in names for pattern in patterns)


def _words(value: Any) -> list[str]:
    """Return a list of setup's, which may be text with commas."""
    found = value.split(",") if isinstance(value, str) else value or ()
    return [str(word).strip() for word in found if str(word).strip()]
