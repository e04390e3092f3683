# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many real instances on one VM host, as inventory hosts and in bulk, behind one sshd with default limits.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_scale.py [INSTANCES]`.
150 instances of 64 MB, and 50 forks. The figures to quote are the hosts lost (0), and the ratios to plays that do
nothing, which take turns with ours. UML_KERNEL names the kernel; with UML_WRITE_DOCS=1 the tables go to docs/limits.md.
"""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import ansible, limits, processes, uml, vmhost
from support.wait import wait_until

FORKS = 50
ROUNDS = 2
AT_ONCE = 10  # instances that boot side by side
LINE = {"name": "con5", "channel": "null"}
AS_HOSTS: dict[str, list[dict[str, Any]]] = {
    "debug": [{"ansible.builtin.debug": {"msg": "version"}}],
    "request": [{"uml.mconsole.request": {"command": "version"}}],
    "instance_facts": [{"uml.mconsole.instance_facts": {}}],
    "device": [
        {"name": "set", "uml.mconsole.device": LINE},
        {"name": "take away", "uml.mconsole.device": {"name": "con5", "state": "absent"}},
    ],
}
ALL = {"umids": ["*"], "uml_dir": "{{ uml_dir }}"}
IN_BULK: dict[str, list[dict[str, Any]]] = {
    "command: true": [{"ansible.builtin.command": "true"}],
    "request": [{"uml.mconsole.request": {**ALL, "command": "version"}}],
    "instance_facts": [{"uml.mconsole.instance_facts": ALL}],
    "instance_info": [{"uml.mconsole.instance_info": {"uml_dir": "{{ uml_dir }}", "gather_subset": ["min"]}}],
    "device": [
        {"name": "set", "uml.mconsole.device": {**ALL, **LINE}},
        {"name": "take away", "uml.mconsole.device": {**ALL, "name": "con5", "state": "absent"}},
    ],
}


@dataclass
class Lab:
    """The instances, the VM host, and a home for the runs of Ansible."""

    uml_dir: Path
    host: vmhost.VmHost
    home: Path
    guests: list[uml.Instance]

    def as_hosts(self) -> dict[str, Any]:
        """Return the inventory of instances."""
        reach = {"ansible_connection": "uml.mconsole.mconsole", "ansible_uml_dir": str(self.uml_dir)}
        return {guest.umid: {**self.host.inventory_vars(), **reach} for guest in self.guests}

    def plain(self) -> dict[str, Any]:
        """Return the same hosts over plain ssh, with nothing of this collection."""
        return {guest.umid: self.host.inventory_vars() for guest in self.guests}

    def in_bulk(self) -> dict[str, Any]:
        """Return the inventory of the one VM host."""
        return {"here": {**self.host.inventory_vars(), "uml_dir": str(self.uml_dir), "ansible_pipelining": True}}

    def found(self) -> str:
        """Return the inventory that finds them."""
        path = self.home / "lab.uml.yml"
        vm_host = {"vm1": self.host.inventory_vars()}
        path.write_text(
            json.dumps({"plugin": "uml.mconsole.instances", "vm_hosts": vm_host, "uml_dir": str(self.uml_dir)})
        )
        return str(path)

    def sessions(self) -> int:
        """Return how many commands ssh has run on the VM host."""
        return self.host.log_text().count("Starting session: command")


def launch(stack: contextlib.ExitStack, uml_dir: Path, count: int) -> list[uml.Instance]:
    """Start instances, a few at a time."""
    guests: list[uml.Instance] = []
    stack.callback(uml.close_all, guests)
    for first in range(0, count, AT_ONCE):
        some = range(first, min(first + AT_ONCE, count))
        guests += [uml.launch(f"n{each}", uml_dir, agent=False, wait=False, memory="64M") for each in some]
        for guest in guests[first:]:
            guest.wait_up(600)
    return guests


def play(lab: Lab, tasks: list[dict[str, Any]], inventory: dict[str, Any]) -> tuple[float, ansible.Result]:
    """Return the seconds of a play, and its results."""
    began = time.monotonic()
    book = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    done = ansible.run_playbook(book, inventory, forks=FORKS, home=lab.home, timeout=1800)
    return time.monotonic() - began, done


def answered(done: ansible.Result) -> list[dict[str, Any]]:
    """Return each instance's own result of the last task, be it a host or one of many in a result."""
    last = done.tasks[-1].task
    results = [each.result for each in done.tasks if each.task == last and not each.failed and not each.unreachable]
    if len(results) == 1 and "instances" in results[0]:
        found = results[0]["instances"]
        results = list(found.values()) if isinstance(found, dict) else [each for each in found if each.get("facts")]
    return [each for each in results if not each.get("failed")]


def measure(
    lab: Lab, plays: dict[str, list[dict[str, Any]]], inventory: dict[str, Any], what: str, floor: dict[str, Any]
) -> None:
    """Let the plays take turns, and print the ratio of each to the first, which does nothing on the hosts of floor."""
    first = next(iter(plays))
    taken: dict[str, list[float]] = {name: [] for name in plays}
    lost: dict[str, int] = dict.fromkeys(plays, 0)
    sessions: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for number in range(ROUNDS + 1):
        for name, tasks in plays.items():
            before = lab.sessions()
            seconds, done = play(lab, tasks, floor if name == first else inventory)
            taken[name] += [seconds] if number else []
            sessions[name] = lab.sessions() - before
            sizes[name] = max(len(json.dumps(each.result)) for each in done.tasks)
            wanted = len(inventory) if name == first else len(lab.guests)
            lost[name] += wanted - len(answered(done))
            print(f"  {what} {name}: {seconds:.1f} s, {wanted - len(answered(done))} lost", flush=True)
    middle = {name: statistics.median(each) for name, each in taken.items()}
    least = middle[first]
    columns = ["task", "seconds", "ratio", "instances lost", "ssh sessions", "largest result"]
    rows = [
        [
            f"`{name}`",
            f"{middle[name]:.1f}",
            f"{middle[name] / least:.2f}",
            lost[name],
            sessions[name],
            size(sizes[name]),
        ]
        for name in plays
    ]
    limits.tell(what, limits.table(columns, rows))


def size(count: int) -> str:
    """Return bytes for people."""
    return f"{count / 1024:.1f} KiB"


def inventory(lab: Lab) -> tuple[float, int]:
    """Return the seconds that finding all instances takes, and how many were found."""
    began = time.monotonic()
    done = ansible.run_command(["ansible-inventory", "--list"], lab.found(), home=lab.home).ok()
    listed = json.loads(done.stdout)["_meta"]["hostvars"]
    return time.monotonic() - began, len(set(listed) & {guest.umid for guest in lab.guests})


def summary(lab: Lab) -> None:
    """Return the resources that all of it takes on the VM host."""
    seconds, found = inventory(lab)
    clients = ansible.clients(lab.home)
    guests = limits.use(pid for guest in lab.guests for pid in processes.of_session(guest.pid))
    client = limits.use(pid for each in clients for pid in processes.descendants(each["pid"]))
    sshd = limits.use(processes.descendants(lab.host.sshd.pid))
    rows = [
        ["instances", len(lab.guests)],
        ["memory of all instances", f"{guests.memory / 1024:.0f} MiB"],
        ["memory of one", f"{guests.memory / 1024 / len(lab.guests):.1f} MiB"],
        ["processes of the local client", len(clients)],
        ["memory of the local client", f"{client.memory / 1024:.1f} MiB"],
        ["its descriptors", client.descriptors],
        ["memory of sshd, all its processes", f"{sshd.memory / 1024:.1f} MiB"],
        ["connections that sshd refused", lab.host.log_text().count("drop connection")],
        ["`ansible-inventory --list`", f"{seconds:.1f} s, {found} found"],
    ]
    limits.tell("fleet", limits.table(["", "measured"], rows))


def main() -> None:
    """Print the tables."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    with contextlib.ExitStack() as stack:
        uml_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.")))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.ans.")))
        host = stack.enter_context(vmhost.VmHost(extra_config=["LogLevel VERBOSE"]))
        stack.callback(ansible.close_connections, home)
        began = time.monotonic()
        lab = Lab(uml_dir, host, home, launch(stack, uml_dir, count))
        print(f"{count} instances up in {time.monotonic() - began:.0f} s", flush=True)
        measure(lab, AS_HOSTS, lab.as_hosts(), "hosts", lab.plain())
        measure(lab, IN_BULK, lab.in_bulk(), "bulk", lab.in_bulk())
        summary(lab)
        wait_until(lambda: all(guest.alive() for guest in lab.guests), 1, "every instance still runs")


if __name__ == "__main__":
    main()
