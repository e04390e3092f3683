# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which kernel gets the register shim on which VM host, and from whom."""

from __future__ import annotations

import json
import os
import pwd
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import kernel_file, launch, xstate
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import NotThereError
from support import amx

AMX, PLAIN = xstate.Host("", 11008, True), xstate.Host("", 2440, False)
UID = os.geteuid()


def kernel(path: Path, release: str, segments: tuple[int, ...] = (1, 3), padding: int = 0, smp: str = "") -> str:
    """Write what is looked at of a kernel: its header, its segments (3 names a loader), its release."""
    header = struct.pack("<5s11sHHIQQQIHHH", b"\x7fELF\x02", b"", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(segments))
    table = b"".join(struct.pack("<I52x", kind) for kind in segments)
    text = (
        f"Linux version {release} (me@here) # \nLinux version {release} (me@here) #1{smp} Sat".encode()
        if release
        else b""
    )
    path.write_bytes(header.ljust(64, b"\0") + table + bytes(padding) + text)
    return str(path)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """Yield a VM host: what its kernel says, and the two directories for a shim."""
    home = tmp_path / "home"
    monkeypatch.setattr(xstate, "SYSTEM_DIR", str(tmp_path / "system"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_dir=str(home)))
    monkeypatch.setattr(xstate, "probe", lambda: AMX)
    return SimpleNamespace(system=tmp_path / "system", user=home / xstate.USER_DIR)


def put(folder: Path, mode: int = 0o644) -> str:
    """Put a shim into a directory."""
    folder.mkdir(parents=True)
    path = folder / xstate.SHIM
    path.write_bytes(b"\x7fELF\0ptrace\0")
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("release", "old"),
    [
        ("5.10.1", True),
        ("6.1.176", True),
        ("6.12.113+deb13", True),
        ("6.13.0-rc1", False),
        ("7.2.7", False),
        ("", None),
    ],
)
def test_a_kernel_is_known_by_its_file(release: str, old: bool | None, tmp_path: Path) -> None:
    found = kernel_file.inspect(kernel(tmp_path / "linux", release, padding=3 * (1 << 20) - 120))
    assert (found.release, found.is_before(6, 13), found.takes_preload) == (release or None, old, True)


@pytest.mark.parametrize(("words", "smp"), [("", False), (" SMP", True), (" PREEMPT SMP", True)])
def test_it_says_whether_it_is_for_several_processors(words: str, smp: bool, tmp_path: Path) -> None:
    assert kernel_file.inspect(kernel(tmp_path / "linux", "7.2.7", smp=words)).smp is smp


def test_a_static_kernel_a_script_a_pipe_and_nothing(tmp_path: Path) -> None:
    assert kernel_file.inspect(kernel(tmp_path / "static", "6.1.0", (1,))).takes_preload is False
    (tmp_path / "script").write_text("#!/bin/sh\nexec linux.uml\n# Linux version 6.1.0 x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").write_bytes(b"\x7fELF\x02")
    for name in ("script", "pipe", "broken", "absent"):
        assert kernel_file.inspect(str(tmp_path / name)) == kernel_file.KernelFile()


@pytest.mark.parametrize("where", ["system", "user"])
def test_an_old_kernel_gets_the_shim(host: SimpleNamespace, tmp_path: Path, where: str) -> None:
    shim = put(getattr(host, where))
    given = {"A": "1", "LD_PRELOAD": f"/elsewhere/{xstate.SHIM} /x.so"}
    found = xstate.environment(kernel(tmp_path / "linux", "6.12.1"), given, UID)
    assert found == {"A": "1", "LD_PRELOAD": f"{shim}:/x.so"}


def test_no_other_gets_it_and_it_loses_the_one_that_it_had(
    host: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = put(host.system)
    new, old = kernel(tmp_path / "new", "7.2.7"), kernel(tmp_path / "old", "6.1.1")
    assert xstate.environment(new, {"LD_PRELOAD": shim}, UID) == {}
    monkeypatch.setattr(xstate, "probe", lambda: PLAIN)
    assert xstate.environment(old, {"LD_PRELOAD": f"{shim}:/x.so"}, UID) == {"LD_PRELOAD": "/x.so"}


def test_a_kernel_that_says_nothing_of_itself_gets_it_where_it_is(host: SimpleNamespace, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert xstate.environment(str(script), {}, UID) == {}
    assert xstate.environment(str(script), {}, UID if put(host.system) else 0)["LD_PRELOAD"].endswith(xstate.SHIM)


def test_without_it_one_sentence_says_what_to_do(host: SimpleNamespace, tmp_path: Path) -> None:
    old = kernel(tmp_path / "linux", "6.1.176")
    with pytest.raises(NotThereError) as caught:
        xstate.environment(old, {"LD_PRELOAD": "/nonexistent/other.so"}, UID)
    assert str(caught.value) == (
        f"the kernel {old} (6.1.176) cannot run programs on this VM host, whose CPU state has 11008 bytes; build the"
        " register shim with the role uml.mconsole.host, or use a kernel from 6.13 on, or another VM host"
    )


def test_a_static_kernel_cannot_be_helped(host: SimpleNamespace, tmp_path: Path) -> None:
    shim = put(host.system)
    with pytest.raises(NotThereError, match="statically linked, so no shim can help it"):
        xstate.environment(kernel(tmp_path / "linux", "6.1.1", (1,)), {"LD_PRELOAD": shim}, UID)


def test_a_preload_that_an_instance_was_started_with_by_hand_is_kept(host: SimpleNamespace, tmp_path: Path) -> None:
    given = {"LD_PRELOAD": put(tmp_path / "mine")}
    assert xstate.environment(kernel(tmp_path / "linux", "6.1.1"), given, UID) == given


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_shim_that_others_may_write_is_not_loaded(host: SimpleNamespace, mode: int) -> None:
    put(host.system, mode)
    assert xstate.find(UID) is None


def test_neither_is_one_in_a_directory_of_others_nor_a_link(host: SimpleNamespace, tmp_path: Path) -> None:
    path = Path(put(host.system))
    assert xstate.find(UID) == str(path)
    host.system.chmod(0o777)
    assert xstate.find(UID) is None
    host.system.chmod(0o755)
    path.rename(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    assert xstate.find(UID) is None


@pytest.mark.parametrize("program", ["", "import sys; sys.modules['ctypes'] = None\n"])
def test_the_host_is_asked_by_the_raw_system_call(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe runs without the shim, and only its own output counts. A probe that cannot run prevents nothing."""
    monkeypatch.setattr(xstate, "_PROBE", program + xstate._PROBE)
    said = xstate._ask()
    assert bool(said) is not bool(program)
    assert not program or xstate.probe.__wrapped__() == xstate.Host("", 0, False)


def test_the_double_is_known_for_a_cpu_with_amx() -> None:
    found = ask(amx.double())
    assert (found["size"], found["refused"], found["refused_by_library"]) == (11008, 14, 14)


def test_a_shim_for_all_programs_is_seen_to_mend_it() -> None:
    found = ask(amx.shim(), amx.double())
    assert (found["refused"], found["refused_by_library"]) == (14, 0)


def ask(*preload: Path) -> dict[str, int]:
    """Run the probe with some preloads."""
    environment = {"LD_PRELOAD": ":".join(map(str, preload))}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", xstate._PROBE], env=environment, capture_output=True, check=True
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_a_preload_of_the_users_is_not_loaded_by_roots_process() -> None:
    """What becomes the user and then the kernel is still root's, so the environment comes to it by a descriptor."""
    show = "import os; print(sorted(os.environ), os.environ.get('LD_PRELOAD'))"
    with os.fdopen(os.memfd_create("environment"), "w") as stream:
        stream.write(json.dumps({"LD_PRELOAD": "/nonexistent/evil.so", "\udcff": "\udcfe"}))
        stream.flush()
        stream.seek(0)
        words = [sys.executable, "-I", "-S", "-c", launch._STARTER, "18", "", "", "", str(stream.fileno())]
        command = [*words, sys.executable, "-I", "-S", "-c", show]
        done = subprocess.run(command, env={}, pass_fds=(stream.fileno(),), capture_output=True, check=True, text=True)
    assert done.stdout.count("/nonexistent/evil.so") == 1
    assert done.stderr.count("cannot be preloaded") == 1
