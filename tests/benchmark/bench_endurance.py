# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ten thousand tasks' worth of operations through one local client: what it has in the end that it had not before.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_endurance.py [OPERATIONS]`.
A real playbook over ssh starts the client; the operations go the way of a task, through the same forwarded socket, four
at a time, on real instances; a playbook again closes the run. The figures to quote are what was gained after the first
fifth, in memory and in descriptors, by the client, its helper, sshd and ssh's master.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from support import ansible, limits, processes, uml, vmhost
from support.run_operation import validated

INSTANCES = 4
AT_ONCE = 4  # one worker an instance, so that no two change the same
LOOKS = 10
REFUSED = "no such command"
ROUND: list[tuple[str, dict[str, Any]]] = [
    ("request", {"commands": ["version", "config con1"]}),
    ("instance_facts", {"gather_subset": ["all"]}),
    ("device", {"name": "con5", "channel": "null", "state": "present"}),
    ("proc_info", {"paths": ["meminfo", "cpuinfo"]}),
    ("device", {"name": "con5", "state": "absent"}),
    ("memory", {"size": "60M"}),
    ("stack_info", {"pids": [1]}),
    ("memory", {"size": "max"}),
    ("request", {"commands": [REFUSED]}),  # an error is also a task
    ("instance_info", {"gather_subset": ["min"]}),
]


def ask(address: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Give one order to the client as the channel does, and return its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(300)
        sock.connect(str(address))
        with sock.makefile("rwb") as stream:
            if not stream.readline():
                raise SystemExit("nobody greets: the client, or the way to it, is gone")
            stream.write(json.dumps(order).encode() + b"\n")
            stream.flush()
            answer: dict[str, Any] = {"beat": True}
            while "beat" in answer:
                answer = json.loads(stream.readline())
    return answer


class Endurance:
    """One VM host, its instances, and the way to the client."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.uml_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.")))
        self.home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.ans.")))
        self.python = self.home / "python3"  # by its own name, so that no other run shares the client, and ends it
        self.python.symlink_to("/usr/bin/python3")
        self.host = stack.enter_context(vmhost.VmHost())
        stack.callback(ansible.close_connections, self.home)
        self.guests: list[uml.Instance] = []
        stack.callback(uml.close_all, self.guests)
        self.guests += [uml.launch(f"n{each}", self.uml_dir, agent=False, memory="64M") for each in range(INSTANCES)]

    def play(self) -> int:
        """Run a playbook of several tasks on all instances, and return the process of the client that served it."""
        reach: dict[str, object] = {"ansible_connection": "uml.mconsole.mconsole", "ansible_uml_dir": str(self.uml_dir)}
        reach.update(self.host.inventory_vars(), ansible_python_interpreter=str(self.python))
        inventory = dict.fromkeys((guest.umid for guest in self.guests), reach)
        tasks = [{"uml.mconsole.request": {"command": "version"}}, {"uml.mconsole.instance_facts": {}}] * 5
        ansible.run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], inventory, home=self.home).ok()
        (client,) = ansible.clients(self.home)
        return int(client["pid"])

    @property
    def address(self) -> Path:
        """Return the socket on the controller that leads to the client."""
        (found,) = [path for path in (self.home / "cp").glob("uml-*") if not path.suffix]
        return found

    def operations(self, umid: str, count: int) -> Counter[str]:
        """Do operations on one instance, and count what became of them."""
        seen: Counter[str] = Counter()
        for operation, params in itertools.islice(itertools.cycle(self.orders(umid)), count):
            answer = ask(self.address, {"kind": "operation", "operation": operation, "params": params, "check": False})
            result = answer.get("result") or {"failed": True, "msg": answer["fault"]}
            if bool(result.get("failed")) != (REFUSED in params.get("commands", ())):
                raise SystemExit(f"{operation} {params}: {result}")
            seen["refused" if result.get("failed") else "changed" if result["changed"] else "ok"] += 1
        return seen

    def orders(self, umid: str) -> list[tuple[str, dict[str, Any]]]:
        """Return one round of operations, with arguments as the action plugin hands them on."""
        where = {"uml_dir": str(self.uml_dir), "timeout": 30.0}
        named = [
            (name, {**where, **({} if name == "instance_info" else {"umid": umid}), **params}) for name, params in ROUND
        ]
        return [(name, validated(name, params)) for name, params in named]

    def all_at_once(self, count: int) -> Counter[str]:
        """Do operations on all instances side by side."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            each = count // len(self.guests)
            return sum(pool.map(lambda guest: self.operations(guest.umid, each), self.guests), Counter())

    def parties(self, client: int) -> dict[str, list[int]]:
        """Return the processes by what they are."""
        masters = [each.pid for each in processes.running() if str(self.home / "cp") in command(each.pid)]
        return {
            "local client": [client],
            "its helper": [pid for pid in processes.descendants(client) if pid != client],
            "sshd": processes.descendants(self.host.sshd.pid),
            "ssh's master": masters,
        }


def command(pid: int) -> str:
    """Return the command line of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def steps(lab: Endurance, client: int, count: int) -> Iterator[tuple[int, Counter[str], dict[str, limits.Use]]]:
    """Yield, every so often, how many operations were done, what became of them, and what each party has."""
    for look in range(1, LOOKS + 1):
        seen = lab.all_at_once(count // LOOKS)
        yield look * count // LOOKS, seen, {name: limits.use(pids) for name, pids in lab.parties(client).items()}


def main() -> None:
    """Print the table."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    with contextlib.ExitStack() as stack:
        lab = Endurance(stack)
        client = lab.play()
        began = time.monotonic()
        total: Counter[str] = Counter()
        uses: list[tuple[int, dict[str, limits.Use]]] = []
        for done, seen, use in steps(lab, client, count):
            total += seen
            uses.append((done, use))
            ours = use["local client"]
            print(f"  {done} operations: {ours}", flush=True)
        seconds = time.monotonic() - began
        if lab.play() != client:
            raise SystemExit("another client served the last playbook")
        print(f"{sum(total.values())} operations in {seconds:.0f} s, by one client: {dict(total)}")
        (_warm, first), (_done, last) = uses[LOOKS // 5 - 1], uses[-1]
        rows = [
            [
                name,
                *gain(first[name].own, last[name].own),
                *gain(first[name].descriptors, last[name].descriptors),
            ]
            for name in last
        ]
        columns = [
            "",
            f"kB after {uses[LOOKS // 5 - 1][0]}",
            f"kB after {uses[-1][0]}",
            "gained",
            "descriptors",
            "in the end",
            "gained",
        ]
        limits.tell("endurance", limits.table(columns, rows))


def gain(first: int, last: int) -> list[str]:
    """Return two figures and their difference."""
    return [str(first), str(last), f"{last - first:+d}"]


if __name__ == "__main__":
    main()
