# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Network interfaces: ``vecN`` on all kernels, and the older ``ethN`` up to 6.12.

Source: linux arch/um/drivers/vector_kern.c, vector_user.c, vector_transports.c and net_kern.c; measured on 6.1, 6.12
and 7.2. The kernel says OK to any transport, key and interface, known or not, and opens them only when the guest
brings the interface up; it reports no settings of an interface. So this module checks settings against a table, and
reads the visible ones from the guest's sysfs and, while the interface is up, from the instance's descriptors.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Collection, Dict, FrozenSet, List, Optional, Tuple

from .._guest.snapshot import Snapshot
from .._mconsole.errors import InputError
from .._mconsole.parsing import parse_int
from . import transports
from .device_class import REPLACE, DeviceClass, Meaning, Options, plain

Table = Dict[str, transports.Transport]
LIMIT = 10000  # the kernel has no limit; more digits do not fit an interface's name in every tool
UNKNOWN = (0, 0)  # the series of a kernel that does not say
SCANNED = 16  # units looked at where all interfaces are wanted: no file of the guest lists them


_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


# What is given and what is sent.


def _validator(kind: str, table: Table, common: Tuple[str, ...]) -> Callable[[Options], Options]:
    def validate(given: Options) -> Options:
        """Return settings that the kernel knows; it ignores all others without a word.

        :raises InputError: when one is unknown, missing, or would be split
        """
        flat = {key: value for key, value in given.items() if key != "settings"}
        flat.update({str(key): value for key, value in (given.get("settings") or {}).items() if value is not None})
        row = transports.choose(kind, table, flat.get("transport"))
        known = {*row.needs, *row.knows, *common}
        unknown = sorted(set(flat) - known - {"transport"})
        if unknown:
            raise InputError(
                f"the transport {flat['transport']} of {kind} interfaces has no {', '.join(unknown)};"
                f" expected {', '.join(sorted(known))}"
            )
        missing = [key for key in row.needs if not flat.get(key)]
        if missing:
            raise InputError(f"the transport {flat['transport']} of {kind} interfaces needs {', '.join(missing)}")
        return {key: _value(kind, key, value) for key, value in flat.items()}

    return validate


def _value(kind: str, key: str, value: Any) -> str:
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if key == "mac":
        text = text.lower().replace("-", ":")
        if not _MAC.fullmatch(text) or int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
            raise InputError(
                f"{value!r} is not the hardware address of one interface; expected one such as 52:54:00:12:34:56"
            )
    if key == "ifname" and (len(text) > 15 or "/" in text or " " in text):
        raise InputError(
            f"{value!r} is not the name of an interface; expected at most 15 characters without a slash or a space"
        )
    if key == "command":
        return plain(text, key, " ", "slirp takes _ for a space")
    return plain(
        text, f"{key} of a {kind} interface", ",=" if kind == "vec" else ",", "the kernel would split it there"
    )


def render_vec(flat: Options) -> str:
    """Return what follows the number of a vec interface."""
    words = [f"transport={flat['transport']}"]
    words += [f"{key}={value}" for key, value in flat.items() if key != "transport" and key not in _FACTS and value]
    return f":{','.join(words)}"


def render_eth(flat: Options) -> str:
    """Return what follows the number of an eth interface."""
    row = transports.ETH[flat["transport"]]
    words = [flat["transport"], *(flat.get(key) or "" for key in row.knows)]
    return f"={','.join(words).rstrip(',')}"


# What is there.

_FACTS = ("state", "config", "up", "renamed", "mac_random")


def _reader(kind: str, platform: str) -> Callable[[Snapshot, int], Options]:
    def read(snapshot: Snapshot, unit: int) -> Options:
        """Return an interface as far as the guest shows it; the kernel does not report its settings."""
        name = f"{kind}{unit}"
        named = snapshot.proc(f"sys/net/ipv4/conf/{name}/forwarding") is not None
        there = named or snapshot.attribute(f"bus/platform/devices/{platform}.{unit}/uevent") is not None
        if not there:
            return {"state": "absent"}
        flags = parse_int(snapshot.attribute(f"class/net/{name}/flags"), 16)
        return {
            "state": "present",
            "mac": snapshot.attribute(f"class/net/{name}/address"),
            "mtu": snapshot.attribute(f"class/net/{name}/mtu"),
            "up": None if flags is None else bool(flags & 1),
            "renamed": not named,
        }

    return read


def taps(snapshot: Snapshot) -> FrozenSet[str]:
    """Return the tap interfaces of the VM host that the instance has open now."""
    return transports.taps_of(snapshot.pid)


def canonical(snapshot: Snapshot, flat: Options) -> Options:
    """Return the settings that can be compared: the others are not visible."""
    return {key: flat.get(key) for key in ("mac", "mtu")}


# What a spec needs, and the result.


def _checker(kind: str, table: Table) -> Callable[[Snapshot, int, Options, Collection[str]], None]:
    def check(snapshot: Snapshot, unit: int, want: Options, leaving: Collection[str]) -> None:
        """Refuse what this kernel or this VM host has not.

        :raises InputError: when the transport is not of this kernel, or its interface, descriptor or socket not there
        """
        row = table[want["transport"]]
        series = snapshot.series()
        if series != UNKNOWN and not row.since <= series < row.until:
            raise InputError(
                f"the kernel of {snapshot.umid} ({snapshot.release()}) has no transport {want['transport']}"
                f" for {kind} interfaces"
            )
        _check_ifname(snapshot, want)
        if want["transport"] == "daemon":
            _check_socket(snapshot, want.get("socket") or transports.DAEMON_SOCKET)
        if want["transport"] == "vde":
            _check_vde_plug(snapshot)
        if want["transport"] == "fd" and want["fd"].isdigit() and snapshot.has_descriptor(int(want["fd"])) is False:
            raise InputError(f"{snapshot.umid} has no descriptor {want['fd']}; it can use those it was started with")

    return check


def _check_ifname(snapshot: Snapshot, want: Options) -> None:
    """Refuse an interface that is not there, where the instance cannot make it: only root's makes taps."""
    name, known = want.get("ifname"), snapshot.host_interfaces()
    if not name or known is None or name in known:
        return
    if want["transport"] == "raw" or snapshot.uid() != 0:
        raise InputError(
            f"the VM host has no interface {name!r}, as {snapshot.umid} sees it, and the instance cannot make it",
            ifname=name,
        )


def _check_socket(snapshot: Snapshot, path: str) -> None:
    try:
        snapshot.stat(path)
    except FileNotFoundError:
        raise InputError(
            f"no switch listens at {path!r} on the VM host; the kernel would say OK and make no interface", path=path
        ) from None


def _check_vde_plug(snapshot: Snapshot) -> None:
    """Refuse vde where its helper is missing: the guest would spin when it brings the interface up (seen on 7.2)."""
    folders = (snapshot.environment().get("PATH") or os.defpath).split(":")
    if not any(os.path.exists(snapshot.host_path(os.path.join(folder, "vde_plug")) or "/") for folder in folders):
        raise InputError(f"no vde_plug in the PATH of {snapshot.umid} on the VM host, and the transport vde needs it")


def exclusive_resource(snapshot: Snapshot, want: Options) -> Optional[str]:
    """Return the tap that no other interface can have at the same time."""
    tap = want.get("transport") in ("tap", "hybrid", "tuntap", "ethertap") and want.get("ifname")
    return f"the tap {tap}" if tap else None


def in_use(snapshot: Snapshot, unit: int, have: Options) -> Optional[str]:
    """Return why an interface must not be removed now, or None."""
    return "the guest has the interface up; take it down there first" if have.get("up") else None


def unverifiable(snapshot: Snapshot, unit: int, want: Options, have: Options) -> List[str]:
    """Return what cannot be verified of an interface."""
    if have.get("renamed"):
        return ["the guest has renamed the interface, so nothing of it is seen but that it is there"]
    if have.get("up") is None:
        return ["the guest shows no more than that the interface is there: it has no /sys"]
    name, known = want.get("ifname"), snapshot.host_interfaces()
    if not have["up"]:
        missing = name and known is not None and name not in known
        later = f"; the VM host has no {name} yet, and the instance will create it then" if missing else ""
        return [
            f"the kernel opens the transport when the guest brings the interface up, and reports it only then{later}"
        ]
    if want.get("transport") in ("tap", "hybrid") and name in taps(snapshot):
        unseen = sorted(set(want) - {"transport", "ifname", "mac", "mtu"})
        return [f"the kernel does not report its {', '.join(unseen)}"] if unseen else []
    return ["the kernel does not report the settings of the interface"]


MEANINGS = (
    Meaning(-22, "already configured", "there is such a device, which the guest may have renamed"),
    Meaning(-16, "currently open", "the guest has the interface up"),
    Meaning(1, "", "the kernel does not know the transport, or could not set it up"),
)


def _row(kind: str, table: Table, common: Tuple[str, ...], platform: str, **values: Any) -> DeviceClass:
    return DeviceClass(
        name=kind,
        spelling=re.compile(rf"{kind}(?P<unit>[0-9]+)(?P<flags>)"),
        units=f"{kind}0 to {kind}{LIMIT - 1}",
        limit=LIMIT,
        change=REPLACE,
        probe=f"config {kind}0",
        options=("transport", "ifname", "mac", "settings"),
        validate=_validator(kind, table, common),
        read=_reader(kind, platform),
        canonical=canonical,
        check=_checker(kind, table),
        in_use=in_use,
        exclusive_resource=exclusive_resource,
        unverifiable=unverifiable,
        config_readable=False,
        meanings=MEANINGS,
        **values,
    )


VECTOR = _row(
    "vec",
    transports.VEC,
    transports.COMMON,
    "uml-vector",
    title="a network interface",
    kernels="all kernels",
    parse=transports.parse_vec,
    render=render_vec,
)
ETHERNET = _row(
    "eth",
    transports.ETH,
    (),
    "uml-netdev",
    title="a network interface of the old kind",
    kernels="kernels up to 6.12, use vec on later ones",
    parse=transports.parse_eth,
    render=render_eth,
)
