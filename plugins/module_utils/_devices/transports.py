# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How network interfaces carry packets: the transports with their settings, as they are written on a command line.

Source: linux arch/um/drivers/vector_kern.c, vector_user.c, vector_transports.c and net_kern.c.
"""

from __future__ import annotations

import os
from typing import Any, Dict, FrozenSet, NamedTuple, Optional, Tuple

from .._mconsole import procfs
from .._mconsole.errors import InputError

Settings = Dict[str, Any]


class Transport(NamedTuple):
    """One way to carry packets: the settings it needs and those it knows; ``since`` is the first series with it."""

    needs: Tuple[str, ...]
    knows: Tuple[str, ...] = ()
    since: Tuple[int, int] = (0, 0)
    until: Tuple[int, int] = (99, 0)


COMMON = ("mac", "mtu", "depth", "headroom", "gro", "vec", "bpffile", "bpfflash", "ifup")
VEC: Dict[str, Transport] = {
    "tap": Transport(("ifname",)),
    "raw": Transport(("ifname",)),
    "hybrid": Transport(("ifname",)),
    "gre": Transport(("src", "dst"), ("v6", "rx_key", "tx_key", "sequence", "pin_sequence")),
    "l2tpv3": Transport(
        ("src", "dst"),
        (
            *("v6", "udp", "srcport", "dstport", "rx_session", "tx_session", "cookie64", "rx_cookie", "tx_cookie"),
            *("counter", "pin_counter"),
        ),
    ),
    "bess": Transport(("dst",), ("src",)),
    "fd": Transport(("fd",)),
    "vde": Transport(("vnl",), ("descr", "port", "group", "mode"), since=(6, 12)),
}
ETH: Dict[str, Transport] = {
    "tuntap": Transport((), ("ifname", "mac", "gateway")),
    "ethertap": Transport(("ifname",), ("ifname", "mac", "gateway")),
    "daemon": Transport((), ("mac", "socket_type", "socket")),
    "mcast": Transport((), ("mac", "address", "port", "ttl"), until=(6, 12)),
    "ucast": Transport(("address",), ("mac", "address", "port", "remote_port"), until=(6, 12)),
    "slip": Transport((), ("gateway",)),
    "slirp": Transport((), ("mac", "command")),
}
_DEADLY = "vde"  # 6.1 alone has it for eth, and dies of it: its library calls overflow the kernel's stack
DAEMON_SOCKET = "/tmp/uml.ctl"  # CONFIG_UML_NET_DAEMON_DEFAULT_SOCK as Debian has it


def parse_vec(raw: str) -> Settings:
    """Return the settings in ``key=value,...``."""
    pairs = [word.partition("=") for word in raw.split(",")]
    bad = next((key + equals for key, equals, value in pairs if not (key and equals and value)), None)
    if bad is not None or len({key for key, _equals, _value in pairs}) < len(pairs):
        raise InputError(f"a vec interface is set by transport=NAME,KEY=VALUE,..., each key once, and not by {raw!r}")
    return {key: value for key, _equals, value in pairs}


def parse_eth(raw: str) -> Settings:
    """Return the settings in ``transport,value,...``, by the order that the transport has."""
    name, _comma, rest = raw.partition(",")
    row = choose("eth", ETH, name)
    values = rest.split(",", len(row.knows) - 1) if rest else []
    found = {key: value for key, value in zip(row.knows, values) if value}
    if len(values) == len(row.knows) and "," in values[-1] and row.knows[-1] != "command":
        raise InputError(f"the transport {name} takes {', '.join(row.knows)}, and {raw!r} gives more")
    return {"transport": name, **found}


def choose(kind: str, table: Dict[str, Transport], name: object) -> Transport:
    """Return a transport of a class of interfaces.

    :raises InputError: when the class has no transport of that name
    """
    if kind == "eth" and name == _DEADLY:
        raise InputError(
            "the transport vde of eth interfaces crashes the only kernels that have it (6.1); use vec on 6.12"
        )
    if not name:
        raise InputError(f"{kind} interfaces need a transport: one of {', '.join(table)}")
    if name not in table:
        raise InputError(f"{name!r} is not a transport of {kind} interfaces; expected one of {', '.join(table)}")
    return table[str(name)]


def taps_of(pid: Optional[int]) -> FrozenSet[str]:
    """Return the tap interfaces that a process has open; none where that is out of sight."""
    numbers = os.listdir(f"/proc/{pid}/fdinfo") if pid is not None and os.access(f"/proc/{pid}/fdinfo", os.R_OK) else []
    rows = (
        line.split() for number in numbers for line in procfs.read_text(f"/proc/{pid}/fdinfo/{number}").splitlines()
    )
    return frozenset(row[1] for row in rows if len(row) == 2 and row[0] == "iff:")
