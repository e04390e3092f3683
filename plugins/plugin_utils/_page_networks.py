# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The networks that instances are attached to."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ._instance_rows import Row
from ._page_text import clean, count, natural

Part = dict[str, Any]

# What an attachment's transport makes of the thing at its other end, and whether others can also be there.
_KINDS = {
    "daemon": ("switch", True),
    "vde": ("VDE switch", True),
    "mcast": ("multicast group", True),
    "raw": ("interface", True),
    "bess": ("BESS switch", True),
    "gre": ("GRE tunnel", True),
    "l2tpv3": ("L2TP tunnel", True),
    "ucast": ("UDP peer", True),
    "fd": ("descriptor", False),
    "slirp": ("slirp", False),
    "slip": ("slip", False),
}


def attachment_of(attachment: Row) -> Part:
    """Return where an interface leads: to a bridge through a tap, or to the target of its transport."""
    transport, network = str(attachment.get("transport")), clean(attachment.get("network"), 100)
    bridge = clean(attachment.get("bridge"), 32)
    kind, shared = ("bridge", True) if bridge else _KINDS.get(transport, ("tap", False))
    return {
        "interface": clean(attachment.get("interface"), 16),
        "kind": kind,
        "shared": shared and bool(bridge or network),
        "name": bridge or network or kind,
        "via": network if bridge else "",
        "is_open": attachment.get("open"),
    }


def of_instances(instances: Sequence[Part]) -> list[Part]:
    """Return each network with its members, those with most members first."""
    members: dict[tuple[str, str], list[Part]] = defaultdict(list)
    shared: dict[tuple[str, str], bool] = {}
    for instance in instances:
        for attachment in instance["networks"]:
            kind, is_shared = attachment["kind"], attachment["shared"]
            place = (kind, attachment["name"] if is_shared or kind == "tap" else instance["key"])
            members[place].append({**attachment, "key": instance["key"], "umid": instance["umid"]})
            shared[place] = is_shared
    found = [_segment(kind, users, shared[kind, name]) for (kind, name), users in members.items()]
    return sorted(found, key=lambda part: (not part["shared"], -len(part["keys"]), natural(part["label"])))


def _segment(kind: str, users: list[Part], shared: bool) -> Part:
    keys = sorted({user["key"] for user in users})
    name = users[0]["name"]
    label = posixpath.basename(name) if kind == "switch" else name
    counted = count(len(keys), "instance")
    return {
        "kind": kind,
        "name": name,
        "label": label,
        "shared": shared,
        "users": users,
        "keys": keys,
        "count": counted,
    }
