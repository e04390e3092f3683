# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook watch: real instances and a real collector behind real ssh, watched on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support import ansible
from support.events import Collecting, collecting
from support.vmhost import VmHost
from support.wait import wait_until

TIME = 60.0
ALLOWED = re.compile(rb"\x1b\[[0-9;]*m")  # the colours that Ansible itself writes


class Terminal:
    """A playbook that runs on its own terminal, and what it has written there."""

    def __init__(self, words: list[str], env: dict[str, str], folder: Path) -> None:
        ours, theirs = os.openpty()
        self.written = b""
        self._ours = ours
        self.process = subprocess.Popen(
            words,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # so that Ctrl-C is a signal there
        )
        os.close(theirs)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self._ours, 65536):
                self.written += part

    def wait_for(self, text: str, timeout: float = TIME) -> bytes:
        """Wait until a line holds a text, and return the line."""
        return wait_until(
            lambda: next((each for each in self.written.split(b"\r\n")[:-1] if text.encode() in each), None),
            timeout,
            lambda: f"{text!r} in\n{self.written.decode(errors='replace')}",
        )

    def interrupt(self) -> int:
        """Press Ctrl-C and return the status that it ends with."""
        os.write(self._ours, b"\x03")
        return self.process.wait(TIME)

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIME)
        self._thread.join(TIME)
        os.close(self._ours)


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that runs."""
    with collecting(uml_dir) as found:
        found()
        yield found


@pytest.fixture
def watch(ansible_home: Path, collect: Collecting) -> Iterator[Callable[..., Terminal]]:
    """Yield `watch(inventory, **variables)`, which runs the playbook on a terminal until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(inventory: dict[str, Any], **variables: Any) -> Terminal:
            (ansible_home / "ansible.cfg").write_text("")
            path = ansible._write_inventory(ansible_home, inventory)
            given = {"journal_dir": collect.directory, **variables}
            words = [word for key, value in given.items() for word in ("-e", f"watch_{key}={value}")]
            env = {**ansible.environment(ansible_home), "ANSIBLE_FORCE_COLOR": "true", "UMLT_RESULTS": os.devnull}
            del env["ANSIBLE_NOCOLOR"]
            env.pop("NO_COLOR", None)
            terminal = Terminal(["ansible-playbook", "-i", path, "uml.mconsole.watch", *words], env, ansible_home)
            stack.callback(terminal.close)
            return terminal

        yield start


def test_events_are_shown_as_they_come_until_ctrl_c(
    watch: Callable[..., Terminal], make_vm_host: Callable[..., VmHost], launch_guest, collect: Collecting
) -> None:
    """Coloured by severity, and nothing that a guest says reaches the terminal as anything but text."""
    vm_host = make_vm_host()
    guest = launch_guest("web1", notify=collect.notify)
    collect.wait("message", "web1", "up")
    trap = collect.uml_dir / "trap"
    terminal = watch({"vm1": vm_host.inventory_vars()})
    assert b"  boot " in terminal.wait_for(str(guest.console))  # the past first
    template = f'{{{{ lookup("pipe","touch {trap}") }}}}'
    said = f"\\033[2J\\033]0;t\\007\\302\\233one {template}\\377\\000two\\nthree\\r\\b"
    guest.guest(f"printf '{said}' > /proc/mconsole")
    line = terminal.wait_for("three").decode()
    assert re.search(r'  vm1 +web1 +info +message +one \{\{ lookup\("pipe","touch \S+"\) \}\}\ufffdtwo \| three$', line)
    with contextlib.suppress(TimeoutError):
        guest.request("sysrq c", timeout=0.2)
    line = terminal.wait_for("sysrq triggered crash").decode()
    assert line.startswith("\x1b[1;31m"), line
    assert terminal.interrupt() == 99  # as ansible-playbook ends when it is interrupted
    assert "Traceback" not in terminal.written.decode(errors="replace")
    assert not set(ALLOWED.sub(b"", terminal.written)) & {*range(9), *range(11, 13), *range(14, 32), 127}
    assert not trap.exists()
    wait_until(
        lambda: not [pid for pid in vm_host.started() if b"event_wait" in command(pid)], TIME, "no order is left"
    )


def test_a_lost_vm_host_is_told_and_costs_no_event(
    watch: Callable[..., Terminal], make_vm_host: Callable[..., VmHost], launch_guest, collect: Collecting
) -> None:
    """Lost once, back once, and in between what came meanwhile."""
    vm_host = make_vm_host()
    guest = launch_guest("web1", notify=collect.notify)
    terminal = watch({"vm1": vm_host.inventory_vars()}, types="message", last=1)
    terminal.wait_for("  up")
    vm_host.stop()
    terminal.wait_for("--- vm1 is lost")
    guest.guest("echo meanwhile > /proc/mconsole")
    vm_host.start()
    terminal.wait_for("meanwhile")
    guest.guest("echo afterwards > /proc/mconsole")
    terminal.wait_for("afterwards")
    told = [re.sub(rb"\x1b\[[0-9;]*m", b"", each).decode() for each in terminal.written.split(b"\r\n")]
    told = [each.split()[-1] if "message" in each else each for each in told if "message" in each or "---" in each]
    assert [re.sub(r"is lost.*", "is lost", each) for each in told] == [
        "up",
        "--- vm1 is lost",
        "--- vm1 is back",
        "meanwhile",
        "afterwards",
    ]


@pytest.fixture
def play(vm_host: VmHost, ansible_home: Path, collect: Collecting) -> Callable[..., ansible.Result]:
    """Yield `play(hosts, forks=5, **variables)`: the playbook, for a second, on hosts with further variables."""

    def play(
        hosts: dict[str, dict[str, Any]],
        forks: int = 5,
        env: dict[str, str] | None = None,
        extra: Sequence[str] = (),
        **variables: Any,
    ) -> ansible.Result:
        inventory = {name: {**vm_host.inventory_vars(), **more} for name, more in hosts.items()}
        given = {"seconds": 1, "journal_dir": collect.directory, **variables}
        words = [word for key, value in given.items() for word in ("-e", f"watch_{key}={value}")]
        return ansible.run_playbook(
            "uml.mconsole.watch",
            inventory,
            forks=forks,
            home=ansible_home,
            extra_args=[*words, *extra],
            timeout=TIME,
            env=env,
        )

    return play


@pytest.mark.smoke
def test_programs_get_json_and_each_event_once(play, launch_guest, collect: Collecting) -> None:
    """The VM host of an instance reports its events if it is in the play; otherwise the instance does."""
    for umid in ("web1", "db1"):
        launch_guest(umid, notify=collect.notify)
        collect.wait("message", umid, "up")
    instance = {"ansible_connection": "uml.mconsole.mconsole"}
    hosts = {"vm1": {}, "web1": {**instance, "uml_vm_host": "vm1"}, "db1": {**instance, "uml_vm_host": "other"}}
    run = play(hosts, types="boot,message", format="json").ok()
    shown = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert sorted((each["inventory_hostname"], each["umid"], each["type"]) for each in shown) == [
        ("db1", "db1", "boot"),
        ("db1", "db1", "message"),
        ("vm1", "db1", "boot"),
        ("vm1", "db1", "message"),
        ("vm1", "web1", "boot"),
        ("vm1", "web1", "message"),
    ]
    assert run.result("vm1", "Watch")["shown"] == 4


def test_what_is_shown_can_be_chosen(play, collect: Collecting, launch_guest) -> None:
    for umid in ("web1", "db1"):
        launch_guest(umid, notify=collect.notify)
        collect.wait("message", umid, "up")
    run = play({"vm1": {}}, umids="web*,nobody", search="up|mconsole$", last=5).ok()
    shown = [line.split()[2:6] for line in run.stdout.splitlines() if "  vm1  " in line]
    assert [each[:1] + each[2:] for each in shown] == [["vm1", "info", "boot"], ["vm1", "info", "message"]]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"severity": "worse"}, "value of severity must be one of: debug, info"),
        ({"search": "("}, "search is not a regular expression: '('"),
        (
            {"journal_dir": "/proc/1/mem/x", "forks": 1},
            "2 hosts need as many forks, found 1; set -f 2",
        ),
    ],
)
def test_nonsense_is_named_at_once(play, variables: dict[str, Any], said: str) -> None:
    run = play({"vm1": {}, "vm2": {}}, **variables)
    assert run.rc != 0
    assert said in run.stdout + run.stderr


def test_programs_get_a_file_of_json_lines(play, launch_guest, collect: Collecting, tmp_path: Path) -> None:
    """With a strategy of the user's own, and variables of other playbooks in the inventory; a second run adds to it."""
    for umid in ("web1", "db1"):
        launch_guest(umid, notify=collect.notify)
        collect.wait("message", umid, "up")
    dest = tmp_path / "events.jsonl"
    others = {"format": "line", "severity": "critical", "types": "panic", "last": 0, "seconds": 600}
    for count in (4, 8):
        run = play(
            {"vm1": others}, types="boot,message", format="json", dest=dest, env={"ANSIBLE_STRATEGY": "free"}
        ).ok()
        lines = [json.loads(line) for line in dest.read_text().splitlines()]
        assert sorted({(line["umid"], line["type"]) for line in lines}) == [
            (umid, kind) for umid in ("db1", "web1") for kind in ("boot", "message")
        ]
        assert len(lines) == count
        assert '"umid"' not in run.stdout


def test_a_umid_that_is_not_text_is_refused(play, tmp_path: Path) -> None:
    """As YAML reads it: 007 would be another name."""
    path = tmp_path / "vars.yml"
    path.write_text("watch_umids: [web1, 007]\n")
    run = play({"vm1": {}}, extra=["-e", f"@{path}"])
    assert run.rc != 0
    assert "watch_umids is not text or a list of text, found" in " ".join((run.stdout + run.stderr).split())


def test_silence_for_want_of_a_collector_is_told(play, collect: Collecting) -> None:
    collect("stopped")
    assert "--- vm1 has no collector that runs: nothing will come" in play({"vm1": {}}).ok().stdout


def command(pid: int) -> bytes:
    """Return the command line of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
