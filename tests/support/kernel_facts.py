# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kernels do with devices, asked by the rig's own client: the rows of the tables in docs/kernels.md."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from support import uml
from support.devices import image
from support.wait import wait_until

Probe = Callable[[uml.Instance, Path], str]
UNKNOWN = "Bad configuration option"


def said(reply: tuple[int, str]) -> str:
    """Return a reply as a table shows it."""
    err, text = reply
    return f"{err} {text}".strip() if err else text or "OK"


def has_class(query: str) -> Probe:
    """Return the answer that shows whether a kernel has a class of devices."""
    return lambda instance, folder: "-" if instance.request(query)[1] == UNKNOWN else "yes"


def lists(kind: str, names: tuple[str, ...]) -> Probe:
    """Return what lists the transports that a kernel takes."""

    def probe(instance: uml.Instance, folder: Path) -> str:
        taken = []
        for name in names:
            err, text = instance.request(f"config {kind}9={name},")
            if text == UNKNOWN:
                return "-"
            taken += [name] * (err == 0)
            instance.request(f"remove {kind}9")
        return " ".join(taken)

    return probe


def a_folder(instance: uml.Instance, folder: Path) -> str:
    """Set a folder as a disk."""
    reply = instance.request(f"config ubd1={folder}")
    instance.request("remove ubd1")
    return said(reply)


def removed_at_once(instance: uml.Instance, folder: Path) -> str:
    """Remove a disk right after it was set; a busy machine may find it closed already, so some are tried."""
    found = set()
    for _round in range(20):
        instance.request(f"config ubd1={image(folder / 'x')}")
        found.add(said(instance.request("remove ubd1")))
        wait_until(lambda: instance.request("remove ubd1")[0] == -19, 60, "disk removed")
    return sorted(found, key=lambda text: text == "OK")[0]


def open_when(instance: uml.Instance, folder: Path) -> str:
    """Find out when the host's file is opened."""
    file = image(folder / "x")
    instance.request(f"config ubd1={file}")
    wait_until(lambda: instance.request("proc 1/root/sys/block/ubdb/ro")[0] == 0, 60, "disk there")
    instance.guest("sleep 0.3")  # the partition scan has it open for a moment
    links = [str(link.readlink()) for link in Path(f"/proc/{instance.pid}/fd").iterdir()]
    wait_until(lambda: instance.request("remove ubd1")[0] in (0, -19), 60, "disk removed")
    return "when it is set, until it is removed" if file in links else "while the guest has it open"


def sticky(instance: uml.Instance, folder: Path) -> str:
    """See which flags of a refused setting are there in the next one."""
    instance.request(f"config ubd2rt={folder}/missing")
    instance.request(f"config ubd2={image(folder / 'x')}")
    block = "proc 1/root/sys/block/ubdc"
    left = "t" * (instance.request(f"{block}/queue/discard_max_bytes")[1].strip() == "0")
    left += "r" * (instance.request(f"{block}/ro")[1].strip() == "1")
    wait_until(lambda: instance.request("remove ubd2")[0] in (0, -19), 60, "disk removed")
    instance.request(f"config ubd2d={folder}/missing")
    raw = instance.request(f"config ubd2={folder}/x,{folder}/x")[1] == "Can't specify both 'd' and a cow file"
    instance.request("config ubd2=/dev/null")
    wait_until(lambda: instance.request("remove ubd2")[0] in (0, -19), 60, "disk removed")
    return " ".join(left + "d" * raw)


def bad_channel(instance: uml.Instance, folder: Path) -> str:
    """See what a line is after a bad channel."""
    instance.request("config con5=fd:1")
    instance.request("config con5=nosuch")
    return instance.request("config con5")[1]


def bogus_transport(instance: uml.Instance, folder: Path) -> str:
    """Set an interface with a transport that does not exist."""
    reply = instance.request("config vec9:transport=nosuch")
    instance.request("remove vec9")
    return said(reply)


def no_switch(instance: uml.Instance, folder: Path) -> str:
    """Set an interface that needs a switch which is not there."""
    reply = instance.request(f"config eth9=daemon,,unix,{folder}/ctl")
    if reply[1] == UNKNOWN:
        return "-"
    there = instance.request("proc sys/net/ipv4/conf/eth9/forwarding")[0] == 0
    return f"{said(reply)}, {'an' if there else 'no'} interface"


def dead_backend(instance: uml.Instance, folder: Path) -> str:
    """Set a virtio device without a backend."""
    reply = instance.request(f"config virtio_uml.device={folder}/none:1:9")
    return "-" if reply[1] == UNKNOWN else said(reply)


def ghost(instance: uml.Instance, folder: Path) -> str:
    """Remove the disk that no boot line named; this is the end of the instance."""
    shown = instance.request("config ubd0")[1]
    with contextlib.suppress(TimeoutError):
        instance.request("remove ubd0", timeout=1)
    instance.wait_dead()
    return f"shown as {shown}; removing it panics"


CLASSES: dict[str, Probe] = {
    "`ubd` disks": has_class("config ubd1"),
    "`con` console lines": has_class("config con1"),
    "`ssl` serial lines": has_class("config ssl1"),
    "`vec` network interfaces": has_class("config vec1"),
    "`eth` network interfaces": has_class("config eth1"),
    "transports of `eth`": lists("eth", ("tuntap", "ethertap", "daemon", "slip", "slirp", "mcast", "ucast")),
    "`mem` memory": has_class("config mem"),
    "`virtio_uml` devices": has_class("config virtio_uml.device"),
    "`vfio_uml` devices": has_class("config vfio_uml.device"),
}
BEHAVIOUR: dict[str, Probe] = {
    "the file of a disk is open": open_when,
    "a directory as a disk": a_folder,
    "`remove` right after `config`": removed_at_once,
    "flags that a refused setting leaves in the slot": sticky,
    "a line after a bad channel": bad_channel,
    "an unknown `vec` transport": bogus_transport,
    "an `eth` daemon without its switch": no_switch,
    "a virtio device without its backend": dead_backend,
    "a disk 0 that no boot line named": ghost,
}


def measure(instance: uml.Instance) -> dict[str, str]:
    """Return every fact of one kernel; the last one ends the instance."""
    with tempfile.TemporaryDirectory(prefix="uml.disk.") as folder:
        return {row: probe(instance, Path(folder)) for row, probe in (CLASSES | BEHAVIOUR).items()}


def table(found: dict[str, dict[str, str]], rows: dict[str, Probe]) -> str:
    """Return a table in Markdown: a column a kernel."""
    series = list(found)
    lines = [f"| | {' | '.join(series)} |", f"|---{'|---' * len(series)}|"]
    lines += [f"| {row} | {' | '.join(found[each][row] for each in series)} |" for row in rows]
    return "\n".join(lines) + "\n"
