# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a VM host and of a kernel before an instance starts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import host_check, kernel_file, preflight, xstate
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle.launch import Launch
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import procfs, syscalls
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error, InputError, NotAllowedError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Place

MIB = 1 << 20
MEMINFO = "MemAvailable: 307200 kB\nSwapFree: 20480 kB\nCommitLimit: 204800 kB\nCommitted_AS: 102400 kB\n"
# Denies one system call, as the profile of a container does (linux/filter.h, linux/seccomp.h), and asks.
DENY = """
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
call = int(sys.argv[1])
words = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in words))
program = struct.pack("=HxxxxxxQ", len(words), ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0
"""


def launch(*words: str, program: str = "/k", **more: Any) -> Launch:
    """Return a launch."""
    return Launch(Place("a", "/u"), [program, "umid=a", *words], {}, "/", "/u/a.log", **more)


def denied(call: int, then: str) -> Any:
    """Run a text of Python that a VM host denies a system call, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", DENY + then, str(call)],
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_vm_host_without_ptrace_is_known() -> None:
    assert denied(101, xstate._PROBE) == {"denied": 1}


def test_it_is_refused_but_for_a_kernel_that_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_check, "probe", lambda: xstate.Host("Operation not permitted", 0, False))
    with pytest.raises(NotAllowedError, match=r"does not allow ptrace \(Operation not permitted\), which /k needs"):
        host_check.check_rights(launch())
    assert host_check.check_rights(launch("seccomp=on")) == []


def test_a_vm_host_without_personality_is_a_warning() -> None:
    module = syscalls.__name__
    ask = f"import importlib, json\np = importlib.import_module({module!r})\nwith p.fixed_addresses() as fixed: pass\n"
    assert denied(135, ask + "print(json.dumps(fixed))") is False
    assert denied(999, ask + "print(json.dumps(fixed))") is True


def test_the_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "fixed_addresses", lambda: contextlib.nullcontext(False))
    (text,) = host_check.check_rights(launch())
    assert "does not allow personality" in text


def room(monkeypatch: pytest.MonkeyPatch, **given: int) -> None:
    """Have every file system look so."""
    usual = {"f_blocks": 100, "f_bavail": 50, "f_files": 100, "f_favail": 50, "f_frsize": MIB, "f_flag": 0}
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(**{**usual, **given}))


@pytest.mark.parametrize("full", ["f_bavail", "f_favail"])
def test_a_full_file_system_is_refused(monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    room(monkeypatch)
    assert host_check.check_room(launch()) == []
    room(monkeypatch, **{full: 0})
    with pytest.raises(Error, match="the file system of /u is full"):
        host_check.check_room(launch())


@pytest.mark.parametrize(("left", "said"), [(0, "error"), (7, "error"), (20, "warning"), (64, ""), (None, "")])
def test_few_processes_are_a_warning_and_too_few_an_error(
    monkeypatch: pytest.MonkeyPatch, left: int | None, said: str
) -> None:
    monkeypatch.setattr(host_check, "_tasks_left", lambda _uid: left)
    if said == "error":
        with pytest.raises(Error, match=f"room for {left} more processes"):
            host_check.check_room(launch())
    else:
        assert bool(host_check.check_room(launch())) is bool(said)


def test_the_narrowest_control_group_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/pids.max": "30\n",
        "/sys/fs/cgroup/a/pids.current": "9\n",
    }
    files |= {"/sys/fs/cgroup/a/b/pids.max": "max\n", "/sys/fs/cgroup/a/b/pids.current": "5\n"}
    monkeypatch.setattr(procfs, "read_text", lambda path, *_flags: files.get(path, ""))
    assert host_check._tasks_left(0) == 21


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one other instance of 200 MiB run, of which it holds 50, on a VM host with 300 MiB and 20 of swap."""
    files = {
        "/proc/meminfo": MEMINFO,
        "/proc/7/status": "VmRSS:\t51200 kB\n",
        "/proc/8/status": "VmRSS:\t51200 kB\n",
    }
    argv = {7: ["linux", "umid=b", "mem=200M"], 8: ["linux", "umid=b", "mem=200M"], 9: ["sleep"]}
    monkeypatch.setattr(procfs, "read_text", lambda path, *_flags: files.get(path, ""))
    monkeypatch.setattr(procfs, "pids", lambda: list(argv))
    monkeypatch.setattr(procfs, "argv", argv.get)
    monkeypatch.setattr(procfs, "environ", lambda _pid: {})
    monkeypatch.setattr(procfs, "stat", lambda pid: SimpleNamespace(group=7, state="S", pid=pid))


@pytest.mark.usefixtures("others")
def test_what_runs_counts_with_what_it_may_still_take() -> None:
    """Its helpers do not count, nor does the one whose place is taken, whose memory comes free."""
    assert host_check.budget(100 * MIB) == host_check.Budget(100 * MIB, 150 * MIB, 320 * MIB)
    assert host_check.budget(100 * MIB, 7) == host_check.Budget(100 * MIB, 0, 370 * MIB)


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(("memory", "enough"), [("170M", True), ("171M", False)])
def test_more_than_the_vm_host_has_is_said(memory: str, enough: bool) -> None:
    found = launch(f"mem={memory}")
    warnings = host_check.check_budget(found, "warn")
    assert (warnings == []) is enough
    assert host_check.check_budget(found, "ignore") == []
    if not enough:
        assert "can give 320 MiB, and this instance may use 171 MiB of memory and those that run 150 MiB" in warnings[0]
        with pytest.raises(InputError, match="set memory_budget=warn to start it anyway"):
            host_check.check_budget(found, "enforce")


@pytest.mark.usefixtures("others")
def test_a_vm_host_without_overcommit_gives_what_it_has_not_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    read = procfs.read_text
    mode = {"/proc/sys/vm/overcommit_memory": "2\n"}
    monkeypatch.setattr(procfs, "read_text", lambda path, *_flags: mode.get(path) or read(path))
    assert host_check.budget(MIB).free == 100 * MIB


@pytest.mark.usefixtures("others")
def test_the_file_system_of_the_memory_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    room(monkeypatch, f_bavail=250)
    assert host_check.check_memory_dir(launch("mem=100M")) == []
    (text,) = host_check.check_memory_dir(launch("mem=101M"))
    assert text.startswith(
        "/dev/shm has 250 MiB free, and this instance may use 101 MiB of it and those that run 150 MiB"
    )
    elsewhere = launch("mem=200M")._replace(environment={"TMPDIR": "/elsewhere"})
    assert host_check.check_memory_dir(elsewhere) == []


@pytest.mark.parametrize(
    ("version", "smp", "words", "said"),
    [
        ((6, 12), False, ["ncpus=2"], "ncpus=2 has no effect: /k (x) is built for one CPU"),
        ((6, 12), False, ["ncpus=1"], ""),
        ((6, 19), True, ["ncpus=2"], ""),
        (None, None, ["ncpus=2"], ""),
        ((7, 2), False, ["seccomp=on"], ""),
        (None, None, ["seccomp=on"], ""),
    ],
)
def test_a_kernel_that_cannot_is_known(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int] | None, smp: bool | None, words: list[str], said: str
) -> None:
    monkeypatch.setattr(kernel_file, "inspect", lambda _path: kernel_file.KernelFile("x", version, smp))
    assert " ".join(preflight._check_kernel(launch(*words))).startswith(said)


def test_seccomp_on_an_old_kernel_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel_file, "inspect", lambda _path: kernel_file.KernelFile("6.12.1", (6, 12)))
    with pytest.raises(InputError, match=r"seccomp=auto needs a kernel from 6.16 on, and /k is 6.12.1"):
        preflight._check_kernel(launch("seccomp=auto"))
