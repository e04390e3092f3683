# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How each fault is made, and mended: context managers over a lab."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from faults.lab import Lab
from support import processes
from support.wait import wait_until

# The instance.


@contextlib.contextmanager
def killed_instance(lab: Lab) -> Iterator[None]:
    """Kill every process of it; it is started again."""
    lab.guest.kill()
    yield
    lab.boot()


@contextlib.contextmanager
def stopped_instance(lab: Lab) -> Iterator[None]:
    """Stop the process that is the kernel; it is continued."""
    processes.stop(lab.guest.pid)
    yield
    os.kill(lab.guest.pid, signal.SIGCONT)


@contextlib.contextmanager
def paused_instance(lab: Lab) -> Iterator[None]:
    """Pause it by its console; it is resumed."""
    assert lab.guest.request("stop")[0] == 0
    yield
    assert lab.guest.request("go")[0] == 0


# The local client.


@contextlib.contextmanager
def killed_client(lab: Lab) -> Iterator[None]:
    """Kill it; the next is started by the run itself."""
    os.kill(lab.client(), signal.SIGKILL)
    yield


@contextlib.contextmanager
def stopped_client(lab: Lab) -> Iterator[None]:
    """Stop it; in the end it is continued, and ended as its idle time would."""
    pid = lab.client()
    processes.stop(pid)
    yield
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: pid not in lab.clients(), 60, "the stopped client gone")


@contextlib.contextmanager
def removed_socket(lab: Lab) -> Iterator[None]:
    """Remove it on the VM host; the client that lost it is ended as its idle time would."""
    pid = lab.client()
    lab.clients()[pid].unlink()
    yield
    os.kill(pid, signal.SIGTERM)


# The channel.


@contextlib.contextmanager
def killed_master(lab: Lab) -> Iterator[None]:
    """Kill it; its socket stays."""
    for pid in lab.masters():
        os.kill(pid, signal.SIGKILL)
    yield


@contextlib.contextmanager
def cut_network(lab: Lab) -> Iterator[None]:
    """Pull the cable out; it is put in again for the next run."""
    lab.network.cut()
    yield
    lab.network.join()
