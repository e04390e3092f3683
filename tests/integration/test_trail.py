# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit trail on real kernels: tasks that change instances, and who ran them, in the journal of the VM host."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, kernels, uml
from support.events import Collecting, collecting
from support.run_operation import operate
from support.vmhost import VmHost

Launch = Callable[..., uml.Instance]
TIME = 60.0


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that runs."""
    with collecting(uml_dir) as found:
        found()
        yield found


@pytest.mark.parametrize("series", kernels.wanted())
def test_changes_are_in_the_journal_and_nothing_else(series: str, collect: Collecting, launch_guest: Launch) -> None:
    guest = launch_guest("a", kernel=kernels.path(series))
    there = {"umid": guest.umid, "uml_dir": str(collect.uml_dir)}
    device: dict[str, Any] = {"name": "con5", "channel": "pts"}
    operate("device", True, **there, **device)
    for _twice in range(2):
        operate("device", **there, **device)
    operate("proc_info", **there, path="version")
    operate("kernel_log", **there, text="s3cret")
    operate("request", **there, command="remove ubd9")
    collect.wait("operation", "a", "failed (refused), not changed")
    said = [event["data"] for event in collect.events("operation", umid="a")]
    assert said == [
        "root: device present: changed: config con5=pts",
        "root: kernel_log: changed: log (6 characters)",
        "root: request: failed (refused), not changed: remove ubd9",
    ]
    found = operate("event_info", journal_dir=str(collect.directory), types=["operation"], umid="a", severity="warning")
    assert [event["error"] for event in found["events"]] == ["refused"]


def test_two_controllers_and_the_users_on_the_vm_host_can_be_told_apart(
    collect: Collecting, launch_guest: Launch, make_vm_host: Callable[..., VmHost], make_user: Callable[..., str]
) -> None:
    """Over the connection of an instance, and over ssh to the VM host, with become."""
    guest = launch_guest("web1")
    user = make_user("audit", ("root",))
    host = make_vm_host(user)
    common = {**host.inventory_vars(), "ansible_uml_dir": str(collect.uml_dir), "ansible_become": True}
    web1 = {"web1": {**common, "ansible_connection": "uml.mconsole.mconsole"}}
    ansible.adhoc("web1", "uml.mconsole.kernel_log", "text=one", web1).ok()
    arguments = f"umid={guest.umid} uml_dir={collect.uml_dir} text=two"
    other = collect.uml_dir / "ansible-of-ctl2"
    other.write_text('#!/bin/sh\nexec unshare --uts sh -c \'hostname ctl2 && exec ansible "$@"\' sh "$@"\n')
    other.chmod(0o755)
    words = [str(other), "vm1", "-m", "uml.mconsole.kernel_log", "-a", arguments]
    ansible.run_command(words, {"vm1": common}).ok()
    collect.wait("operation", "web1", "for root@ctl2")
    events = collect.events("operation", umid="web1")
    assert [event["controller_host"] for event in events] == [platform.node(), "ctl2"]
    assert {(event["user"], event["login_user"], event["controller_user"]) for event in events} == {
        ("root", user, "root")
    }
