# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An instance that does not come up with new options runs again with those that it had."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import guest as guests
from support import kernels, mconsole, processes
from support.run_operation import operate

Run = Callable[..., dict[str, Any]]
HAD = {"memory": "128M", "kernel_args": ["good"], "devices": {"con3": "pts"}}
QUICK = {"stop_methods": ["halt", "terminate", "kill"], "rollback": True, "wait_timeout": 30}


@pytest.fixture
def initrd(uml_dir: Path) -> Path:
    """Return the guest's file system, for this test alone."""
    return Path(shutil.copy(guests.initrd(), uml_dir / "initrd.gz"))


@pytest.fixture
def old(uml_dir: Path) -> Path:
    """Return a copy of the oldest kernel."""
    return Path(shutil.copy(kernels.path(kernels.wanted()[0]), uml_dir / "linux"))


@pytest.fixture
def run(uml_dir: Path, old: Path, initrd: Path) -> Iterator[Run]:
    """Yield the operation on an instance that runs with options of its own."""

    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        return operate("instance", check, umid="a", uml_dir=str(uml_dir), **options)

    started = run(kernel=str(old), root={"initrd": str(initrd)}, **HAD)
    assert not started.get("failed"), started
    yield run
    pids = [int(path.read_text()) for path in uml_dir.glob("*/pid")]
    processes.kill_all(lambda: [found for pid in pids for found in processes.of_session(pid)], "an instance")


def words(uml_dir: Path) -> list[str]:
    """Return the command line of the instance."""
    pid = (uml_dir / "a" / "pid").read_text().strip()
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def boot_id(uml_dir: Path) -> str:
    """Return the name of this boot."""
    err, text = mconsole.request(uml_dir / "a" / "mconsole", "proc sys/kernel/random/boot_id")
    assert err == 0, text
    return text


def script(path: Path, text: str) -> str:
    """Make a program, and return its path."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def broken_kernel(path: Path) -> str:
    """Make a kernel of which the end is missing, and return its path."""
    path.write_bytes(kernels.path(kernels.wanted()[-1]).read_bytes()[:200_000])
    path.chmod(0o755)
    return str(path)


READY = {"wait_for": "log", "wait_pattern": "Kernel command line:.* good"}
FAILING: dict[str, Callable[[Path], dict[str, Any]]] = {
    "a kernel with its end missing": lambda folder: {"kernel": broken_kernel(folder / "broken"), **READY},
    "a kernel that takes no name": lambda folder: {"kernel": script(folder / "idle", "exec sleep 999"), **READY},
    "a guest without an init": lambda folder: {"root": {"initrd": str(folder / "initrd.gz"), "init": "/nothing"}},
    "a guest that is never ready": lambda folder: {"kernel_args": ["bad"], **READY},
}
SLOW = ("a kernel that takes no name", "a guest that is never ready")
SAYS = {
    "a kernel with its end missing": "did not come up with the new kernel: the kernel of a ended with",
    "a kernel that takes no name": "did not come up with the new kernel: a was started as process",
    "a guest without an init": "did not come up with the new root: the kernel of a ended with signal 6",
    "a guest that is never ready": "was not ready in time; it was ended. The last it said",
}


@pytest.mark.parametrize("case", FAILING)
def test_what_does_not_come_up_runs_again_with_what_it_had(case: str, run: Run, uml_dir: Path) -> None:
    had, before = words(uml_dir), boot_id(uml_dir)
    new = FAILING[case](uml_dir)
    options = {**QUICK, **new, "restart": "when_required", "wait_timeout": 5 if case in SLOW else 30}
    planned = run(True, **options)
    assert (planned["changed"], planned.get("failed"), boot_id(uml_dir)) == (True, None, before)
    result = run(**options)
    assert result["failed"], result
    assert SAYS[case] in result["msg"]
    assert "it runs again with the options that it had before" in result["msg"]
    assert (result["rolled_back"], result["changed"], result["state"]) == (True, True, "running")
    assert result["steps"] == ["stop", "clear", "rollback"]
    assert words(uml_dir) == had
    assert boot_id(uml_dir) != before
    marked = [each for each in processes.running() if str(uml_dir) in command_line(each.pid)]
    assert {each.session for each in marked} == {int((uml_dir / "a" / "pid").read_text())}, "the new one is gone"


def command_line(pid: int) -> str:
    """Return the command line of a process, or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_what_comes_up_stays_new(run: Run, uml_dir: Path) -> None:
    """On the second kernel; tests/support/roll.py uses the third."""
    new = {"kernel": str(kernels.path(kernels.wanted()[-2:][0])), "memory": "160M", "restart": "when_required", **QUICK}
    result = run(**new)
    assert (result.get("failed"), result["steps"]) == (None, ["stop", "clear", "start"]), result
    assert {"mem=160M", "good", "con3=pts"} <= set(words(uml_dir))
    assert run(**new)["changed"] is False


def test_a_kernel_whose_file_was_replaced_is_kept_until_the_new_one_is_up(run: Run, uml_dir: Path, old: Path) -> None:
    """As a package does that brings a new kernel; then the package is mended. One that was paused is paused again."""
    kept = uml_dir / "a.kernel"
    good = old.read_bytes()
    broken_kernel(uml_dir / "new")
    (uml_dir / "new").rename(old)
    assert run(True, state="restarted", **QUICK).get("failed") is None
    assert not kept.exists()
    run(state="paused")
    result = run(state="restarted", **QUICK, **READY)
    assert (result["rolled_back"], result["state"]) == (True, "paused"), result
    assert os.readlink(f"/proc/{result['pid']}/exe") == str(kept)
    assert kept.read_bytes() == good
    (uml_dir / "new").write_bytes(good)
    (uml_dir / "new").chmod(0o755)
    (uml_dir / "new").rename(old)
    result = run(kernel=str(old), restart="when_required", **QUICK)
    assert (result.get("failed"), kept.exists()) == (None, False), result
    assert os.readlink(f"/proc/{result['pid']}/exe") == str(old)


def test_without_a_way_back_nothing_is_stopped(run: Run, uml_dir: Path, initrd: Path) -> None:
    before = boot_id(uml_dir)
    initrd.rename(uml_dir / "other.gz")
    options = {"root": {"initrd": str(uml_dir / "other.gz")}, "restart": "when_required", **QUICK}
    result = run(**options)
    assert result["failed"]
    assert "a could not be started again as it runs now" in result["msg"]
    assert "set rollback=false" in result["msg"]
    assert (result["changed"], boot_id(uml_dir)) == (False, before)


def test_a_way_back_that_is_lost_is_reported(run: Run, uml_dir: Path, initrd: Path) -> None:
    kernel = script(uml_dir / "spoiler", f"rm {initrd}; echo spoilt; exit 1")
    result = run(kernel=kernel, restart="when_required", **QUICK)
    assert "spoilt; and it could not be started again as it ran before: " in result["msg"]
    assert (result.get("rolled_back"), result["changed"], result["state"]) == (None, True, "absent")
