# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A separate network for a VM host, joined to the machine by a cable that can be pulled out."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

_EACH = 4  # networks that one run of tests may have at a time
_NETWORKS = 1 << 15  # of four addresses each, in 198.18.0.0/15, which is for tests (RFC 2544)


class Network:
    """A network namespace at one end of a pair of interfaces; the machine is at the other.

    ``number`` distinguishes the networks of one run.
    """

    def __init__(self, number: int = 0) -> None:
        place = os.getpid() * _EACH + number % _EACH
        base = (198 << 24) + (18 << 16) + place % _NETWORKS * 4
        self.name = f"umlt-{place}"
        self._here, self._there = f"uv{place}a", f"uv{place}b"
        self._near, self.address = (_dotted(base + each) for each in (1, 2))

    def __enter__(self) -> Network:
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
            _ip("addr", "add", f"{self._near}/30", "dev", self._here)
            _ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", self._there)
            _ip("link", "set", self._here, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
            self.join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._here)  # at once; what still runs in the namespace keeps that for a while
        _ip("netns", "del", self.name)

    @property
    def inside(self) -> list[str]:
        """Return the words that run a command in it; unlike ``ip netns exec`` they leave its mounts alone."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def cut(self) -> None:
        """Pull the cable out at the VM host's end; programs with a connection get no notice."""
        _ip("-n", self.name, "link", "set", self._there, "down")

    def join(self) -> None:
        """Put the cable in."""
        _ip("-n", self.name, "link", "set", self._there, "up")

    def sysctl(self, name: str, value: str) -> None:
        """Set a value of this network alone."""
        path = Path("/proc/sys") / name.replace(".", "/")
        command = [*self.inside, "sh", "-c", f"echo {value} > {path}"]
        subprocess.run(command, check=True)


def lay_cable(one: Network, other: Network) -> tuple[str, str]:
    """Join two networks by their own cable, which goes with them, and return the address at each of its ends."""
    ends = [(one, "192.0.2.11"), (other, "192.0.2.12")]
    _ip("-n", one.name, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other.name)
    for network, address in ends:
        _ip("-n", network.name, "addr", "add", f"{address}/24", "dev", "cable")
        _ip("-n", network.name, "link", "set", "cable", "up")
    return ends[0][1], ends[1][1]


def _dotted(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
