# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said to a console and what it answers, in order: one table for the fake, for real kernels and for the record.

A row is (command, err, text); where kernels differ, err and text are a table by series. Each story leaves the
instance as it was. `a.img` and `b.img` are files of 1 MiB, `empty.img` is an empty one, `folder` is one, `missing` is
nothing; all lie where the kernel was started, which is `{folder}`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Union

Said = tuple[int, str]
Row = Union[tuple[str, int, str], tuple[str, dict[str, Said]]]  # an alias is built when this is read


def since_6_12(old: Said, new: Said) -> dict[str, Said]:
    """Return what 6.1 says and what later ones say."""
    return {"6.1": old, "6.12": new, "7.2": new}


def until_6_12(old: Said, new: Said) -> dict[str, Said]:
    """Return what 6.x say and what later ones say."""
    return {"6.1": old, "6.12": old, "7.2": new}


OUT = "Device number out of range"
UNIT = "Couldn't parse device number"
BUSY = "Device is already configured"
GONE = "Device doesn't exist"
NO_QUERY = "No get_config routine defined"
NO_OPTION = "Bad configuration option"
NO_REMOVE = "Bad remove option"
PAIR = "failed to parse channel pair"
NONE = "configured as 'none'"
SIZE = "Couldn't determine size of device's file"
NO_DISK = "ubd_get_config : device number out of range"

STORIES: dict[str, list[Row]] = {
    "words that are none": [
        ("Version", 1, "Unknown command"),
        (" version", 1, "Unknown command"),
        ("nosuch", 1, "Unknown command"),
    ],
    "words are matched by their start": [("logx", 0, ""), ("stack0", 1, "Couldn't find that pid")],
    "classes that are none": [
        ("config foo", 1, NO_OPTION),
        ("config foo=1", 1, NO_OPTION),
        ("remove foo", 1, NO_REMOVE),
    ],
    "a disk comes and goes": [
        ("config ubd1", 0, ""),
        ("config ubd1=a.img", 0, ""),
        ("config ubd1", 0, "a.img"),
        ("config ubdb", 0, "a.img"),
        ("config ubd1=a.img", -16, BUSY),
        ("config ubd1=b.img", -16, BUSY),
        ("remove ubd1", 0, ""),
        ("remove ubd1", -19, GONE),
    ],
    "disks by hexadecimal and octal number": [
        ("config ubd0x3=a.img", 0, ""),
        ("config ubd3", 0, "a.img"),
        ("remove ubd0x3", 0, ""),
        ("config ubd010=a.img", 0, ""),
        ("config ubdi", 0, "a.img"),
        ("remove ubd8", 0, ""),
    ],
    "disks that cannot be": [
        ("config ubd16", 1, NO_DISK),
        ("config ubdq", 1, NO_DISK),
        ("config ubd", 1, NO_DISK),
        ("config ubd-1", 1, NO_DISK),
        ("config ubd1x", 0, ""),
        ("config ubd20=a.img", 1, OUT),
        ("config ubd2x=a.img", -22, "Expected '=' or flag letter (r, s, c, t or d)"),
        ("config ubd2 = a.img", -22, "Expected '=' or flag letter (r, s, c, t or d)"),
        ("config ubd2=", 0, ""),
        ("config ubd2", 0, ""),
        ("config ubd=foo", 0, ""),
        ("remove ubd16", 1, "Invalid device number - must be between 0 and 15"),
        ("remove ubd", 1, UNIT),
    ],
    "disks with too many flags": [
        ("config ubd12rrrrrrr=a.img", -22, "Too many flags specified"),
        ("config ubd12rrrrrrrr=a.img", -22, "Missing '='"),
    ],
    "disks without their files": [
        ("config ubd3=missing", -2, SIZE),
        ("config ubd3", 0, ""),
        ("config ubd3=new.cow,missing", -2, SIZE),
        ("config ubd3", 0, ""),
    ],
    "flags of a failed config stick": [
        ("config ubd4d=my.cow,a.img", -22, "Can't specify both 'd' and a cow file"),
        ("config ubd4=my.cow,a.img", -22, "Can't specify both 'd' and a cow file"),
        ("config ubd4=a.img", 0, ""),
        ("remove ubd4", 0, ""),
        ("config ubd4=my.cow,a.img", 0, ""),
        ("remove ubd4", 0, ""),
    ],
    "a copy-on-write file knows its backing": [
        ("config ubd5=its.cow,a.img", 0, ""),
        ("config ubd5", 0, "its.cow,a.img"),
        ("remove ubd5", 0, ""),
        ("config ubd5=its.cow", 0, ""),
        ("config ubd5", 0, "its.cow,{folder}/a.img"),
        ("remove ubd5", 0, ""),
        ("config ubd5d=its.cow", 0, ""),
        ("config ubd5", 0, "its.cow"),
        ("remove ubd5", 0, ""),
    ],
    "flags, a serial and colons are not shown": [
        ("config ubd6rt=a.img,,serial", 0, ""),
        ("config ubd6", 0, "a.img"),
        ("remove ubd6", 0, ""),
        ("config ubd6=its2.cow:a.img", 0, ""),
        ("config ubd6", 0, "its2.cow,a.img"),
        ("remove ubd6", 0, ""),
    ],
    "a directory is no disk": [
        ("config ubd7=folder", since_6_12((0, ""), (-21, ""))),
        ("config ubd7", since_6_12((0, "folder"), (0, ""))),
        ("remove ubd7", since_6_12((0, ""), (-19, GONE))),
    ],
    "the default disk is a ghost": [("config ubd0", 0, "root_fs"), ("config ubd0=a.img", -16, BUSY)],
    "a disk shows in files": [
        ("proc partitions", 0, "\n"),
        ("config ubd1=a.img", 0, ""),
        ("proc partitions", 0, "\nmajor minor  #blocks  name\n\n  98       16       1024 ubdb\n"),
        ("proc 1/root/sys/block/ubdb/size", 0, "\n2048\n"),
        ("proc 1/root/sys/block/ubdb/ro", 0, "\n0\n"),
        ("remove ubd1", 0, ""),
        ("proc 1/root/sys/block/ubdb/size", 1, "Failed to open file"),
        ("config ubd1r=a.img", 0, ""),
        ("proc 1/root/sys/block/ubdb/ro", 0, "\n1\n"),
        ("remove ubd1", 0, ""),
    ],
    "an empty disk shows in sysfs alone": [
        ("config ubd1=empty.img", 0, ""),
        ("config ubd1", 0, "empty.img"),
        ("proc partitions", 0, "\nmajor minor  #blocks  name\n\n"),
        ("proc 1/root/sys/block/ubdb/size", 0, "\n0\n"),
        ("remove ubd1", 0, ""),
    ],
    "a console line comes and goes": [
        ("config con1", 0, "null"),
        ("config con01", 0, "null"),
        ("config con1=pts", 0, ""),
        ("config con1", 0, "pts"),
        ("config con1=pts", 0, ""),
        ("config con1=none", 0, NONE),
        ("config con1", 0, "none"),
        ("config con1=none", -22, NONE),
        ("remove con1", -22, NONE),
        ("config con1=null,fd:1", 0, ""),
        ("config con1", 0, "null"),
        ("remove con1", 0, ""),
        ("config con1=null", 0, ""),
    ],
    "a bad channel destroys the good one": [
        ("config con2", 0, "null"),
        ("config con2=bogus", -1, PAIR),
        ("config con2", 0, "none"),
        ("config con2=null,bogus", -1, PAIR),
        ("config con2=", -1, PAIR),
        ("config con2=tty", -1, PAIR),
        ("config con2=fd", -1, PAIR),
        ("config con2=port", -1, PAIR),
        ("config con2=null", 0, ""),
    ],
    "channels are looked at by their start": [
        ("config con3=nullXYZ", 0, ""),
        ("config con3", 0, "nullXYZ"),
        ("config con3=pts:/dev/pts/99", 0, ""),
        ("config con3", 0, "pts:/dev/pts/99"),
        ("config con3=null", 0, ""),
    ],
    "lines that cannot be": [
        ("config con16", 1, "device number out of range"),
        ("config conx", 1, "line_get_config failed to parse device number"),
        ("config con16=null", -22, OUT),
        ("config conx=null", -22, UNIT),
        ("config con=pts", -22, "Can't configure all devices from mconsole"),
        ("remove con16", -22, OUT),
        ("remove conx", 1, UNIT),
    ],
    "an open line stays": [
        ("config con0=null", -22, "Device is already open"),
        ("remove con0", -22, "Device is already open"),
    ],
    "a serial line comes and goes": [
        ("config ssl3=pty", 0, ""),
        ("config ssl3", 0, "pty"),
        ("remove ssl3", 0, ""),
        ("remove ssl3", -22, NONE),
        ("config ssl3=null", 0, ""),
        ("config ssl64", 1, "device number out of range"),
        ("config ssl64=null", -22, OUT),
    ],
    "a vector interface comes and goes": [
        ("config vec0", 1, NO_QUERY),
        ("config vec0:transport=nosuch", 0, ""),
        ("proc sys/net/ipv4/conf/vec0/forwarding", 0, "\n0\n"),
        ("config vec0:transport=tap", -22, "Device already configured"),
        ("remove vec0", 0, ""),
        ("remove vec0", -19, GONE),
        ("proc sys/net/ipv4/conf/vec0/forwarding", 1, "Failed to open file"),
    ],
    "vector interfaces that cannot be": [
        ("config vec0=tap", -22, "Expected ':' after device number"),
        ("config vecx:transport=tap", -22, "Bad device number"),
        ("config vec0:tap", 1, NO_QUERY),
        ("remove vec", 1, UNIT),
        ("remove vecx", 1, UNIT),
        ("remove vec0x", 1, UNIT),
    ],
    "the legacy interfaces": [
        ("config eth0", until_6_12((1, NO_QUERY), (1, NO_OPTION))),
        ("config eth1=daemon", until_6_12((0, ""), (1, NO_OPTION))),
        ("remove eth1", until_6_12((-19, GONE), (1, NO_REMOVE))),
        ("config eth1=nosuch", until_6_12((1, ""), (1, NO_OPTION))),
        ("config eth0=tuntap,,,10.0.0.1", until_6_12((0, ""), (1, NO_OPTION))),
        ("config eth0=tuntap,,,10.0.0.1", until_6_12((-22, "Device already configured"), (1, NO_OPTION))),
        ("remove eth0", until_6_12((0, ""), (1, NO_REMOVE))),
        ("remove eth", until_6_12((1, UNIT), (1, NO_REMOVE))),
    ],
    "memory": [
        ("config mem", 0, "1610612736"),
        ("config mem=-1M", 0, ""),
        ("config mem=+1M", 0, ""),
        ("config mem=1M", -22, "Expected increment to start with '-' or '+'"),
        ("config mem=-8MB", -22, "Failed to parse memory increment"),
        ("config memory", 0, "1610612736"),
        ("remove mem", -16, "Memory doesn't support the remove operation"),
    ],
    "virtio devices": [
        ("config virtio_uml.device", until_6_12((1, NO_OPTION), (1, NO_QUERY))),
        ("config virtio_uml.device=missing:1:7", until_6_12((1, NO_OPTION), (0, ""))),
        ("config virtio_uml.device=missing:1:7", until_6_12((1, NO_OPTION), (-17, ""))),
        ("config virtio_uml.device=missing", until_6_12((1, NO_OPTION), (-22, ""))),
        ("remove virtio_uml.device", until_6_12((1, NO_REMOVE), (1, UNIT))),
    ],
    "a pause": [
        ("go", 1, "Not stopped"),
        ("stop", 0, "stopped"),
        ("stop", 1, "Already stopped"),
        ("config con1", 0, "null"),
        ("go", 0, ""),
        ("go", 1, "Not stopped"),
    ],
    "files": [
        ("proc sys/kernel/ostype", 0, "\nLinux\n"),
        ("proc nosuch", 1, "Failed to open file"),
        ("proc ../x", 1, "Failed to open file"),
        ("proc net/dev", 1, "Read of file failed"),
        ("proc 1", 1, "Read of file failed"),
        ("proc sys/net/ipv4/conf/lo/forwarding", 0, "\n0\n"),
    ],
    "stacks that cannot be": [
        ("stack 0", 1, "Couldn't find that pid"),
        ("stack 99999", 1, "Couldn't find that pid"),
        ("stack x", 1, "Please specify a pid"),
    ],
    "keys": [("sysrq 7", 0, "sysrq: Changing Loglevel\nsysrq: Loglevel set to 7\n")],
    "a line for the log": [("log something\n", 0, "")],
}


def expected(row: Row, series: str, folder: Path) -> Said:
    """Return what a kernel of the series says that was started in this folder."""
    err, text = row[1][series] if len(row) == 2 else (row[1], row[2])
    return err, text.replace("{folder}", str(folder))
