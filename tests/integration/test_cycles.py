# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances started and stopped again and again end where they began; UML_CYCLES says how often."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from support import guest as guests
from support import processes
from support.run_operation import operate
from support.wait import wait_until

CYCLES = int(os.environ.get("UML_CYCLES", "3"))
SPARE = 8  # sockets that a client makes at a time, before it needs them


@pytest.fixture
def tap() -> Iterator[str]:
    """Yield the name of a tap that only the instance makes."""
    name = f"umlc{os.getpid() % 100000}"
    yield name
    subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)


def locks(folder: Path) -> list[str]:
    """Return the files of a folder that have a lock."""
    inodes = {str(path.stat().st_ino): path.name for path in folder.rglob("*") if path.is_file()}
    held = [
        line.split()[5].rpartition(":")[2] for line in Path("/proc/locks").read_text().splitlines() if "->" not in line
    ]
    return sorted(inodes[inode] for inode in held if inode in inodes)


def of(folder: Path) -> list[int]:
    """Return the processes whose command line names a folder."""
    return [each.pid for each in processes.running() if str(folder).encode() in command(each.pid)]


def command(pid: int) -> bytes:
    """Return the command line of a process that may be gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_start_and_stop_leave_nothing(uml_dir: Path, sockets: ReplySockets, tap: str) -> None:
    """No process, socket, tap, lock or file of it; no descriptor or thread of ours; the COW file stays as it was."""
    base = guests.ext4_image(uml_dir / "base.img")
    where = {"umid": "web1", "uml_dir": str(uml_dir)}
    options = {
        "root": {"initrd": str(guests.initrd())},
        "memory": "128M",
        "devices": {"ubd1": f"{uml_dir}/web1.cow,{base}", "con1": "pts", "vec0": f"transport=tap,ifname={tap}"},
    }

    def cycle(**stopping: Any) -> None:
        started = operate("instance", False, sockets, **where, **options)
        assert not started.get("failed"), started["msg"]
        stopped = operate("instance", False, sockets, **where, **stopping)
        assert not stopped.get("failed"), stopped["msg"]
        assert (started["changed"], stopped["changed"]) == (True, True)

    def state() -> dict[str, Any]:
        return {
            "files": sorted(path.name for path in uml_dir.iterdir()),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": len(os.listdir("/proc/self/task")),
            "taps": sorted(name for name in os.listdir("/sys/class/net") if name == tap),
            "locks": locks(uml_dir),
            "processes": of(uml_dir),
        }

    cycle(state="stopped", stop_methods=["halt"])
    before = state()
    assert (before["taps"], before["locks"], before["processes"]) == ([], [], [])
    for number in range(CYCLES):
        way = ["halt", "terminate", "kill"][number % 3]
        cycle(state="absent" if number % 2 else "stopped", stop_methods=[way])
        # Of sockets that were made in advance there may be more or fewer, but not more and more.
        wait_until(lambda: like(state(), before), 20, lambda: f"{state()} as {before}")


def like(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Return whether a state is that of the beginning."""
    spare = now["descriptors"] - before["descriptors"]
    return spare <= SPARE and {**now, "descriptors": 0} == {**before, "descriptors": 0}
