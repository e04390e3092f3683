# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fake console and real kernels are asked the same and must say the same."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import kernels, mconsole, record_replies, uml
from support.contract_cases import STORIES, expected
from support.fake import FakeConsole
from support.fake_kernel import VERSIONS, Kernel

FAKES = [f"fake {series}" for series in VERSIONS]


class Machine(NamedTuple):
    """A console to talk to, be it real or not."""

    series: str
    console: Path
    folder: Path
    instance: uml.Instance | FakeConsole

    def ask(self, command: str, timeout: float = 30) -> tuple[int, str]:
        """Return what is answered; a disk is open for a moment after it came (6.12 and later)."""
        deadline = time.monotonic() + timeout
        while (said := mconsole.request(self.console, command, timeout)) == (-16, "Device is currently open"):
            if time.monotonic() > deadline:
                break
        return said


def series_of(version: str) -> str:
    """Return the series of a kernel that says what version it is."""
    return next(series for series in VERSIONS if f" {series}." in version)


@contextlib.contextmanager
def machine_of(name: str, uml_dir: Path) -> Iterator[Machine]:
    """Yield a console: `fake SERIES`, or a real kernel."""
    if name in FAKES:
        folder = record_replies.files(uml_dir)
        kernel = Kernel(name.split()[1], "guest", folder)
        with FakeConsole(uml_dir, "guest", kernel) as fake:
            yield Machine(kernel.series, fake.console, folder, fake)
        return
    guest = uml.launch("guest", uml_dir, kernel=kernels.path(name))
    try:
        series = series_of(guest.request("version")[1])
        yield Machine(series, guest.console, record_replies.files(guest.scratch), guest)
    finally:
        guest.close()


@pytest.fixture(scope="module", params=[*FAKES, *kernels.wanted()])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return each fake and each real kernel."""
    with machine_of(request.param, tmp_path_factory.mktemp("u")) as found:
        yield found


@pytest.fixture(params=[*FAKES, *kernels.wanted()])
def victim(request: pytest.FixtureRequest, uml_dir: Path) -> Iterator[Machine]:
    """Return one that may be killed."""
    with machine_of(request.param, uml_dir) as found:
        yield found


@pytest.mark.parametrize("story", STORIES)
def test_the_story_is_told_alike(machine: Machine, story: str) -> None:
    """Whole stories, so that the first row that differs is the one to look at."""
    for row in STORIES[story]:
        assert (row[0], machine.ask(row[0])) == (row[0], expected(row, machine.series, machine.folder))


def test_the_version_names_node_and_release(machine: Machine) -> None:
    err, text = machine.ask("version")
    assert (err, text.split()[:2], text.split()[-1]) == (0, ["Linux", "guest"], "x86_64")
    assert text.split()[2].startswith(f"{machine.series}.")


def test_the_help_is_the_same_in_all(machine: Machine) -> None:
    err, text = machine.ask("help")
    assert (err, len(text)) == (0, 722)
    assert text.startswith("Commands: \n    version - Get kernel version \n")


@pytest.mark.parametrize("command", ["sysrq h", "sysrq ?"])
def test_a_key_that_is_none_shows_the_keys(machine: Machine, command: str) -> None:
    err, text = machine.ask(command)
    assert (err, text.count("\n")) == (0, 1)
    assert ("replay-kernel-logs(R)" in text) == (machine.series != "6.1")


def talk(path: Path, *datagrams: bytes, answers: int = 1) -> list[bytes]:
    """Send raw datagrams from one socket and return so many answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")
        sock.settimeout(60)
        for datagram in datagrams:
            sock.sendto(datagram, str(path))
        return [sock.recv(4096) for _each in range(answers)]


def packed(text: bytes, version: int = 2, length: int | None = None) -> bytes:
    """Return a request, perhaps with a lie in its header."""
    return struct.pack("=III", 0xCAFEBABE, version, len(text) if length is None else length) + text


def refused(text: str) -> bytes:
    """Return the datagram of an error."""
    return struct.pack("=III", 1, 0, len(text) + 1) + text.encode() + b"\0"


RAW = {
    "a padded request": (packed(b"go".ljust(512, b"\0"), length=2), refused("Not stopped")),
    "a request that is too large": (packed(b"x" * 512), refused("Request too large")),
    "the largest request": (packed(b"x" * 511), refused("Unknown command")),
    "a length beyond all": (packed(b"go", length=0xFFFFFFFF), refused("Request too large")),
    "an empty command": (packed(b""), refused("Unknown command")),
    "a length that cuts": (packed(b"goXYZ", length=1), refused("Unknown command")),
    "text after a NUL": (packed(b"go\0rubbish"), refused("Not stopped")),
    "no header": (b"v0", b"ERR Version 0 mconsole clients are not supported by this driver"),
    "a tail": (packed(b"go") + b"\0" * 2000, refused("Not stopped")),
}


@pytest.mark.parametrize("case", RAW)
def test_a_raw_request_is_taken_alike(machine: Machine, case: str) -> None:
    sent, answer = RAW[case]
    assert talk(machine.console, sent) == [answer]


def test_an_empty_datagram_runs_the_last_command_again(machine: Machine) -> None:
    first = talk(machine.console, packed(b"config con16"))
    assert talk(machine.console, b"") == first


def test_a_short_request_runs_what_is_left_of_the_last_one(machine: Machine) -> None:
    first = talk(machine.console, packed(b"config con16"))
    assert talk(machine.console, packed(b"", length=12)) == first


def test_another_version_is_refused_and_run_all_the_same(machine: Machine) -> None:
    first, second = talk(machine.console, packed(b"go", version=3), answers=2)
    assert first == refused("This driver only supports version 2 clients")
    assert second == refused("Not stopped")


def test_the_socket_blocks_while_paused(machine: Machine) -> None:
    """The host recognizes a paused instance by this, so the fake must do the same."""
    assert machine.ask("stop") == (0, "stopped")
    err, text = machine.ask("version")
    assert (err, text[:5]) == (0, "Linux")
    assert machine.ask("go") == (0, "")


@pytest.mark.parametrize("command", ["halt", "sysrq o"])
def test_an_ended_instance_takes_its_folder_along(victim: Machine, command: str) -> None:
    assert victim.ask(command)[0] == 0
    victim.instance.wait_dead()
    assert not victim.console.exists()


def test_the_removal_of_a_ghost_kills(victim: Machine) -> None:
    with contextlib.suppress(TimeoutError):
        mconsole.request(victim.console, "remove ubd0", timeout=2)
    victim.instance.wait_dead()
    assert victim.console.exists()
    with pytest.raises(ConnectionRefusedError):
        victim.ask("version")


def test_halting_a_paused_one_crashes_6(victim: Machine) -> None:
    assert victim.ask("stop") == (0, "stopped")
    with contextlib.suppress(OSError):
        mconsole.request(victim.console, "halt", timeout=2)
    victim.instance.wait_dead()


def test_a_file_that_blocks_wedges_the_worker(victim: Machine) -> None:
    with pytest.raises(TimeoutError):
        mconsole.request(victim.console, "proc 1/root/dev/tty0", timeout=1)
    with pytest.raises(TimeoutError):
        mconsole.request(victim.console, "version", timeout=1)
    assert victim.ask("go") == (1, "Not stopped")
    assert victim.ask("sysrq o")[0] == 0
    victim.instance.wait_dead()


RECORDED = sorted((Path(record_replies.__file__).parent / "recorded").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_fake_sends_the_datagrams_that_were_recorded(path: Path, uml_dir: Path) -> None:
    recorded = json.loads(path.read_text())
    kernel = Kernel(path.stem, "guest", record_replies.files(uml_dir))
    with FakeConsole(uml_dir, "guest", kernel) as fake:
        for command, datagrams in recorded:
            assert (command, record_replies.ask(fake.console, command, uml_dir)) == (command, datagrams)


def test_there_are_records_of_all_kernels() -> None:
    assert [path.stem for path in RECORDED] == list(VERSIONS)
