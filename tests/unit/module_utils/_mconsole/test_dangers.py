# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each danger, and beside it the most similar command that is harmless."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands, dangers
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import DangerError


class Told(dangers.DangerContext):
    """A situation as the test describes it."""

    umid = "guest"

    def __init__(self, paused: bool | None = False, release: str = "6.1.176", **answers: str | None) -> None:
        self._paused = paused
        self._release = release
        self._answers = answers

    def __str__(self) -> str:
        """Name the case: each process that collects these tests must find the same names."""
        state = {True: "paused", False: "running", None: "out of sight"}[self._paused]
        return ", ".join([self._release or "unknown", state, *self._answers])

    def paused(self) -> bool | None:
        return self._paused

    def release(self) -> str:
        return self._release

    def drives_disks(self) -> bool:
        return self._answers.get("disks") != "none"

    def ask(self, text: str) -> str | None:
        return self._answers.get("config")

    def proc(self, path: str) -> str | None:
        return self._answers.get(path if path in ("partitions", "meminfo", "zoneinfo") else "size")


BOOTING: dict[str, Any] = {"disks": "none", "config": ""}
GHOST: dict[str, Any] = {"config": "root_fs", "partitions": "", "size": None}
DISK: dict[str, Any] = {
    "config": "/a",
    "partitions": "major minor\n\n  98  0 16 ubda\n  98 16 16 ubdb\n",
    "size": "32\n",
}
EMPTY: dict[str, Any] = {"config": "/dev/null", "partitions": "", "size": "0\n"}
UNSET: dict[str, Any] = {"config": "", "partitions": "", "size": None}
# 20 MiB, and 256 pages on the lists of two processors.
MEMORY: dict[str, Any] = {
    "meminfo": "MemTotal:  53456 kB\nMemAvailable:  19456 kB\n",
    "zoneinfo": "  pages free 1\n    cpu: 0\n              count:    100\n    cpu: 1\n              count:    156\n",
}
NEW = "7.2.7"

REFUSED = [
    ("guest-while-paused", "config con1=null", Told(paused=True)),
    ("guest-while-paused", "config vec0:transport=tap", Told(paused=True, release=NEW)),
    ("guest-while-paused", "remove con1", Told(paused=True)),
    ("guest-while-paused", "proc 1/root/etc/passwd", Told(paused=True)),
    ("guest-while-paused", "proc meminfo", Told(paused=True)),
    ("guest-while-paused", "config mem=-1G", Told(paused=True)),
    ("no-disk-driver", "config ubd1=/a", Told(**BOOTING)),
    ("no-disk-driver", "config ubdbr=/a,/b", Told(release=NEW, **BOOTING)),
    ("no-disk-driver", "remove ubd1", Told(**BOOTING)),
    *[("last-memory", f"config mem=-{size}", Told(**MEMORY)) for size in ("1G", "17M", "16385k", "0x1100000", "20m")],
    ("last-memory", "config mem=-1T", Told(release=NEW, **MEMORY)),
    ("last-memory", "config mem=-1M", Told(meminfo=MEMORY["meminfo"])),
    ("last-memory", "config mem=-1M", Told(zoneinfo=MEMORY["zoneinfo"])),
    ("end-while-paused", "halt", Told(paused=True)),
    ("end-while-paused", "reboot", Told(paused=True, release="6.12.101")),
    ("end-while-paused", "halt", Told(paused=True, release="")),
    ("ghost-disk", "remove ubd0", Told(**GHOST)),
    ("ghost-disk", "remove ubda", Told(**GHOST)),
    ("ghost-disk", "remove ubd0x3", Told(**GHOST)),
    ("ghost-disk", "remove ubd017", Told(**GHOST)),
    ("ghost-disk", "remove ubd2", Told(config="/a", partitions=DISK["partitions"], size=None)),
    ("endless-file", "proc 1/root/dev/tty0", Told()),
    ("endless-file", "proc 1/root//dev/urandom", Told()),
    ("endless-file", "proc 1/root/etc/../dev/tty0", Told()),
    ("endless-file", "proc 1/root/sys/../dev/tty0", Told()),
    ("endless-file", "proc /1/root/dev/tty0", Told()),
    ("endless-file", "proc self/root/dev/tty0", Told()),
    ("endless-file", "proc thread-self/root/dev/tty0", Told()),
    ("endless-file", "proc 1/task/1/root/dev/tty0", Told()),
    ("endless-file", "proc 1/cwd/dev/tty0", Told()),
    ("endless-file", "proc 1/root/var/lib/chroot/dev/tty0", Told()),
    ("endless-file", "proc 1/root/proc/1/fd/0", Told()),
    ("endless-file", "proc 1/fd/0", Told()),
    ("endless-file", "proc 1/exe", Told()),
    ("endless-file", "proc kcore", Told()),
    ("endless-file", "proc 1/root/proc/kcore", Told()),
    ("endless-file", "proc 1/root/run/initctl", Told()),
    ("endless-file", "proc 1/root/sys/kernel/tracing/trace_pipe", Told()),
    ("task-list", "sysrq t", Told()),
    ("task-list", "sysrq t", Told(release="6.12.101")),
    ("task-list", "sysrq t", Told(release="")),
    *[("deadly-key", f"sysrq {key}", Told(release=NEW)) for key in "bcefijo"],
]
HARMLESS = [
    ("config ubd1=/a", Told()),
    ("config ubd1", Told(**BOOTING)),
    ("config con1=null", Told(**BOOTING)),
    ("remove vec0", Told(**BOOTING)),
    ("config con1=null", Told()),
    ("config con1=null", Told(paused=None)),
    *[(f"config mem={size}", Told(**MEMORY)) for size in ("-16M", "-16384k", "-0100", "-0xfff", "+1G", "-8MB", "1G")],
    ("config mem", Told()),
    ("config con1", Told(paused=True)),
    ("version", Told(paused=True)),
    ("go", Told(paused=True)),
    ("stop", Told(paused=True)),
    ("sysrq h", Told(paused=True)),
    ("halt", Told()),
    ("halt", Told(paused=True, release=NEW)),
    ("remove ubd0", Told(**DISK)),
    ("remove ubdb", Told(**DISK)),
    ("remove ubd0x1", Told(**DISK)),
    ("remove ubd01", Told(**DISK)),
    ("remove ubd0", Told(**EMPTY)),
    ("remove ubd0", Told(**UNSET)),
    ("remove ubd99", Told(**UNSET)),
    ("remove con1", Told(**GHOST)),
    ("remove ubd", Told(**GHOST)),
    ("config ubd0", Told(**GHOST)),
    ("proc devices", Told()),
    ("proc net/dev", Told()),
    ("proc sys/dev/cdrom/info", Told()),
    ("proc tty/drivers", Told()),
    ("proc meminfo", Told()),
    ("proc 1/mounts", Told()),
    ("proc 1/root/etc/fstab", Told()),
    ("proc 1/root/home/device", Told()),
    ("proc 1/root/sys/class/tty/console/active", Told()),
    ("proc 1/root/sys/dev/block/98:0/size", Told()),
    ("proc 1/root/sys/block/ubda/size", Told()),
    ("sysrq t", Told(release=NEW)),
    ("sysrq m", Told()),
    ("sysrq s", Told()),
    ("sysrq H", Told()),
]


@pytest.mark.parametrize(("name", "text", "situation"), REFUSED, ids=lambda value: str(value) if value else "?")
def test_a_danger_is_refused(name: str, text: str, situation: Told) -> None:
    with pytest.raises(DangerError) as caught:
        dangers.refuse_if_dangerous(commands.parse(text), situation)
    assert caught.value.facts == {"umid": "guest", "command": text, "danger": name}
    assert str(caught.value).startswith(f"{text!r} was not sent to guest: ")


@pytest.mark.parametrize(("text", "situation"), HARMLESS, ids=lambda value: str(value) if value else "?")
def test_its_nearest_neighbour_is_let_pass(text: str, situation: Told) -> None:
    assert dangers.find(commands.parse(text), situation) is None


def test_every_row_of_the_table_is_tried() -> None:
    assert {name for name, _text, _situation in REFUSED} == {danger.name for danger in dangers.DANGERS}


def test_every_row_is_about_words_there_are() -> None:
    assert {name for danger in dangers.DANGERS for name in danger.words} <= set(commands.WORDS)


@pytest.mark.parametrize(
    ("unit", "letter"), [("0", "a"), ("15", "p"), ("c", "c"), ("0x3", "d"), ("010", "i"), ("99", "z")]
)
def test_a_unit_has_a_letter(unit: str, letter: str) -> None:
    assert dangers.disk_letter(unit) == letter
