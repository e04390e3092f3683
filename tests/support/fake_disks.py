# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fake kernel whose guest has /sys mounted: what it shows of disks and network interfaces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from support.fake_kernel import Disk, Kernel

HEADER = bytes.fromhex("4f4f4f4d00000003")  # "OOOM", version 3


def cow_header(backing: Path) -> bytes:
    """Return the start of a COW file as a kernel makes it (linux arch/um/drivers/cow_user.c, version 3)."""
    found = backing.stat()
    numbers = [(int(found.st_mtime), 4), (found.st_size, 8), (512, 4), (4096, 4), (0, 4)]
    return HEADER + b"".join(number.to_bytes(size, "big") for number, size in numbers) + str(backing).encode()


class KernelWithSysfs(Kernel):
    """Serves `1/root/sys/block/ubdX/...` and `1/root/sys/class/net/...`, and writes COW headers."""

    serials: ClassVar[dict[int, str]] = {}  # by the slot's identity: a slot that is emptied is another one

    def _open_disk(self, disk: Disk, setting: str) -> None:
        super()._open_disk(disk, setting)
        self.serials[id(disk)] = [*re.split("[,:]", setting), "", ""][2]
        if disk.backing and not Path(self.folder / disk.file).read_bytes():
            header = cow_header(self.folder / disk.backing)
            Path(self.folder / disk.file).write_bytes(header.ljust(8192, b"\0"))

    def serial(self, disk: Disk) -> str:
        """Return a disk's serial number."""
        return self.serials.get(id(disk), "")

    def _disk_file(self, path: str) -> bytes | None:
        found = re.fullmatch(r"1/root/sys/block/ubd([a-p])/(serial|queue/discard_max_bytes)", path)
        disk = self.disks.get(ord(found[1]) - ord("a")) if found else None
        if found is None or disk is None or disk.file is None or disk.ghost:
            return self._net_file(path) if found is None else None
        if found[2] == "serial":
            return (self.serial(disk) or "(null)").encode() + b"\n"
        return b"0\n" if "t" in disk.flags else b"4096\n"

    def _net_file(self, path: str) -> bytes | None:
        found = re.fullmatch(r"1/root/sys/class/net/(\w+)/(flags|address|mtu)", path)
        if found is None or found[1] not in self.nets:
            return super()._disk_file(path)
        mac = re.search(r"mac=([0-9a-f:]+)|,([0-9a-f:]{17})", self.nets[found[1]])
        address = (mac[1] or mac[2]) if mac else "52:54:00:00:00:01"
        return {"flags": "0x1002", "address": address, "mtu": "1500"}[found[2]].encode() + b"\n"
