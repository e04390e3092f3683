# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A bounded view of a guest through its console, with what it could not read and why.

A console lists no directory, and an open that fails costs the guest a line at level "error" in its kernel log
(mconsole_kern.c mconsole_proc). So this module takes names from files that list them (mounts, partitions, interrupts,
cmdline), and opens only files of those names.
"""

from __future__ import annotations

import itertools
import time
from typing import Dict, Iterable, List, Optional, Sequence

from .._guest import parsers
from .._guest.snapshot import UNKNOWN_CLASS, Snapshot
from .._mconsole.console import Console
from .._mconsole.errors import DangerError, InputError

_PAUSED = "the instance is paused, and reading its files then can freeze it"
_LATE = "the guest took so long to answer before that it was not asked"
_NO_SYSFS = "the guest has no sysfs at /sys"
_LONGEST = 1 << 18  # characters of a list that are looked at: a guest may put anything into its files
_LONG = 1 << 14  # characters of any other file
_LISTS = ("1/mounts", "partitions", "interrupts", "meminfo", "cpuinfo")
_MANY = 64  # devices, interfaces, or interfaces of one series that are looked at at most
TIME = 60.0  # seconds for all of it; measured: some hundredths, a few on a busy host


class BoundedSnapshot(Snapshot):
    """A sight that remembers what was out of it, and what came cut; ``wanted`` are further interfaces to look for.

    After ``seconds`` nothing more is asked: a guest may answer each question, and take its time.
    """

    def __init__(self, console: Console, interfaces: Sequence[str] = (), seconds: float = TIME) -> None:
        super().__init__(console)
        self.wanted = interfaces
        self._deadline = time.monotonic() + seconds
        self.unavailable: Dict[str, str] = {}
        self.truncated: List[str] = []
        self._sysfs: Optional[bool] = None
        self._interfaces: Optional[List[str]] = None

    def ask(self, text: str) -> Optional[str]:
        """Return the text that answers a query, or None, and the reason is kept."""
        return self._answer(text)

    def proc(self, path: str) -> Optional[str]:
        """Return a file of the guest's /proc, or None, and the reason is kept."""
        if self.guest_unreadable:
            self.unavailable[f"proc {path}"] = _PAUSED
            return None
        text = self._answer(f"proc {path}")
        longest = _LONGEST if path in _LISTS else _LONG
        if text is not None and len(text) > longest:
            self._note_cut(f"proc {path}")
            text = text[:longest]
        return text[1:] if text and text.startswith("\n") else text

    def text(self, path: str) -> str:
        """Return a file of the guest's /proc, or nothing."""
        return self.proc(path) or ""

    def attribute(self, path: str) -> Optional[str]:
        """Return a file of the guest's /sys without its newline, or None."""
        return super().attribute(path) if self.has_sysfs else None

    @property
    def has_sysfs(self) -> bool:
        """Return whether pid 1 of the guest sees a sysfs at /sys."""
        if self._sysfs is None:
            seen = parsers.mounts(self.text("1/mounts"))
            self._sysfs = any((mount["mount"], mount["fstype"]) == ("/sys", "sysfs") for mount in seen)
            if not self._sysfs and not self.guest_unreadable:
                self.unavailable["/sys"] = _NO_SYSFS
        return self._sysfs

    @property
    def interfaces(self) -> List[str]:
        """Return the names of the interfaces that are there, as far as they can be known."""
        if self._interfaces is None:
            self._interfaces = [] if self.guest_unreadable else self.some(self._named(), "interfaces")
        return self._interfaces

    def some(self, found: Iterable[str], what: str) -> List[str]:
        """Return as many names as are looked at, and remember whether there were more."""
        names = list(itertools.islice(found, _MANY + 1))
        if len(names) > _MANY:
            self._note_cut(what)
        return names[:_MANY]

    def is_there(self, path: str) -> bool:
        """Return whether a file is there, where it need not be; costs the guest a line in its kernel log if not."""
        found = self.proc(path) is not None
        if not self._is_late():
            self.unavailable.pop(f"proc {path}", None)
        return found

    def knows(self, probe: str, patiently: bool) -> Optional[bool]:
        """Return whether the kernel knows a class of devices; wait for lines, which are not there while it boots."""
        if self._is_late():
            self.unavailable[probe] = _LATE
            return None
        reply = self.reply(probe) if patiently else self._console.request(probe)
        return reply.text != UNKNOWN_CLASS

    def _named(self) -> Iterable[str]:
        """Yield the loopback, those that are up, those of the boot line that are there, and those asked for."""
        up = parsers.interfaces_up(self.text("interrupts"))
        yield from ["lo", *up]
        asked = [*parsers.interfaces_at_boot(self.text("cmdline")), *self.wanted]
        for name in dict.fromkeys(asked):
            found = self._series(name[:-1]) if name.endswith("*") else filter(self._has_interface, [name])
            yield from (interface for interface in found if interface not in up and interface != "lo")

    def _series(self, prefix: str) -> Iterable[str]:
        """Yield ``prefix0``, ``prefix1`` ... up to the first that is not there."""
        for number in range(_MANY):
            if not self._has_interface(f"{prefix}{number}"):
                return
            yield f"{prefix}{number}"

    def _has_interface(self, name: str) -> bool:
        path = "1/root/sys/class/net/{}/address" if self.has_sysfs else "sys/net/ipv4/conf/{}/forwarding"
        return self.is_there(path.format(name))

    def _answer(self, text: str) -> Optional[str]:
        if self._is_late():
            self.unavailable[text] = _LATE
            return None
        try:
            reply = self.reply(text)
        except (DangerError, InputError) as err:  # a name of the guest's own may be anything
            self.unavailable[text] = str(err)
            return None
        if reply.truncated:
            self._note_cut(text)
        if not reply.ok:
            self.unavailable[text] = reply.text.strip() or f"error {reply.err}"
        return reply.text if reply.ok else None

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _note_cut(self, what: str) -> None:
        if what not in self.truncated:
            self.truncated.append(what)
