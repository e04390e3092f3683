# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An instance whose kernel uses seccomp in place of ptrace, through the whole of its life."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import guest, kernels, processes
from support.run_operation import operate
from support.wait import wait_until

Do = Callable[..., dict[str, Any]]
USES = "seccomp=on"


@pytest.fixture
def do(uml_dir: Path) -> Iterator[Do]:
    """Yield operations on the instance `a`; what they start ends with the test."""
    sessions: set[int] = set()

    def run(operation: str = "instance", **params: Any) -> dict[str, Any]:
        result = operate(operation, umid="a", uml_dir=str(uml_dir), **params)
        assert not result.get("failed"), result
        if result.get("pid"):
            sessions.add(result["pid"])
        return result

    yield run
    processes.kill_all(lambda: [pid for each in sessions for pid in processes.of_session(each)], "an instance")


@pytest.fixture
def given(uml_dir: Path) -> dict[str, Any]:
    """Return what the instance is started with: a kernel that knows seccomp, and a disk."""
    disk = guest.ext4_image(uml_dir / "data.img", {"hello": "world"})
    initrd = str(shutil.copy(guest.initrd(), uml_dir / "initrd.gz"))
    kernel = str(kernels.path("7.2"))
    devices = {"ubd1": str(disk)}
    return {"kernel": kernel, "memory": "128M", "root": {"initrd": initrd}, "devices": devices, "wait_timeout": 180}


def words(result: dict[str, Any]) -> list[str]:
    """Return the command line of the main process."""
    return Path(f"/proc/{result['pid']}/cmdline").read_text().split("\0")


def test_it_lives_as_any_other(do: Do, given: dict[str, Any], uml_dir: Path) -> None:
    """Started once, paused, resumed, restarted with the same, its disk copied, its stacks read, and switched off."""
    first = do(**given, seccomp="on")
    assert USES in words(first)
    assert do(**given, seccomp="on")["changed"] is False
    assert do(state="paused")["state"] == "paused"
    (row,) = do("instance_info")["instances"]
    assert (row["state"], row["processes"] > 0) == ("paused", True)
    assert do(state="running")["steps"] == ["resume"]
    wait_until(lambda: "schedule" in str(do("stack_info", pids=[1])), 30, "the stack of init is shown")
    (uml_dir / "copies").mkdir()
    do("disk_backup", disks=["ubd1"], dest=str(uml_dir / "copies"))
    (copy,) = (path for path in (uml_dir / "copies").rglob("*") if path.is_file())
    assert copy.stat().st_size == (uml_dir / "data.img").stat().st_size
    again = do(state="restarted")
    assert (USES in words(again), again["pid"] != first["pid"]) == (True, True)
    told = do(**given, seccomp="off")
    assert told["differences"] == {"seccomp": {"running": [USES], "wanted": []}}
    off = do(**given, seccomp="off", restart="when_required")
    assert USES not in words(off)


def test_a_killed_one_leaves_nothing_that_stands_in_the_way(do: Do, given: dict[str, Any]) -> None:
    first = do(**given, seccomp="on")
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: first["pid"] not in [each.pid for each in processes.running()], 30, "the main process is gone")
    again = do(**given, seccomp="on")
    assert (again["state"], again["steps"][-1]) == ("running", "start")
    assert do(state="absent", stop_methods=["kill"])["state"] == "absent"


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_an_old_kernel_is_refused_before_anything_starts(uml_dir: Path, given: dict[str, Any], series: str) -> None:
    old = {**given, "kernel": str(kernels.path(series))}
    refused = operate("instance", umid="a", uml_dir=str(uml_dir), **old, seccomp="on")
    assert "seccomp=on needs a kernel from 6.16 on" in refused["msg"]
    assert not (uml_dir / "a.log").exists()


def test_more_processors_than_the_kernel_can_have_are_a_warning(do: Do, given: dict[str, Any]) -> None:
    result = do(**given, ncpus=2)
    assert any("ncpus=2 has no effect" in text for text in result["warnings"]), result
    facts = do("instance_facts", gather_subset=["processor"])["ansible_facts"]
    assert facts["ansible_processor_nproc"] == 1
