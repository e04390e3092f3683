# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record the datagrams of real kernels into recorded/: run it when a story is added, `PYTHONPATH=tests`."""

from __future__ import annotations

import json
import socket
import struct
import tempfile
import time
from pathlib import Path

from support import kernels, uml
from support.contract_cases import STORIES

HEADER = struct.Struct("=III")
BESIDES = ["version", "help", "sysrq h", "sysrq"]
BUSY = "Device is currently open"
FOLDER = b"{folder}"


def files(folder: Path) -> Path:
    """Make the files that the stories name, and return their folder."""
    for name in ("a.img", "b.img"):
        with (folder / name).open("wb") as image:
            image.truncate(1 << 20)
    (folder / "empty.img").touch()
    (folder / "folder").mkdir()
    return folder


def ask(console: Path, command: str, folder: Path, patience: float = 5) -> list[str]:
    """Return the datagrams that answer a command; a disk that is still open is asked for again."""
    deadline = time.monotonic() + patience
    while True:
        datagrams = _ask_once(console, command)
        if BUSY.encode() not in datagrams[0] or time.monotonic() > deadline:
            return [_placeless(datagram, str(folder).encode()) for datagram in datagrams]


def _placeless(datagram: bytes, folder: bytes) -> str:
    """Return a datagram as text, its length without the folder's, which is another each time."""
    err, more, length = HEADER.unpack_from(datagram)
    gain = datagram.count(folder) * (len(folder) - len(FOLDER))
    data = datagram[HEADER.size :].replace(folder, FOLDER)
    return (HEADER.pack(err, more, length - gain) + data).decode("latin-1")


def _ask_once(console: Path, command: str) -> list[bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")
        sock.settimeout(5)
        sock.sendto(HEADER.pack(0xCAFEBABE, 2, len(command)) + command.encode(), str(console))
        found = [sock.recv(4096)]
        while HEADER.unpack_from(found[-1])[1]:
            found.append(sock.recv(4096))
        return found


def record(series: str) -> list[tuple[str, list[str]]]:
    """Return every command of the stories with what one kernel sends."""
    with tempfile.TemporaryDirectory(prefix="uml.rec.") as folder:
        guest = uml.launch("guest", Path(folder), kernel=kernels.path(series))
        try:
            files(guest.scratch)
            commands = [*BESIDES, *(row[0] for story in STORIES.values() for row in story)]
            return [(command, ask(guest.console, command, guest.scratch)) for command in commands]
        finally:
            guest.close()


def main() -> None:
    """Write one file a kernel."""
    folder = Path(__file__).parent / "recorded"
    folder.mkdir(exist_ok=True)
    for series in kernels.SERIES:
        rows = ",\n".join(json.dumps(row) for row in record(series))
        (folder / f"{series}.json").write_text(f"[\n{rows}\n]\n")


if __name__ == "__main__":
    main()
