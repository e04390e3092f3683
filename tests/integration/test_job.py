# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: instances that are there for one command, on each kernel, ended in each way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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


def test_the_image_stays_as_it_was(vm_host: Any, kernel: Path, tmp_path: Path) -> None:
    image = guest.copy_root_image(tmp_path / "root.img")
    image.chmod(0o644)
    before = image.read_bytes()
    command = "mount -o remount,rw /; echo new >/new; sync; cat /new"
    result = run(vm_host, kernel, command, root={"image": str(image)})
    assert (result["verdict"], result["stdout"]) == ("ended", "new\n")
    assert image.read_bytes() == before
    assert list(tmp_path.iterdir()) == [image]


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
    assert not processes.with_text("umid=never")


# The playbook

KTAP = "KTAP version 1\\n1..3\\nok 1 fork\\nnot ok 2 exec\\nok 3 swap # SKIP no disk\\n"
COMMANDS = {
    "good": "uname -r",
    "tests": f"printf '{KTAP}'",
    "panic": {"command": "echo c >/proc/sysrq-trigger; sleep 60", "time_limit": 50},
}


def play(hosts: dict[str, Any], home: Path, *words: str, **options: Any) -> ansible.Result:
    """Run the playbook with the small guest."""
    common = {"root": {"initrd": str(guest.initrd())}, "memory": "128M", "kernel_args": LINE, "boot_timeout": 180}
    found = {"jobs_options": common, "jobs_commands": COMMANDS, **options}
    more = ["-e", json.dumps(found), *words]
    return ansible.run_playbook("uml.mconsole.jobs", hosts, home=home, extra_args=more, timeout=600)


def cases(report: Path) -> dict[tuple[str | None, str | None], str]:
    """Return the test cases of a report, by their classes and names, and how each ended."""
    found = ElementTree.parse(report).getroot().iter("testcase")
    return {(case.get("classname"), case.get("name")): next((part.tag for part in case), "passed") for case in found}


def test_a_matrix_of_jobs(vm_host: Any, ansible_home: Path, tmp_path: Path) -> None:
    """Two names of one VM host share the jobs; what fails is in the reports, and nothing is left."""
    names = [str(kernels.path(series)) for series in kernels.wanted()]
    hosts = {name: vm_host.inventory_vars() for name in ("one", "two")}
    files = {"jobs_junit": str(tmp_path / "jobs.xml"), "jobs_json": str(tmp_path / "jobs.json")}
    run = play(hosts, ansible_home, jobs_kernels=names, **files)
    assert run.rc != 0
    assert f"{2 * len(names)} of {3 * len(names)} jobs failed" in str(run)
    rows = json.loads((tmp_path / "jobs.json").read_text())
    assert [(row["kernel"], row["name"]) for row in rows] == [(name, job) for name in names for job in COMMANDS]
    assert {row["host"] for row in rows} == set(hosts)
    assert [row["verdict"] for row in rows] == ["ended", "ended", "panic"] * len(names)
    assert [row["stdout"].split(".")[0] for row in rows[::3]] == [series.split(".")[0] for series in kernels.wanted()]
    found = cases(tmp_path / "jobs.xml")
    for name in names:
        tests = {"fork": "passed", "exec": "failure", "swap": "skipped"}
        whole = {"good": "system-out", "tests": "system-out", "panic": "error"}
        assert {case: how for (where, case), how in found.items() if where == name} == whole
        assert {case: how for (where, case), how in found.items() if where == f"{name} tests"} == tests
    assert not list(Path("/tmp").glob("uml-job.*"))


def test_a_matrix_of_bad_jobs(vm_host: Any, kernel: Path, ansible_home: Path, tmp_path: Path) -> None:
    """A host that is not there, a kernel that is not there, an option that does not exist; and check mode."""
    hosts = {"vm": vm_host.inventory_vars(), "gone": {**vm_host.inventory_vars(), "ansible_port": 1}}
    good = {"jobs_commands": {"good": "true"}, "jobs_json": str(tmp_path / "jobs.json")}
    run = play(hosts, ansible_home, jobs_kernels=[str(kernel), "/none"], jobs_spread=False, **good)
    assert run.rc != 0
    rows = {(row["host"], row["kernel"]): row for row in json.loads((tmp_path / "jobs.json").read_text())}
    assert len(rows) == 4
    assert [key for key, row in rows.items() if not row["failed"]] == [("vm", str(kernel))]
    assert "/none" in rows["vm", "/none"]["message"]
    assert "Connection refused" in rows["gone", str(kernel)]["message"]
    wrong = play(hosts, ansible_home, jobs_kernels=[str(kernel)], jobs_commands={"slow": {"comand": "true"}})
    assert "'slow': uml.mconsole.job has no option 'comand'; did you mean 'command'?" in " ".join(str(wrong).split())
    (tmp_path / "jobs.json").unlink()
    play({"vm": hosts["vm"]}, ansible_home, "-C", jobs_kernels=[str(kernel)], **good).ok()
    assert not list(tmp_path.iterdir())
