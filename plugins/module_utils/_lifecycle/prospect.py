# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Check the interfaces, lines and virtio devices of a command line as ``device`` checks them on a running instance."""

from __future__ import annotations

import os
import re
from typing import Dict, Iterator, List, Optional, Set, Tuple

from .._devices import spec
from .._devices.spec import DeviceSpec
from .._guest.snapshot import Snapshot
from .._mconsole import procfs
from .._mconsole.errors import InputError
from . import kernel_arg_groups, kernel_file
from .launch import Launch

_WORD = re.compile(r"(?P<name>vec\d+):(?P<vec>.*)|(?P<old>(?:eth|con|ssl)\d+)=(?P<config>.*)", re.DOTALL)
_VIRTIO = re.compile(r"virtio_uml\.device=(?P<config>[^:]+:\d+)(:(?P<unit>\d+))?")
_ETH_GONE = (6, 16)  # drivers/net_kern.c was removed then
_OWN_DESCRIPTORS = (0, 1, 2)  # a kernel is started with no other
_LINES = ("con", "ssl")


class Prospect(Snapshot):
    """What can be said of an instance before it is started: its kernel's file, its user, and the VM host."""

    def __init__(self, launch: Launch) -> None:
        self.umid = launch.place.umid
        self.guest_unreadable = True
        self._launch = launch
        self._kernel = kernel_file.inspect(launch.argv[0])

    def release(self) -> str:
        """Return the kernel's release, or nothing when its file does not say."""
        return self._kernel.release or ""

    @property
    def pid(self) -> Optional[int]:
        """Return None: no process runs yet."""
        return None

    def host_path(self, path: str) -> Optional[str]:
        """Return where the instance will find a file."""
        return None if "\0" in path else os.path.join(self._launch.cwd, path)

    def has_descriptor(self, number: int) -> Optional[bool]:
        """Return whether the instance will have a descriptor."""
        return number in _OWN_DESCRIPTORS

    def uid(self) -> Optional[int]:
        """Return the user that the instance will run as."""
        return self._launch.identity.uid if self._launch.identity else os.geteuid()

    def host_interfaces(self) -> Optional[List[str]]:
        """Return the VM host's network interfaces."""
        lines = procfs.read_text("/proc/self/net/dev").splitlines()[2:]
        return [line.partition(":")[0].strip() for line in lines] or None

    def environment(self) -> Dict[str, str]:
        """Return the environment that the instance will have."""
        return self._launch.environment


def check(launch: Launch, force: bool = False) -> List[str]:
    """Return doubts about the devices of a command line.

    :raises InputError: when a device cannot work, and ``force`` is not given; with it that is a doubt
    """
    prospect = Prospect(launch)
    doubts: List[str] = []
    claimed: Set[str] = set()
    for request in _requested(launch):
        try:
            _check(prospect, request, claimed)
        except InputError as err:
            if not force:
                raise InputError(f"{request.name.text}: {err}; set force=true to start {prospect.umid} anyway") from err
            doubts.append(f"{request.name.text}: {err}")
        doubts += _doubts(prospect, request)
    return doubts


def _check(prospect: Prospect, request: DeviceSpec, claimed: Set[str]) -> None:
    kind = request.name.kind
    if kind.name == "eth" and prospect.series() >= _ETH_GONE:
        raise InputError(
            f"the kernel of {prospect.umid} ({prospect.release()}) has no {kind.name} interfaces; they are in"
            f" {kind.kernels}"
        )
    kind.check(prospect, request.name.unit, request.flat, ())
    claim = kind.exclusive_resource(prospect, request.flat)
    if claim in claimed:
        raise InputError(f"two interfaces of {prospect.umid} use {claim}; expected one")
    claimed.update({claim} if claim else ())


def _doubts(prospect: Prospect, request: DeviceSpec) -> List[str]:
    """Return what a user should know of a line; of an interface nothing is known until the guest brings it up."""
    kind = request.name.kind
    if kind.name not in _LINES:
        return []
    found = kind.unverifiable(prospect, request.name.unit, request.flat, {"output": request.flat.get("output")})
    return [f"{request.name.text}: {text}" for text in [*found, *kind.warnings(request.flat)]]


def _requested(launch: Launch) -> Iterator[DeviceSpec]:
    """Yield the devices of a command line; a word that we cannot read is left to the kernel."""
    for name, config in _named(kernel_arg_groups.split(launch.argv[1:])["devices"]):
        try:
            request = spec.parse_spec(name, {"config": config})
        except InputError:
            continue
        if request.present and request.flat:
            yield request


def _named(words: List[str]) -> Iterator[Tuple[str, str]]:
    """Yield (name, setting) of each word that sets one interface, line or virtio device."""
    for word in words:
        match, virtio = _WORD.fullmatch(word), _VIRTIO.fullmatch(word)
        if match is not None:
            yield match["name"] or match["old"], match["config"] if match["vec"] is None else match["vec"]
        elif virtio is not None:
            yield f"virtio_uml{virtio['unit'] or 0}", virtio["config"]
