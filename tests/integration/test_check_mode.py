# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode, for every module and every state there is: nothing is sent that changes something, nothing is started or
signalled, no file is touched, and what is foretold is what the real run then sends. A module or a state without a row
here fails the first test; each row is tried in every state that an instance can be in."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import xstate
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from support import processes, uml
from support.devices import image
from support.every_module import FAILS_WITHOUT_AN_EVENT, OLD, ROWS, filled
from support.paths import CHECKOUT
from support.run_operation import operate

CASES = [(name, number) for name, rows in ROWS.items() for number in range(len(rows))]


def test_every_module_and_every_state_has_a_row() -> None:
    """The list is made from the modules themselves, so that a new one cannot be forgotten."""
    modules = {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("[!_]*.py")}
    assert set(ROWS) == set(registry.NAMES) == modules
    assert [(name, state) for name, state in states() if state not in tried(name)] == []


def states() -> Iterator[tuple[str, Any]]:
    """Yield every module with each of its states, and with none where it has no such option."""
    for name in registry.NAMES:
        yield from ((name, state) for state in registry.load(name).ARGUMENTS.get("state", {}).get("choices", [None]))


def tried(name: str) -> set[Any]:
    """Return the states that a module's rows have."""
    default = registry.load(name).ARGUMENTS.get("state", {}).get("default")
    return {row.get("state", default) for row in ROWS[name]}


@pytest.fixture
def guest(launch_guest: Callable[..., uml.Instance], uml_dir: Path) -> Iterator[uml.Instance]:
    """Yield an instance that has a disk, and whose folder has two more. Also end what a restart starts."""
    for name in "abc":
        image(uml_dir / name)
    operate("snapshot", umid="guest", uml_dir=str(uml_dir), **filled(OLD, str(uml_dir)))
    operate("cow", path=f"{uml_dir}/old.cow", backing_file=f"{uml_dir}/b")
    yield launch_guest("guest", f"ubd7={uml_dir}/c")
    pids = [int(path.read_text()) for path in uml_dir.glob("*/pid")]
    processes.kill_all(lambda: [each for pid in pids for each in processes.of_session(pid)], "an instance")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record each command where it leaves for the socket."""
    found: list[str] = []
    original = Console._send
    monkeypatch.setattr(
        Console,
        "_send",
        lambda self, sock, request, deadline: (found.append(request.text), original(self, sock, request, deadline))[1],
    )
    return found


@contextlib.contextmanager
def nothing_done(folder: Path) -> Iterator[None]:
    """Let no process be started or signalled, and no file be made, changed or removed.

    Asking whether a process is there is no signal.
    """

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"done in check mode: {args}")

    xstate.probe()  # a process that asks the VM host's kernel what it can, once for all
    ask, before = os.kill, files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        patch.setattr(os, "killpg", refuse)
        patch.setattr(os, "kill", lambda pid, number: refuse(pid, number) if number else ask(pid, 0))
        yield
    assert files(folder) == before


def files(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what there is in a folder, with what a change of it would change."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns)
    return found


def changing(sent: list[str]) -> list[str]:
    """Return what was sent since the last call and changes something; what was sent until it was taken stands once."""
    found = [text.rstrip("\n") for text in sent if commands.parse(text.rstrip("\n")).changes]
    sent.clear()
    return [text for index, text in enumerate(found) if index == 0 or found[index - 1] != text]


def changes(texts: list[str]) -> list[str]:
    """Return those of a result's commands that change something."""
    return [text for text in texts if commands.parse(text).changes]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_check_mode_does_nothing_and_foretells(
    guest: uml.Instance, sent: list[str], sockets: ReplySockets, name: str, number: int
) -> None:
    run = arguments(name, number, guest.uml_dir)
    with nothing_done(guest.uml_dir):
        foretold = operate(name, True, sockets, **run)
    assert not foretold.get("failed"), foretold
    assert changing(sent) == []
    assert guest.alive()
    assert guest.request("go") == (1, "Not stopped")
    done = operate(name, False, sockets, **run)
    assert bool(done.get("failed")) == (name in FAILS_WITHOUT_AN_EVENT), done
    assert done["changed"] == foretold["changed"]
    assert changing(sent) == changes(foretold.get("commands", [])) == changes(done.get("commands", []))
    if name == "collector":
        operate(name, False, sockets, **{**run, "state": "stopped"})


def arguments(name: str, number: int, folder: Path, timeout: float = 5.0) -> dict[str, Any]:
    """Return the arguments of a row, about an instance if the module is about one."""
    where = {"umid": "guest", "uml_dir": str(folder), "timeout": timeout}
    return {**where, **filled(ROWS[name][number], str(folder))}


def pause(guest: uml.Instance) -> None:
    assert guest.request("stop")[0] == 0


def forget(guest: uml.Instance) -> None:
    guest.kill()
    shutil.rmtree(guest.directory)


SITUATIONS: dict[str, Callable[[uml.Instance], object]] = {
    "paused": pause,
    "hung": lambda guest: processes.stop(guest.pid),
    "stale": lambda guest: guest.kill(),
    "not there": forget,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_check_mode_does_nothing_whatever_the_instance_is_like(
    guest: uml.Instance, sent: list[str], sockets: ReplySockets, situation: str
) -> None:
    """Check mode may refuse or predict something. A refusal is an error of the tree, not a bug of the collection."""
    SITUATIONS[situation](guest)
    for name, number in CASES:
        with nothing_done(guest.uml_dir):
            foretold = operate(name, True, sockets, **arguments(name, number, guest.uml_dir, timeout=0.5))
        assert foretold.get("failed") or "changed" in foretold, (name, number, foretold)
        assert changing(sent) == [], (name, number)
    if situation == "paused":
        assert guest.request("go") == (0, "")


def test_check_mode_starts_no_instance(uml_dir: Any, sent: list[str], sockets: ReplySockets) -> None:
    """What is not there is not made either."""
    with nothing_done(uml_dir):
        foretold = operate("instance", True, sockets, umid="new", uml_dir=str(uml_dir), root={"hostfs": "/"})
    assert (foretold["changed"], foretold["steps"]) == (True, ["start"])
    assert sent == []
