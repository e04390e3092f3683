# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a User-Mode Linux kernel answers: its state and its words, no socket.

Written after what 6.1.176, 6.12.101 and 7.2.7 were seen to do; `tests/integration/test_contract.py` holds it to that.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

VERSIONS = {
    "6.1": "6.1.176 #1 Sat Jul  4 15:38:16 UTC 2026",
    "6.12": "6.12.101 #1 Wed Aug 12 05:59:36 UTC 2026",
    "7.2": "7.2.7 #1 Fri Sep 25 16:07:24 UTC 2026",
}
HELP = (
    "Commands: \n"
    "    version - Get kernel version \n"
    "    help - Print this message \n"
    "    halt - Halt UML \n"
    "    reboot - Reboot UML \n"
    "    config <dev>=<config> - Add a new device to UML;  \n"
    "\tsame syntax as command line \n"
    "    config <dev> - Query the configuration of a device \n"
    "    remove <dev> - Remove a device from UML \n"
    "    sysrq <letter> - Performs the SysRq action controlled by the letter \n"
    "    cad - invoke the Ctrl-Alt-Del handler \n"
    "    stop - pause the UML; it will do nothing until it receives a 'go' \n"
    "    go - continue the UML after a 'stop' \n"
    "    log <string> - make UML enter <string> into the kernel log\n"
    "    proc <file> - returns the contents of the UML's /proc/<file>\n"
    "    stack <pid> - returns the stack of the specified pid\n"
)
KEYS = (
    "sysrq: HELP : loglevel(0-9) reboot(b) crash(c) terminate-all-tasks(e) memory-full-oom-kill(f)"
    " kill-all-tasks(i) thaw-filesystems(j) show-memory-usage(m) nice-all-RT-tasks(n) poweroff(o) show-registers(p)"
    " show-all-timers(q) sync(s) show-task-states(t) unmount(u) show-blocked-tasks(w) {replay}\n"
)
CHUNK = 4095  # PAGE_SIZE - 1: what `proc` reads at a time
DISKS = 16
BUSY = 0.03  # seconds that a fresh disk is open on 6.12 and later (its partition scan)
CHANNELS = re.compile(r"(null|pts|pty|xterm|(fd|port|tty):)")
UNREADABLE = ("net/dev", "net/route", "modules", "swaps", "kallsyms", "kmsg", "1/status", "1/stat", "1/maps", "1", "")


class Part(NamedTuple):
    """What one call of mconsole_reply sends; the socket splits it into packets."""

    err: int
    text: str
    more: bool = False


class Refusal(Exception):
    """An error and its text, on their way to the reply."""

    def __init__(self, err: int, text: str = "") -> None:
        super().__init__(err, text)


Handler = Callable[["Kernel", str], "str | Iterator[Part] | None"]


@dataclass
class Disk:
    """One slot of the ubd driver; `flags` outlive a failed config, `ghost` is one that the boot line left broken."""

    file: str | None = None
    backing: str | None = None
    flags: set[str] = field(default_factory=set)
    ghost: bool = False
    in_use: bool = False
    size: int = 0
    busy_until: float = 0.0

    @property
    def shown(self) -> str:
        """Return what a query shows."""
        return ",".join(part for part in (self.file, self.backing) if part)


def unit_of(text: str) -> tuple[int, str]:
    """Return (number, rest) as the kernel's parse_unit and simple_strtoul with base 0 do; -1 when there is none."""
    found = re.match(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*", text)
    if found is None:
        return -1, text
    digits = found.group()
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return int(digits, base), text[found.end() :]


def disk_unit(text: str) -> tuple[int, str]:
    """Return (number, rest) of a disk, which may be a letter."""
    return (ord(text[0]) - ord("a"), text[1:]) if text[:1].islower() else unit_of(text)


@dataclass
class Kernel:
    """One kernel: its devices, its files and what state it is in."""

    series: str = "6.1"
    nodename: str = "fake"
    folder: Path = Path("/")
    disks: dict[int, Disk] = field(default_factory=lambda: {0: Disk("root_fs", ghost=True)})
    lines: dict[str, str] = field(default_factory=dict)
    open_lines: set[str] = field(default_factory=lambda: {"con0"})
    nets: dict[str, str] = field(default_factory=dict)
    virtio: list[str] = field(default_factory=list)
    backings: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    paused: bool = False
    frozen: bool = False
    wedged: bool = False
    end: str = ""  # "halt", "reboot" or "crash" once it has ended

    def __post_init__(self) -> None:
        """Fill in what every guest has."""
        for number in range(16):
            self.lines.setdefault(f"con{number}", "null,fd:1" if number == 0 else "null")
        for number in range(64):
            self.lines.setdefault(f"ssl{number}", "null")
        for path, data in (("uptime", b"2.13 0.00\n"), ("sys/kernel/ostype", b"Linux\n"), ("cmdline", b"con=null\n")):
            self.files.setdefault(path, data)
        self.files.setdefault("sys/net/ipv4/conf/lo/forwarding", b"0\n")
        self.files.setdefault("devices", b"Character devices:\n  1 mem\n\nBlock devices:\n  7 loop\n 98 ubd\n")

    @property
    def new(self) -> bool:
        """Return whether it opens disks at config time, as 6.12 and later do."""
        return self.series != "6.1"

    def answer(self, command: str) -> Iterator[Part] | None:
        """Return the parts of the reply, or None when there will never be one."""
        for name, (interrupt, handler) in WORDS.items():
            if command.startswith(name):
                if (self.wedged or self.frozen) and not interrupt:
                    return None
                return self._run(handler, command[len(name) :].lstrip(" "))
        return iter([Part(1, "Unknown command")])

    def _run(self, handler: Handler, rest: str) -> Iterator[Part] | None:
        """Make parts of the result of a handler: a text, parts, or a refusal."""
        try:
            result = handler(self, rest)
        except Refusal as refusal:
            return iter([Part(*refusal.args)])
        return iter([Part(0, result)]) if isinstance(result, str) else result

    def freeze_if_paused(self) -> None:
        """Be the worst case: a paused kernel whose guest is reached freezes about every second time."""
        self.frozen = self.frozen or self.paused

    # Plain words.

    def version(self, _rest: str) -> str:
        """Answer `version`."""
        return f"Linux {self.nodename} {VERSIONS[self.series]} x86_64"

    def stop(self, _rest: str) -> str:
        """Answer `stop`."""
        if self.paused:
            raise Refusal(1, "Already stopped")
        self.paused = True
        return "stopped"

    def go(self, _rest: str) -> str:
        """Answer `go`; a frozen kernel denies that it is stopped."""
        if not self.paused or self.frozen:
            raise Refusal(1, "Not stopped")
        self.paused = False
        return ""

    def enter_log(self, rest: str) -> str:
        """Answer `log`."""
        self.log.append(rest)
        return ""

    def sysrq(self, rest: str) -> Iterator[Part] | str | None:
        """Answer `sysrq`: one part per printed line, then an empty one."""
        key = rest[:1]
        if key in ("b", "o"):
            self.end = "reboot" if key == "b" else "halt"
            return ""
        if key == "c" or (key == "t" and not self.series.startswith("7")):
            self.end = "crash"
            return iter([Part(0, "sysrq: Trigger a crash\n", True)])
        return iter([*(Part(0, line, True) for line in self._printed(key)), Part(0, "")])

    def _printed(self, key: str) -> list[str]:
        if key.isdigit():
            return ["sysrq: Changing Loglevel\n", f"sysrq: Loglevel set to {key}\n"]
        return [KEYS.format(replay="replay-kernel-logs(R) " if self.new else "")]

    def stack(self, rest: str) -> Iterator[Part]:
        """Answer `stack`."""
        if not rest[:1].isdigit():
            raise Refusal(1, "Please specify a pid")
        if unit_of(rest)[0] != 1:
            raise Refusal(1, "Couldn't find that pid")
        return iter([Part(0, "Stack: \n", True), Part(0, "Call Trace:\n", True), Part(0, "")])

    # Files.

    def proc(self, path: str) -> Iterator[Part] | None:
        """Answer `proc`: a newline, then chunks cut at their first NUL, then an empty end."""
        self.freeze_if_paused()
        if path.startswith("1/root/dev/"):
            self.wedged = True
        if self.wedged or self.frozen:
            return None
        data = self._file(path)
        chunks = [data[start : start + CHUNK].split(b"\0")[0] for start in range(0, len(data), CHUNK)]
        texts = ["\n", *(chunk.decode("utf-8", "surrogateescape") for chunk in chunks)]
        return iter([*(Part(0, text, True) for text in texts), Part(0, "")])

    def _file(self, path: str) -> bytes:
        if path in UNREADABLE:
            raise Refusal(1, "Read of file failed")
        found = {"partitions": self._partitions, "version": self._proc_version}.get(path)
        data = found() if found else self.files.get(path, self._disk_file(path))
        if data is None:
            raise Refusal(1, "Failed to open file")
        return data

    def _partitions(self) -> bytes:
        """List the disks that have a size; the heading is there with any disk at all."""
        disks = [(unit, disk) for unit, disk in sorted(self.disks.items()) if disk.file and not disk.ghost]
        rows = [
            f"  98  {16 * unit:7d} {disk.size // 1024:10d} ubd{chr(97 + unit)}\n" for unit, disk in disks if disk.size
        ]
        return "".join(["major minor  #blocks  name\n\n", *rows] if disks else []).encode()

    def _proc_version(self) -> bytes:
        return f"Linux version {VERSIONS[self.series]}\n".encode()

    def _disk_file(self, path: str) -> bytes | None:
        found = re.fullmatch(r"1/root/sys/block/ubd([a-p])/(size|ro)", path)
        disk = self.disks.get(ord(found[1]) - ord("a")) if found else None
        if found is None or disk is None or disk.file is None or disk.ghost:
            return None
        return b"%d\n" % (disk.size // 512 if found[2] == "size" else "r" in disk.flags)

    # Devices.

    def config(self, rest: str) -> str:
        """Answer `config`: with an equals sign anywhere it sets, else it asks."""
        driver, name = self._driver(rest, "Bad configuration option")
        if "=" in name:
            self.freeze_if_paused()
            return driver.configure(self, name)
        if driver.query is None:
            raise Refusal(1, "No get_config routine defined")
        return driver.query(self, name)

    def remove(self, rest: str) -> str:
        """Answer `remove`."""
        self.freeze_if_paused()
        driver, name = self._driver(rest, "Bad remove option")
        driver.remove(self, name)
        return ""

    def _driver(self, rest: str, complaint: str) -> tuple[Driver, str]:
        for name, driver in DRIVERS.items():
            if rest.startswith(name) and self.series in driver.series:
                return driver, rest[len(name) :]
        raise Refusal(1, complaint)

    # Disks.

    def disk_query(self, name: str) -> str:
        """Answer `config ubdN`; what follows the number is ignored."""
        unit, _rest = disk_unit(name)
        if not 0 <= unit < DISKS:
            raise Refusal(1, "ubd_get_config : device number out of range")
        return self.disks.get(unit, Disk()).shown

    def disk_configure(self, name: str) -> str:
        """Answer `config ubdN=...`."""
        if name.startswith("="):
            return ""
        unit, rest = disk_unit(name)
        if unit < 0:
            raise Refusal(-errno.EINVAL, "Couldn't parse device number")
        if unit >= DISKS:
            raise Refusal(1, "Device number out of range")
        disk = self.disks.setdefault(unit, Disk())
        if disk.file is not None:
            raise Refusal(-errno.EBUSY, "Device is already configured")
        self._open_disk(disk, _disk_flags(disk, rest))
        return ""

    def _open_disk(self, disk: Disk, setting: str) -> None:
        """Take the files; the flags of a disk that fails stick to its slot."""
        file, backing, *_serial = [part or None for part in re.split("[,:]", setting)] + [None]
        if file is None:
            return
        if backing and "d" in disk.flags:
            raise Refusal(-errno.EINVAL, "Can't specify both 'd' and a cow file")
        if "d" not in disk.flags:
            backing = backing or self.backings.get(file)
        size = self._size(backing or file)
        if self.new and (self.folder / file).is_dir():
            raise Refusal(-errno.EISDIR)
        if backing:
            self.backings[file] = str((self.folder / backing).resolve())
            (self.folder / file).touch()
        disk.file, disk.backing, disk.size = file, backing, size
        disk.busy_until = time.monotonic() + BUSY if self.new else 0.0

    def _size(self, file: str) -> int:
        try:
            found = os.stat(self.folder / file)
        except OSError as err:
            raise Refusal(-(err.errno or 1), "Couldn't determine size of device's file") from err
        return found.st_size if (self.folder / file).is_file() else 0

    def disk_remove(self, name: str) -> None:
        """Answer `remove ubdN`; a ghost takes the kernel with it."""
        unit, _rest = disk_unit(name)
        if unit < 0:
            raise Refusal(1, "Couldn't parse device number")
        if unit >= DISKS:
            raise Refusal(1, "Invalid device number - must be between 0 and 15")
        disk = self.disks.get(unit, Disk())
        if disk.file is None:
            raise Refusal(-errno.ENODEV, "Device doesn't exist")
        if disk.in_use or time.monotonic() < disk.busy_until:
            raise Refusal(-errno.EBUSY, "Device is currently open")
        self.end = "crash" if disk.ghost else self.end
        del self.disks[unit]

    # Consoles and serial lines.

    def _closed_line(self, line: str) -> str:
        if line not in self.lines:
            raise Refusal(-errno.EINVAL, "Device number out of range")
        if line in self.open_lines:
            raise Refusal(-errno.EINVAL, "Device is already open")
        return self.lines[line]

    def _set_line(self, line: str, setting: str) -> str:
        before = self._closed_line(line)
        good = all(CHANNELS.match(channel) for channel in setting.split(",", 1))
        self.lines[line] = setting if good else "none"
        if setting == "none":
            raise Refusal(-errno.EINVAL if before == "none" else 0, "configured as 'none'")
        if not good:
            raise Refusal(-1, "failed to parse channel pair")
        return ""

    # Network interfaces, memory, virtio.

    def vector_configure(self, name: str) -> str:
        """Answer `config vecN:...`: OK for every transport that can be parsed, be there such a one or not."""
        number, rest = unit_of(name)
        if number < 0:
            raise Refusal(-errno.EINVAL, "Bad device number")
        if not rest.startswith(":"):
            raise Refusal(-errno.EINVAL, "Expected ':' after device number")
        return self._add_net(f"vec{number}", rest[1:])

    def eth_configure(self, name: str) -> str:
        """Answer `config ethN=...`: OK for a daemon without a switch, though no interface comes of it."""
        number, rest = unit_of(name)
        if number < 0:
            raise Refusal(-errno.EINVAL, "Bad device number")
        transport = rest[1:].partition(",")[0]
        known = ("tuntap", "daemon", "slirp", "ethertap", "slip") + (() if self.new else ("mcast", "vde"))
        if transport not in known:
            raise Refusal(1)
        return "" if rest == "=daemon" else self._add_net(f"eth{number}", rest[1:])

    def _add_net(self, name: str, setting: str) -> str:
        if name in self.nets:
            raise Refusal(-errno.EINVAL, "Device already configured")
        self.nets[name] = setting
        self.files[f"sys/net/ipv4/conf/{name}/forwarding"] = b"0\n"
        return ""

    def memory_configure(self, name: str) -> str:
        """Answer `config mem=...`."""
        if not name.startswith("="):
            raise Refusal(-errno.EINVAL, "Expected '=' after 'mem'")
        if name[1:2] not in ("-", "+"):
            raise Refusal(-errno.EINVAL, "Expected increment to start with '-' or '+'")
        if not re.fullmatch("[0-9]+[kKmMgG]?", name[2:]):
            raise Refusal(-errno.EINVAL, "Failed to parse memory increment")
        return ""

    def memory_query(self, _name: str) -> str:
        """Answer `config mem` with the load address, which is not a size."""
        return "1610612736"

    def memory_remove(self, _name: str) -> None:
        """Answer `remove mem`."""
        raise Refusal(-errno.EBUSY, "Memory doesn't support the remove operation")

    def virtio_configure(self, name: str) -> str:
        """Answer `config virtio_uml.device=...`: OK even when the probe fails."""
        words = name[1:].split(":")
        if len(words) < 2:
            raise Refusal(-errno.EINVAL)
        if len(words) > 2 and words[2] in self.virtio:
            raise Refusal(-errno.EEXIST)
        self.virtio += words[2:3]
        return ""

    def virtio_remove(self, _name: str) -> None:
        """Answer `remove virtio_uml.device...`."""
        raise Refusal(1, "Couldn't parse device number")


def ending(how: str) -> Callable[[Kernel, str], str | None]:
    """Return the handler of `halt` or `reboot`, which crash a paused 6.x."""

    def end(self: Kernel, _rest: str) -> str | None:
        crashes = self.paused and self.series.startswith("6.")
        self.end = "crash" if crashes else how
        return None if crashes else ""

    return end


def line_query(kind: str) -> Callable[[Kernel, str], str]:
    """Return what answers `config conN` or `config sslN`: it shows what stands before the first comma."""

    def query(self: Kernel, name: str) -> str:
        number, rest = unit_of(name)
        if number < 0 or rest:
            raise Refusal(1, "line_get_config failed to parse device number")
        if f"{kind}{number}" not in self.lines:
            raise Refusal(1, "device number out of range")
        return self.lines[f"{kind}{number}"].partition(",")[0]

    return query


def line_configure(kind: str) -> Callable[[Kernel, str], str]:
    """Return what answers `config conN=...`: a bad channel destroys what was there."""

    def configure(self: Kernel, name: str) -> str:
        if name.startswith("="):
            raise Refusal(-errno.EINVAL, "Can't configure all devices from mconsole")
        number, rest = unit_of(name)
        if number < 0 or not rest.startswith("="):
            raise Refusal(-errno.EINVAL, "Couldn't parse device number")
        return self._set_line(f"{kind}{number}", rest[1:])

    return configure


def line_remove(kind: str) -> Callable[[Kernel, str], None]:
    """Return what answers `remove conN`."""

    def remove(self: Kernel, name: str) -> None:
        number, rest = unit_of(name)
        if number < 0 or rest:
            raise Refusal(1, "Couldn't parse device number")
        if self._closed_line(f"{kind}{number}") == "none":
            raise Refusal(-errno.EINVAL, "configured as 'none'")
        self.lines[f"{kind}{number}"] = "none"

    return remove


def net_remove(kind: str) -> Callable[[Kernel, str], None]:
    """Return what answers `remove vecN` or `remove ethN`."""

    def remove(self: Kernel, name: str) -> None:
        number, rest = unit_of(name)
        if number < 0 or rest:
            raise Refusal(1, "Couldn't parse device number")
        if self.nets.pop(f"{kind}{number}", None) is None:
            raise Refusal(-errno.ENODEV, "Device doesn't exist")
        del self.files[f"sys/net/ipv4/conf/{kind}{number}/forwarding"]

    return remove


def _disk_flags(disk: Disk, rest: str) -> str:
    """Put the flag letters before the equals sign into a disk and return what follows it."""
    for place, letter in enumerate(rest[:7]):
        if letter == "=":
            return rest[place + 1 :]
        if letter not in "rscdt":
            raise Refusal(-errno.EINVAL, "Expected '=' or flag letter (r, s, c, t or d)")
        disk.flags.add(letter)
    raise Refusal(-errno.EINVAL, "Too many flags specified" if rest[7:8] == "=" else "Missing '='")


WORDS: dict[str, tuple[bool, Handler]] = {
    "version": (False, Kernel.version),
    "halt": (False, ending("halt")),
    "reboot": (False, ending("reboot")),
    "config": (False, Kernel.config),
    "remove": (False, Kernel.remove),
    "sysrq": (True, Kernel.sysrq),
    "help": (True, lambda kernel, rest: HELP),
    "cad": (True, ending("reboot")),
    "stop": (False, Kernel.stop),
    "go": (True, Kernel.go),
    "log": (True, Kernel.enter_log),
    "proc": (False, Kernel.proc),
    "stack": (True, Kernel.stack),
}


class Driver(NamedTuple):
    """What a device class does; `series` are the kernels that have it."""

    query: Callable[[Kernel, str], str] | None
    configure: Callable[[Kernel, str], str]
    remove: Callable[[Kernel, str], None]
    series: tuple[str, ...] = tuple(VERSIONS)


DRIVERS = {
    "ubd": Driver(Kernel.disk_query, Kernel.disk_configure, Kernel.disk_remove),
    "con": Driver(line_query("con"), line_configure("con"), line_remove("con")),
    "ssl": Driver(line_query("ssl"), line_configure("ssl"), line_remove("ssl")),
    "vec": Driver(None, Kernel.vector_configure, net_remove("vec")),
    "eth": Driver(None, Kernel.eth_configure, net_remove("eth"), ("6.1", "6.12")),
    "mem": Driver(Kernel.memory_query, Kernel.memory_configure, Kernel.memory_remove),
    "virtio_uml.device": Driver(None, Kernel.virtio_configure, Kernel.virtio_remove, ("7.2",)),
}
