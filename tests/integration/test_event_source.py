# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event source over real ssh: it reports what breaks, recovers, and loses no event."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._journal import journal
from support import processes
from support.paths import CHECKOUT
from support.vmhost import VmHost
from support.wait import wait_until

SOURCE = CHECKOUT / "extensions" / "eda" / "plugins" / "event_source" / "events.py"
TIME = 60.0


class Source:
    """The source as a program, and what it has printed."""

    def __init__(self, args: dict[str, Any], output: Path) -> None:
        self._output = output
        with output.open("wb") as stream:
            self.process = subprocess.Popen([sys.executable, SOURCE, json.dumps(args)], stdout=stream)

    def events(self) -> list[dict[str, Any]]:
        """Return what was printed so far."""
        return [
            json.loads(line) for line in self._output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
        ]

    def wait_for(self, *told: str) -> list[dict[str, Any]]:
        """Wait until the texts or types of the events are these, and return the events."""
        wait_until(lambda: len(self.events()) >= len(told), TIME, lambda: f"{told} in {self.events()}")
        found = self.events()
        assert [each["data"] if each["seq"] else each["type"] for each in found] == list(told)
        return found

    def programs(self) -> list[int]:
        """Return the ssh of it, and what that started."""
        return [pid for pid in processes.descendants(self.process.pid) if pid != self.process.pid]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[journal.Writer]:
    """Yield the writer of the VM host's journal."""
    with contextlib.closing(journal.Writer(str(tmp_path / "journal"))) as writer:
        yield writer


@pytest.fixture
def source(vm_host: VmHost, tmp_path: Path, writer: journal.Writer) -> Iterator[Source]:
    """Yield a source that follows the VM host from its first event on."""
    words = [*vm_host.ssh_options(), "-p", str(vm_host.port), "-i", str(vm_host.key), "-l", vm_host.user]
    (tmp_path / "positions").write_text('{"vm1": 0}')
    host = {
        "host": "127.0.0.1",
        "name": "vm1",
        "ssh_args": words,
        "journal_dir": str(tmp_path / "journal"),
        "python": "/usr/bin/python3",
    }
    started = Source(
        {"hosts": [host], "python": "/usr/bin/python3", "position_file": str(tmp_path / "positions")},
        tmp_path / "output",
    )
    yield started
    started.process.terminate()
    started.process.wait(TIME)


def say(writer: journal.Writer, text: str) -> None:
    """Write an event."""
    writer.append({"time": 1.0, "host": "h", "umid": "web1", "type": "message", "severity": "info", "data": text})


def test_a_cut_connection_costs_no_event(source: Source, writer: journal.Writer, vm_host: VmHost) -> None:
    """The server ends and restarts: lost and restored come once each, and all events arrive in order."""
    say(writer, "one")
    source.wait_for("one")
    vm_host.stop()
    say(writer, "two")
    source.wait_for("one", "source_lost")
    say(writer, "three")
    vm_host.start()
    found = source.wait_for("one", "source_lost", "source_restored", "two", "three")
    assert {each["vm_host"] for each in found} == {"vm1"}
    assert found[1]["data"]
    say(writer, "four")
    assert source.wait_for("one", "source_lost", "source_restored", "two", "three", "four")[-1]["seq"] == 4


def test_nothing_stays_when_it_ends(source: Source, writer: journal.Writer, vm_host: VmHost) -> None:
    """Neither its ssh nor the program on the VM host, also when it is killed."""
    say(writer, "one")
    source.wait_for("one")
    programs = source.programs()
    assert programs
    assert followers(vm_host)
    source.process.kill()
    source.process.wait(TIME)
    wait_until(lambda: not [pid for pid in programs if Path(f"/proc/{pid}").exists()], TIME, "ssh ended")
    wait_until(lambda: not followers(vm_host), TIME, "the program on the VM host ended")


def followers(vm_host: VmHost) -> list[int]:
    """Return the programs of the kind that reads its order from stdin, started over ssh there."""
    return [pid for pid in vm_host.started() if b"s=sys.stdin.buffer" in command(pid)]


def command(pid: int) -> bytes:
    """Return the command line of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
