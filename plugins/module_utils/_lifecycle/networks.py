# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What of the VM host's networks an instance is attached to: by its command line, and by the taps that it has open.

No kernel shows what an interface was set to, so one that was set later shows by its tap alone, and only while the guest
has it up; one that was removed later is still on the command line.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Sequence

from .._devices import transports
from .._mconsole import procfs
from .._mconsole.errors import InputError
from .._mconsole.instances import Instance
from . import kernel_arg_groups

Attachment = Dict[str, Any]

_INTERFACE = re.compile(r"(?P<name>vec[0-9]+):(?P<vec>.*)|(?P<old>eth[0-9]+)=(?P<eth>.*)", re.DOTALL)
# What of a transport's settings names the network; an instance that says the same is on the same one.
_NAMING = {
    **dict.fromkeys(("tap", "raw", "hybrid", "tuntap", "ethertap"), ("ifname",)),
    "daemon": ("socket",),
    "vde": ("vnl",),
    **dict.fromkeys(("mcast", "ucast"), ("address", "port")),
    **dict.fromkeys(("gre", "l2tpv3", "bess"), ("dst",)),
}
_ON_HOST = ("tap", "raw", "hybrid", "tuntap", "ethertap")  # an interface of the VM host, that may be in a bridge
_DEFAULTS = {  # as the kernels have them (arch/um/drivers/daemon_kern.c, umcast_kern.c)
    "daemon": {"socket": transports.DAEMON_SOCKET},
    "mcast": {"address": "239.192.168.1", "port": "1102"},
}


def attachments(instance: Instance) -> List[Attachment]:
    """Return the networks of an instance that runs, those of its command line first."""
    taps = transports.taps_of(instance.pid)
    found = [_seen(attachment, taps) for attachment in _at_boot(instance.argv[1:])]
    later = sorted(taps - {attachment["network"] for attachment in found if attachment["transport"] in _ON_HOST})
    found += [{"interface": None, "transport": "tap", "network": tap, "open": True} for tap in later]
    visible = _sees_our_network(instance.pid)
    return [{**attachment, "bridge": _bridge(attachment) if visible else None} for attachment in found]


def _at_boot(words: Sequence[str]) -> Iterator[Attachment]:
    for found in filter(None, map(_INTERFACE.fullmatch, kernel_arg_groups.split(words)["devices"])):
        name, vec = found["name"] or found["old"], found["vec"]
        try:
            flat = transports.parse_eth(found["eth"]) if vec is None else transports.parse_vec(vec)
        except InputError:  # the kernel did not like it either
            continue
        if flat.get("transport"):
            transport = flat["transport"]
            yield {"interface": name, "transport": transport, "network": _network(transport, flat)}


def _network(transport: str, flat: Dict[str, Any]) -> Optional[str]:
    """Return what names the network; None where the transport names none."""
    settings = {**_DEFAULTS.get(transport, {}), **{key: value for key, value in flat.items() if value}}
    return ":".join(settings[key] for key in _NAMING.get(transport, ()) if key in settings) or None


def _seen(attachment: Attachment, taps: FrozenSet[str]) -> Attachment:
    """Say whether the instance has it open, where that can be seen at all."""
    is_tap = attachment["transport"] in ("tap", "hybrid", "tuntap") and attachment["network"] is not None
    return {**attachment, "open": attachment["network"] in taps if is_tap else None}


def _bridge(attachment: Attachment) -> Optional[str]:
    """Return the bridge, or another master, that an interface of the VM host is in."""
    name = attachment["network"]
    if attachment["transport"] not in _ON_HOST or not name or "/" in name:
        return None
    master = procfs.link(f"/sys/class/net/{name}/master")
    return os.path.basename(master) if master else None


def _sees_our_network(pid: Optional[int]) -> bool:
    """Return whether an instance is in our network namespace, so that names mean the same interfaces."""
    mine, its = procfs.link("/proc/self/ns/net"), procfs.link(f"/proc/{pid}/ns/net")
    return its is None or mine == its
