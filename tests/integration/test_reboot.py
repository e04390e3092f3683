# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks that follow a raw reboot at once: on each kernel there is a time in which it answers and is not all there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import DangerError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from support import kernels, uml
from support.devices import image
from support.run_operation import operate

BOOTS = 4
Perform = Callable[..., dict[str, Any]]


@pytest.fixture(params=kernels.wanted())
def guest(request: pytest.FixtureRequest, launch_guest: Callable[..., uml.Instance]) -> uml.Instance:
    """Return a booted instance of each kernel in turn."""
    return launch_guest("guest", kernel=kernels.path(request.param))


@pytest.fixture
def perform(guest: uml.Instance, sockets: ReplySockets) -> Perform:
    """Run an operation on the instance."""

    def one(operation: str, **params: Any) -> dict[str, Any]:
        return operate(operation, False, sockets, umid="guest", uml_dir=str(guest.uml_dir), **params)

    return one


def made(guest: uml.Instance) -> int:
    """Return when the console was made, in nanoseconds; 0 when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return guest.console.stat().st_mtime_ns
    return 0


def reboot(guest: uml.Instance, perform: Perform) -> None:
    """Reboot, and return in the moment in which the new console is there; a tenth of a second later is too late."""
    before = made(guest)
    assert perform("request", command="reboot")["changed"]
    deadline = time.monotonic() + 60
    while made(guest) in (0, before):
        assert time.monotonic() < deadline, f"no next console:\n{guest.console_log()[-2000:]}"
        time.sleep(0.0002)


@pytest.mark.parametrize("word", ["reboot", "halt"])
def test_a_boot_that_a_command_ends_is_over(guest: uml.Instance, perform: Perform, word: str) -> None:
    """The kernel says OK before it ends, so the process that was about to end answered the next command."""
    before = made(guest)
    assert perform("request", command=word)["changed"]
    assert made(guest) != before


def test_what_is_asked_as_soon_as_a_console_is_there_is_answered(
    guest: uml.Instance, perform: Perform, sockets: ReplySockets
) -> None:
    """Before, the answer sometimes came with that to the next question, and some were taken for paused."""
    console = Console(str(guest.console), sockets=sockets)
    for boot in range(BOOTS):
        reboot(guest, perform)
        assert console.paused() is False
        assert console.command("version").ok
        guest.wait_up(boots=boot + 2)


def test_a_disk_given_at_once_comes_and_the_guest_boots(guest: uml.Instance, perform: Perform) -> None:
    """Each of these kernels panicked, because its driver came later and found the disk."""
    disk = image(guest.scratch / "disk")
    for boot in range(BOOTS):
        perform("request", command="reboot")
        assert not perform("instance", state="running")["changed"]
        set_to = perform("device", name="ubd1", file=str(disk))
        assert (set_to.get("msg"), set_to["changed"], set_to["verified"]) == (None, True, True)
        guest.wait_up(boots=boot + 2)
        assert not perform("device", name="ubd1", file=str(disk))["changed"]


def test_a_disk_before_its_driver_is_not_sent(guest: uml.Instance, perform: Perform, sockets: ReplySockets) -> None:
    """The console looks in each case; whether the driver is there when it does, the kernel's speed decides."""
    disk = image(guest.scratch / "disk")
    console = Console(str(guest.console), sockets=sockets)
    for boot in range(BOOTS):
        reboot(guest, perform)
        with contextlib.suppress(DangerError):
            console.command(f"config ubd1={disk}")
        guest.wait_up(boots=boot + 2)
        assert ("config ubd1=" in console.sent[-1]) == ("ubdb" in guest.guest("cat /proc/partitions"))


def test_an_instance_that_boots_is_waited_for_until_a_process_runs(guest: uml.Instance, perform: Perform) -> None:
    for _boot in range(BOOTS):
        perform("request", command="reboot")
        assert perform("instance", state="running")["changed"] is False
        assert "AnonPages:             0 kB" not in guest.request("proc meminfo")[1]
