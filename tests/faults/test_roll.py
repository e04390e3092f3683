# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ten instances get another kernel: with one that does not boot, in batches, and with a controller that is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ansible, processes, roll
from support.vmhost import VmHost
from support.wait import wait_until

TEN = "abcdefghij"


@pytest.fixture
def lab(vm_host: VmHost, uml_dir: Path, ansible_home: Path) -> Iterator[roll.Fleet]:
    """Yield ten instances with the old kernel."""
    with roll.fleet(vm_host, uml_dir, ansible_home, TEN) as made:
        yield made


@pytest.mark.parametrize("batch", [1, 3])
def test_the_fourth_of_ten_does_not_boot(lab: roll.Fleet, batch: int) -> None:
    roll.check_roll(lab, "d", batch)
    assert roll.changed(lab.roll(batch=batch).ok()) == []


@pytest.mark.parametrize("bad", [(), ("d",)], ids=["good", "bad"])
def test_the_controller_is_killed_while_the_fourth_restarts(lab: roll.Fleet, bad: tuple[str, ...]) -> None:
    """The VM host goes on alone, also with the way back; the next run goes on with the others."""
    before = lab.states()
    runs: list[ansible.Result] = []
    thread = threading.Thread(target=lambda: runs.append(lab.roll(*bad)))
    thread.start()
    old = lab.pid("d")
    wait_until(lambda: old not in {process.pid for process in processes.running()}, 300, "the fourth was stopped")
    processes.kill_all(lambda: processes.of_command(f"{lab.home}/hosts.yml"), "the controller")
    thread.join()
    assert runs[0].rc != 0
    wait_until(lambda: lab.state("d") and lab.state("d").boot_id != before["d"].boot_id, 120, "the fourth is back")
    after = lab.states()
    assert [umid for umid in TEN if roll.is_new(after[umid])] == [umid for umid in "abcd" if umid not in bad]
    assert {umid: after[umid] for umid in "efghij"} == {umid: before[umid] for umid in "efghij"}
    assert all(after[umid][1:] == before[umid][1:] for umid in bad)
    assert roll.changed(lab.roll().ok()) == [*bad, *"efghij"]
    assert all(map(roll.is_new, lab.states().values()))
