# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one exchange of the collection costs beside the bare system calls, measured in turns on a real kernel."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.private_dir import private_directory
from support import uml

REQUEST = struct.pack("=III", 0xCAFEBABE, 2, 7) + b"version"
PAIRS = 6000


def bare_exchange(path: str, own: str) -> None:
    """Ask for the version with nothing but system calls: the least that a client with a private socket can do.

    The socket's own path is a fresh one, for a late answer would come to an old one.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    os.fchmod(sock.fileno(), 0o600)
    sock.bind(own)
    sock.connect(path)
    sock.send(REQUEST)
    sock.recv(4096)
    sock.close()
    os.unlink(own)


def seconds(action: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(path: str) -> tuple[list[float], list[float]]:
    """Take turns call by call, so that what else the machine does falls upon both."""
    console = Console(path)
    own, numbers = f"{private_directory()}/bench-{os.getpid()}", count()
    bare: list[float] = []
    ours: list[float] = []
    for _each in range(PAIRS):
        bare.append(seconds(lambda: bare_exchange(path, f"{own}-{next(numbers)}")))
        ours.append(seconds(lambda: console.command("version")))
    return bare, ours


def main() -> None:
    """Boot a guest and print both medians and the median of the ratios."""
    with tempfile.TemporaryDirectory(prefix="uml.bench.") as folder:
        guest = uml.launch("bench", Path(folder))
        try:
            bare, ours = compare(str(guest.console))
        finally:
            guest.close()
    for name, pick in (("median", 5), ("fastest tenth", 1)):
        least, most = (statistics.quantiles(times, n=10)[pick - 1] * 1e6 for times in (bare, ours))
        print(f"{name}: bare {least:.0f} us, console {most:.0f} us, ratio {most / least:.2f}")


if __name__ == "__main__":
    main()
