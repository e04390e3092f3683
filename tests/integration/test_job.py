# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: instances that are there for one command, on each kernel, ended in each way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import ansible, guest, kernels, processes

LINE = ["line=ttyS1"]


def run(vm_host: Any, kernel: Path, command: str, **options: Any) -> dict[str, Any]:
    """Return the result of a job over ssh; it is over, and nothing of it is left."""
    arguments = {
        "kernel": str(kernel),
        "root": {"initrd": str(guest.initrd())},
        "memory": "128M",
        "kernel_args": LINE,
        "command": command,
        **options,
    }
    said = ansible.adhoc("vm", "uml.mconsole.job", arguments, {"vm": vm_host.inventory_vars()}).only("vm")
    assert not list(Path("/tmp").glob("uml-job.*"))
    return {**said.result, "failed": said.failed}


@pytest.mark.parametrize("series", kernels.wanted())
def test_a_command_and_its_files(vm_host: Any, series: str, tmp_path: Path) -> None:
    command = "uname -r; echo wrong >&2; echo all >/tmp/report; exit 3"
    result = run(vm_host, kernels.path(series), command, collect=["/tmp/report"], collect_to=str(tmp_path / "to"))
    assert (result["verdict"], result["rc"], result["failed"]) == ("ended", 3, True)
    assert result["stdout"].startswith(series)
    assert result["stderr"] == "wrong\n"
    assert (tmp_path / "to/report").read_text() == "all\n"
    assert result["files"] == [str(tmp_path / "to/report")]


@pytest.mark.parametrize("series", kernels.wanted())
@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("echo c >/proc/sysrq-trigger; sleep 60", "panic"),
        ("sleep 60", "timeout"),
        ("tail /dev/zero", "out_of_memory"),
        ("kill -9 1; poweroff -f; sleep 60", "lost"),
    ],
)
def test_the_verdict(vm_host: Any, series: str, command: str, verdict: str) -> None:
    result = run(vm_host, kernels.path(series), command, time_limit=5 if verdict == "timeout" else 50)
    assert result["verdict"] == verdict
    assert result["failed"]
    assert verdict in result["msg"]


def test_a_guest_that_does_not_boot(vm_host: Any, kernel: Path) -> None:
    result = run(vm_host, kernel, "true", kernel_args=["rdinit=/none", "init=/none"], boot_timeout=20)
    assert result["verdict"] == "panic"
    assert any("Kernel panic" in line for line in result["console"])
    silent = run(vm_host, kernel, "true", kernel_args=[], boot_timeout=3)
    assert silent["verdict"] == "no_boot"


def test_a_shell_as_init(vm_host: Any, kernel: Path) -> None:
    result = run(vm_host, kernel, "echo $PPID", kernel_args=[], shell_as_init=True)
    assert (result["verdict"], result["stdout"]) == ("ended", "1\n")


def test_results_of_tests(vm_host: Any, kernel: Path) -> None:
    text = "KTAP version 1\\n1..3\\nok 1 a\\nnot ok 2 b\\nok 3 c # SKIP no disk\\n"
    result = run(vm_host, kernel, f"printf '{text}'")
    assert {key: result["ktap"][key] for key in ("passed", "failed", "skipped")} == {
        "passed": 1,
        "failed": 1,
        "skipped": 1,
    }


def test_nothing_starts_in_check_mode(vm_host: Any, kernel: Path) -> None:
    arguments = {"kernel": str(kernel), "root": {"initrd": str(guest.initrd())}, "command": "true", "umid": "never"}
    said = ansible.adhoc("vm", "uml.mconsole.job", arguments, {"vm": vm_host.inventory_vars()}, extra_args=["-C"])
    assert said.only("vm").changed
    assert not [each for each in processes.running() if "umid=never" in str(each)]
