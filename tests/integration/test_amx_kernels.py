# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernels on a CPU with AMX, or on a double of one: what they do bare, and with the register shim."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support import amx, kernels, uml
from support.wait import wait_until

OLD = ("6.1", "6.12")
SECONDS = int(os.environ.get("UML_AMX_SECONDS", "10"))  # of watching the registers; a minute proves more


@pytest.fixture(params=[series for series in OLD if series in kernels.wanted()])
def old_kernel(request: pytest.FixtureRequest) -> Path:
    """Return a kernel from before 6.13."""
    return kernels.path(request.param)


def test_an_old_kernel_runs_no_program_without_the_shim(launch_guest, old_kernel: Path) -> None:
    """The double does what a CPU with AMX was measured to do."""
    guest = launch_guest("bare", kernel=old_kernel, preload=(amx.double(),), wait=False)
    guest.wait_dead()
    assert "userspace - ptrace set fp regs failed, errno = 14" in guest.console_log()


def test_a_newer_kernel_needs_no_shim(launch_guest) -> None:
    guest = launch_guest("new", kernel=kernels.path("7.2"), preload=(amx.double(),))
    assert guest.guest("echo $((6 * 7))") == "42\n"


def test_an_old_kernel_with_the_shim_keeps_the_registers_of_threads_and_processes_apart(
    launch_guest, old_kernel: Path
) -> None:
    guest = launch_guest("shim", kernel=old_kernel, preload=(amx.shim(), amx.double()))
    _watch_registers(guest)


def test_the_shim_changes_nothing_where_it_is_not_needed(launch_guest, old_kernel: Path) -> None:
    guest = launch_guest("same", kernel=old_kernel, preload=(amx.shim(),))
    _watch_registers(guest)


def test_a_reboot_of_the_guest_keeps_the_shim(launch_guest, old_kernel: Path) -> None:
    guest = launch_guest("again", kernel=old_kernel, preload=(amx.shim(), amx.double()))
    assert guest.request("reboot")[0] == 0
    guest.wait_up(boots=2)
    wait_until(lambda: str(amx.shim()) in Path(f"/proc/{guest.pid}/maps").read_text(), 30, "the shim is loaded")
    assert guest.guest("echo $((6 * 7))") == "42\n"


def _watch_registers(guest: uml.Instance) -> None:
    """Run two processes of two threads each side by side."""
    shutil.copy(amx.registers(), guest.agent / "watch")
    command = f"/agent/watch {SECONDS} & first=$!; /agent/watch {SECONDS} && wait $first"
    assert guest.guest_status(command, SECONDS + 60) == (0, "")
