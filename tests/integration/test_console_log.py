# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of the console logs of real kernels, from mark to mark, also after the end of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import kernels, uml
from support.run_operation import operate

Launch = Callable[..., uml.Instance]


def test_lines_of_every_kernel_come_once_and_in_order(uml_dir: Path, launch_guest: Launch) -> None:
    """A guest writes between the tasks, in part, with escapes; the instance ends; another log is not a file."""
    guests = {f"k{number}": launch_guest(f"k{number}", kernel=kernels.path(name)) for number, name in numbered()}

    def read(**more: Any) -> dict[str, Any]:
        result = operate("console_log_info", uml_dir=str(uml_dir), order="oldest", **more)
        assert not result.get("failed"), result
        return result

    first = read(search="Linux version [67]")
    assert [line["umid"] for line in first["lines"]] == list(guests)
    assert {line["text"].partition("Linux version ")[2][:2] for line in first["lines"]} <= {"6.", "7."}
    position = read()["position"]
    for guest in guests.values():
        guest.guest("for n in 1 2 3; do echo marker $n; done > /dev/console; printf 'half \\033[31m' > /dev/console")
    for expected in (["marker 1", "marker 2"], ["marker 3"], []):
        found = read(after=position, search="marker|half", limit=2)
        position = found["position"]
        assert [line["text"] for line in found["lines"]] == expected * len(guests)
        assert found["more"] == (expected[:1] == ["marker 1"])
    for guest in guests.values():
        guest.guest("echo done > /dev/console")
    found = read(after=position, search="half|done")
    assert [line["text"] for line in found["lines"]] == ["half done"] * len(guests)
    last = operate("console_log_info", uml_dir=str(uml_dir), umids=["k0"], search="marker", limit=2)
    assert [line["text"] for line in last["lines"]] == ["marker 2", "marker 3"]
    assert last["more"]


def numbered() -> list[tuple[int, str]]:
    """Return the kernels with their numbers."""
    return list(enumerate(kernels.wanted()))


def test_the_log_of_a_crashed_instance_is_beside_its_directory(uml_dir: Path) -> None:
    arguments = {"umid": "a", "uml_dir": str(uml_dir)}
    root = {"initrd": str(uml.guest.initrd())}
    operate("instance", **arguments, kernel=str(kernels.path(kernels.wanted()[-1])), root=root, wait_for="none")
    operate("sysrq", **arguments, key="c", force=True, timeout=1)
    operate("instance", **arguments, state="stopped", stop_methods=["kill"])
    found = operate("console_log_info", uml_dir=str(uml_dir), search="Kernel panic|Linux version")
    assert [log["running"] for log in found["logs"]] == [False]
    assert "Linux version" in found["lines"][0]["text"]
    operate("instance", **arguments, state="absent")
