# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Devices that others provide: ``virtio_umlN`` behind a vhost-user socket, ``vfio_uml.ADDRESS`` a PCI device.

Source: linux arch/um/drivers/virtio_uml.c and vfio_kern.c. They can be added, but neither changed nor removed. The
kernel says OK to a virtio device whose probe failed; only its driver link in sysfs shows that. Measured on 7.2
(virtio); no Debian kernel has vfio, so that row follows the source alone.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Collection, List

from .._guest.snapshot import Snapshot
from .._mconsole import procfs
from .._mconsole.errors import InputError
from .._mconsole.parsing import parse_int
from .device_class import ADD, DeviceClass, Meaning, Options, plain

# virtio_uml: the unit is the platform device's number, which is given as the third word so that it is known.


def parse_virtio(raw: str) -> Options:
    """Return the options in ``socket:virtio id``."""
    socket, colon, number = raw.rpartition(":")
    if not colon or not number.isdigit() or parse_int(number) is None:
        raise InputError(f"a virtio device is set by SOCKET:VIRTIO_ID, and not by {raw!r}")
    return {"socket": socket, "virtio_id": int(number)}


def validate_virtio(given: Options) -> Options:
    """Return the options as the kernel takes them.

    :raises InputError: when one is missing or would be split
    """
    if not given.get("socket") or given.get("virtio_id") is None:
        raise InputError("a virtio device needs a socket and a virtio_id, such as 1 for a network card or 2 for a disk")
    if not 0 < int(given["virtio_id"]) < 1 << 16:
        raise InputError(f"{given['virtio_id']} is not a virtio_id; expected a number from 1 to 65535")
    path = plain(
        os.path.expanduser(str(given["socket"])), "the socket", ":,", "the kernel takes what follows for a number"
    )
    return {"socket": path, "virtio_id": int(given["virtio_id"])}


def virtio_text(unit: int, flat: Options) -> str:
    """Return what follows ``config``."""
    return f"virtio_uml.device={flat['socket']}:{flat['virtio_id']}:{unit}"


def read_virtio(snapshot: Snapshot, unit: int) -> Options:
    """Return a virtio device as sysfs shows it; ``bound`` says whether its driver works."""
    listed = snapshot.attribute("module/virtio_uml/parameters/device") or ""
    for line in listed.splitlines():
        socket, number, this = ([*line.rsplit(":", 2), "", ""])[:3]
        if this == str(unit):
            uevent = snapshot.attribute(f"bus/platform/devices/virtio-uml.{unit}/uevent")
            bound = None if uevent is None else "DRIVER=" in uevent
            return {"state": "present", "socket": socket, "virtio_id": parse_int(number), "bound": bound}
    return {"state": "absent"}


def fill_in_virtio(snapshot: Snapshot, want: Options) -> Options:
    """Return a spec with what it implies: a working driver."""
    return {**want, "bound": True}


def canonical_virtio(snapshot: Snapshot, flat: Options) -> Options:
    """Return the options with the socket by its one name."""
    socket = flat.get("socket")
    return {
        "socket": snapshot.real_path(socket) if socket else None,
        "virtio_id": flat.get("virtio_id"),
        "bound": flat.get("bound"),
    }


def check_virtio(snapshot: Snapshot, unit: int, want: Options, leaving: Collection[str]) -> None:
    """Refuse a socket that is not there: the kernel would say OK, and the dead device could not be removed.

    :raises InputError: when there is no socket
    """
    try:
        found = snapshot.stat(want["socket"])
    except FileNotFoundError:
        raise InputError(f"no socket {want['socket']!r} on the VM host, as {snapshot.umid} sees it") from None
    if found is not None and not stat.S_ISSOCK(found.st_mode):
        raise InputError(f"{want['socket']!r} on the VM host is not a socket")


def unverifiable_virtio(snapshot: Snapshot, unit: int, want: Options, have: Options) -> List[str]:
    """Return what cannot be verified."""
    return ["whether its driver works shows only in the guest's /sys"] if have.get("bound") is None else []


VIRTIO = DeviceClass(
    name="virtio_uml",
    title="a virtio device",
    spelling=re.compile(r"virtio_uml\.?(?P<unit>[0-9]+)(?P<flags>)"),
    units="virtio_uml0 to virtio_uml255",
    limit=256,
    change=ADD,
    kernels="kernels from 7.2 on; before, on the command line alone",
    probe="config virtio_uml.device",
    options=("socket", "virtio_id"),
    parse=parse_virtio,
    validate=validate_virtio,
    render=lambda flat: "",
    text=virtio_text,
    read=read_virtio,
    fill_in=fill_in_virtio,
    canonical=canonical_virtio,
    check=check_virtio,
    unverifiable=unverifiable_virtio,
    config_readable=False,
    meanings=(
        Meaning(-17, "", "another device has that number"),
        Meaning(-22, "", "the kernel could not read the setting"),
    ),
)


# vfio_uml: the unit is the PCI address as a number.


def parse_vfio(raw: str) -> Options:
    """Refuse a setting: the name says which device it is.

    :raises InputError: always
    """
    raise InputError(f"a vfio_uml device is named by its PCI address and takes no config, and {raw!r} is given")


def vfio_number(address: str) -> int:
    """Return a PCI address such as ``0000:01:00.0`` as a number."""
    domain, bus, slot, function = re.split("[:.]", address)
    return int(domain, 16) << 16 | int(bus, 16) << 8 | int(slot, 16) << 3 | int(function, 16)


def vfio_address(unit: int) -> str:
    """Return a number as a PCI address."""
    return f"{unit >> 16:04x}:{unit >> 8 & 255:02x}:{unit >> 3 & 31:02x}.{unit & 7}"


def vfio_text(unit: int, flat: Options) -> str:
    """Return what follows ``config``."""
    return f"vfio_uml.device={vfio_address(unit)}"


def read_vfio(snapshot: Snapshot, unit: int) -> Options:
    """Return whether the instance has the device's VFIO group open; nothing in the guest shows its host address."""
    group = _group(unit)
    path = f"/dev/vfio/{group}"
    there = bool(group) and any(link == path for link in snapshot.links())
    return {"state": "present" if there else "absent"}


def _group(unit: int) -> str:
    return os.path.basename(procfs.link(f"/sys/bus/pci/devices/{vfio_address(unit)}/iommu_group") or "")


def check_vfio(snapshot: Snapshot, unit: int, want: Options, leaving: Collection[str]) -> None:
    """Refuse a device that the VM host has not, or has not given to VFIO.

    :raises InputError: when it is not there for the taking
    """
    address = vfio_address(unit)
    if not os.path.exists(f"/sys/bus/pci/devices/{address}"):
        raise InputError(f"the VM host has no PCI device {address}")
    driver = os.path.basename(procfs.link(f"/sys/bus/pci/devices/{address}/driver") or "")
    if driver != "vfio-pci":
        raise InputError(
            f"the PCI device {address} of the VM host is bound to {driver or 'no driver'}, not to vfio-pci"
        )


VFIO = DeviceClass(
    name="vfio_uml",
    title="a PCI device of the VM host",
    spelling=re.compile(r"vfio_uml\.(?P<unit>[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7])(?P<flags>)"),
    units="vfio_uml.0000:00:00.0 to vfio_uml.ffff:ff:1f.7",
    limit=1 << 32,
    change=ADD,
    kernels="kernels from 6.17 on that were built with CONFIG_UML_PCI_OVER_VFIO, which none of Debian's is",
    probe="config vfio_uml.device",
    options=(),
    parse=parse_vfio,
    validate=lambda given: given,
    render=lambda flat: "",
    text=vfio_text,
    read=read_vfio,
    canonical=lambda snapshot, flat: {},
    check=check_vfio,
    unverifiable=lambda snapshot, unit, want, have: ["the kernel does not report whether it could use the PCI device"],
    number=vfio_number,
    label=lambda unit: f"vfio_uml.{vfio_address(unit)}",
    config_readable=False,
    needs_options=False,
    meanings=(
        Meaning(-17, "", "the instance has the device already"),
        Meaning(-22, "", "the instance cannot open /dev/vfio/vfio"),
    ),
)
