# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the real ansible commands, with every task's result in hand."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import processes
from support.paths import TREE

CALLBACKS = Path(__file__).parent / "callback"
TIMEOUT = 300.0
Plays = list[dict[str, Any]]
Inventory = Mapping[str, Any]


@dataclass(frozen=True)
class TaskResult:
    """What one host answered to one task."""

    host: str
    task: str
    action: str
    result: dict[str, Any]
    duration: float
    failed: bool = False
    ignored: bool = False
    unreachable: bool = False
    skipped: bool = False

    @property
    def changed(self) -> bool:
        """Return whether the task says that it changed something."""
        return bool(self.result.get("changed"))


@dataclass(frozen=True)
class Result:
    """The end of one run."""

    rc: int
    stdout: str
    stderr: str
    tasks: list[TaskResult]

    def task(self, host: str, task_name: str) -> TaskResult:
        """Return the last answer of a host to the task of that name."""
        found = [task for task in self.tasks if (task.host, task.task) == (host, task_name)]
        if not found:
            raise AssertionError(f"{host} never ran {task_name!r}:\n{self}")
        return found[-1]

    def result(self, host: str, task_name: str) -> dict[str, Any]:
        """Return the last answer's own dictionary."""
        return self.task(host, task_name).result

    def only(self, host: str) -> TaskResult:
        """Return the answer of a host that ran one task, as in an ad-hoc run."""
        (task,) = [task for task in self.tasks if task.host == host]
        return task

    def ok(self) -> Result:
        """Return itself, or fail the test with all that was printed."""
        if self.rc != 0:
            raise AssertionError(str(self))
        return self

    def __str__(self) -> str:
        return f"status {self.rc}\n{self.stdout}\n{self.stderr}"


def run_playbook(
    plays: Plays | str,
    inventory: Inventory | str,
    *,
    forks: int = 5,
    check: bool = False,
    diff: bool = False,
    env: Mapping[str, str] | None = None,
    extra_args: Sequence[str] = (),
    home: Path | None = None,
    timeout: float = TIMEOUT,
) -> Result:
    """Run plays (a list, a playbook's YAML text, or the name of a playbook); `home` keeps connections between runs."""
    words = [f"--forks={forks}", *["--check"] * check, *["--diff"] * diff, *extra_args]
    with _home(home) as folder:
        command = ["ansible-playbook", *words, _write_plays(folder, plays)]
        return _run(command, inventory, folder, env, timeout)


def adhoc(
    host_pattern: str,
    module: str,
    args: str | Mapping[str, Any],
    inventory: Inventory | str,
    *,
    env: Mapping[str, str] | None = None,
    extra_args: Sequence[str] = (),
    home: Path | None = None,
    timeout: float = TIMEOUT,
) -> Result:
    """Run one module on the hosts of a pattern."""
    text = args if isinstance(args, str) else json.dumps(args)
    with _home(home) as folder:
        return _run(["ansible", host_pattern, "-m", module, "-a", text, *extra_args], inventory, folder, env, timeout)


def run_command(
    command: Sequence[str],
    inventory: Inventory | str,
    *,
    env: Mapping[str, str] | None = None,
    home: Path | None = None,
    timeout: float = TIMEOUT,
) -> Result:
    """Run another of Ansible's commands (ansible-inventory, ansible-console ...) in the same surroundings."""
    with _home(home) as folder:
        return _run(command, inventory, folder, env, timeout)


def environment(folder: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which nothing of the machine's own Ansible setup is left."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **clean,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(folder / "a"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(TREE),
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "umlt_json",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "UMLT_RESULTS": str(folder / "results"),
        **(env or {}),
    }


def clients(home: Path) -> list[dict[str, Any]]:
    """Return what the local clients say that the runs of this home lead to."""
    found = []
    for path in (home / "cp").glob("uml-*"):
        if path.suffix:
            continue
        with contextlib.suppress(OSError, ValueError):
            found.append(greeting(path))
    return found


def greeting(path: Path) -> dict[str, Any]:
    """Return what a local client says of itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        value: dict[str, Any] = json.loads(sock.makefile("rb").readline())
        return value


def close_connections(folder: Path) -> None:
    """End the ssh masters a run has left: each would stay for another minute."""
    for path in _control_sockets(folder):
        close_master(path)


def close_master(path: Path) -> None:
    """End the ssh master of a control socket, if it still runs; what it is connected to is not asked for."""
    command = ["ssh", "-F", "none", "-O", "exit", "-S", str(path), "localhost"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and "Control socket connect" not in done.stderr:
        raise AssertionError(f"{path}: {done.stderr}")


def _control_sockets(folder: Path) -> Iterable[Path]:
    """List the control sockets of ssh below a home."""
    return [path for path in (folder / "cp").glob("*") if path.is_socket() and not path.name.startswith("uml-")]


@contextlib.contextmanager
def _home(home: Path | None) -> Iterator[Path]:
    """Yield the given folder, or a fresh one that is gone afterwards with its connections."""
    if home is not None:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="uml.ans.") as folder:
        try:
            yield Path(folder)
        finally:
            close_connections(Path(folder))


def _run(
    command: Sequence[str], inventory: Inventory | str, folder: Path, env: Mapping[str, str] | None, timeout: float
) -> Result:
    """Run a command and collect its results."""
    results = folder / "results"
    results.write_text("")
    (folder / "ansible.cfg").write_text("")
    words = [command[0], "-i", _write_inventory(folder, inventory), *command[1:]]
    rc, out, err = _run_to_the_end(words, folder, environment(folder, env), timeout)
    tasks = [TaskResult(**json.loads(line)) for line in results.read_text().splitlines()]
    return Result(rc, out, err, tasks)


def _run_to_the_end(words: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float) -> tuple[int, str, str]:
    """Run a command in its own session, which ends with it: forks of Ansible outlive a parent that is killed."""
    files = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
        **files,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        started = processes.descendants(process.pid)
        sessions = {process.pid, *(each.session for each in processes.running() if each.pid in started)}
        processes.kill_all(lambda: [pid for each in sessions for pid in processes.of_session(each)], f"{words[0]}")
        process.communicate()
        raise
    return process.returncode, out, err


def _write_plays(folder: Path, plays: Plays | str) -> str:
    """Write the playbook, unless it is the name of one."""
    if isinstance(plays, str) and "\n" not in plays:
        return plays
    path = folder / "play.yml"
    path.write_text(plays if isinstance(plays, str) else yaml.safe_dump(plays, sort_keys=False))
    return str(path)


def _write_inventory(folder: Path, inventory: Inventory | str) -> str:
    """Write the inventory: `{host: vars}`, or a whole one under `all`; a string goes to `-i` as it is."""
    if isinstance(inventory, str):
        return inventory
    whole = inventory if "all" in inventory else {"all": {"hosts": dict(inventory)}}
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    return str(path)
