# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet gets another kernel, and one of its instances a kernel that does not boot; tests/faults has more of this."""

from __future__ import annotations

from pathlib import Path

from support import ansible, roll
from support.vmhost import VmHost


def test_a_roll_stops_at_one_that_does_not_come_up_and_goes_on_when_run_again(
    vm_host: VmHost, uml_dir: Path, ansible_home: Path
) -> None:
    with roll.fleet(vm_host, uml_dir, ansible_home, "abcd") as lab:
        roll.check_roll(lab, "c")


def test_what_a_roll_cannot_set_is_refused(vm_host: VmHost, uml_dir: Path, ansible_home: Path) -> None:
    hosts = {"a": {**vm_host.inventory_vars(), "ansible_connection": "uml.mconsole.mconsole"}}
    words = ["-e", "rolling_restart_new='memroy=256M'"]
    run = ansible.run_playbook("uml.mconsole.rolling_restart", hosts, home=ansible_home, extra_args=words)
    assert run.rc != 0
    assert "rolling_restart_new has the unknown key 'memroy'; did you mean 'memory'?" in " ".join(str(run).split())
