# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a thousand instances on four VM hosts in one task.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_thousand.py [INSTANCES]`.
Memory ends before a thousand kernels, so the consoles are fakes: real sockets, each in a process of its own that
answers as a kernel does. The controller, the four sshd, the clients and the fakes share one machine. With
UML_WRITE_DOCS=1 the table goes to docs/limits.md.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import ansible, limits, vmhost
from support.fake import FakeConsole

VM_HOSTS = 4
ROUNDS = 3
FACTS = {"uml.mconsole.instance_facts": {"umids": ["*"], "uml_dir": "{{ uml_dir }}"}}


def serve(uml_dir: Path, umid: str, ready: Barrier, end: Event) -> None:
    """Be one instance until the end."""
    with FakeConsole(uml_dir, umid):
        ready.wait()
        end.wait()


@contextlib.contextmanager
def instances(folder: Path, count: int) -> Iterator[None]:
    """Provide that many instances in each of the directories vm1 to vm4, each a process of its own."""
    context = multiprocessing.get_context("fork")
    places = [(folder / f"vm{host + 1}", f"n{number}") for host in range(VM_HOSTS) for number in range(count)]
    ready, end = context.Barrier(len(places) + 1), context.Event()
    servers = [context.Process(target=serve, args=(*place, ready, end)) for place in places]
    for server in servers:
        server.start()
    try:
        ready.wait(300)
        yield
    finally:
        end.set()
        for server in servers:
            server.join()


def seconds(inventory: dict[str, Any], home: Path, count: int) -> float:
    """Return the seconds of the play, and prove that it returned facts of all instances."""
    book = [{"hosts": "all", "gather_facts": False, "tasks": [FACTS]}]
    began = time.monotonic()
    done = ansible.run_playbook(book, inventory, home=home, timeout=600).ok()
    taken = time.monotonic() - began
    found = [facts for task in done.tasks for facts in task.result["instances"].values()]
    if len(found) != count or any(row.get("failed") for row in found):
        raise AssertionError(f"{len(found)} of {count} instances have facts: {done}")
    return taken


def measure(count: int) -> list[object]:
    """Return the row of that many instances: warmed up, then the median."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.")))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.ans.")))
        stack.enter_context(instances(folder, count // VM_HOSTS))
        hosts = {f"vm{number + 1}": stack.enter_context(vmhost.VmHost()) for number in range(VM_HOSTS)}
        stack.callback(ansible.close_connections, home)
        inventory = {name: {**host.inventory_vars(), "uml_dir": str(folder / name)} for name, host in hosts.items()}
        taken = [seconds(inventory, home, count) for _round in range(ROUNDS + 1)][1:]
    middle = statistics.median(taken)
    return [count, f"{middle:.1f}", f"{1000 * middle / count:.0f}"]


def main() -> None:
    """Print the table."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows = [measure(count) for count in (most // 4 // VM_HOSTS * VM_HOSTS, most // 2 // VM_HOSTS * VM_HOSTS, most)]
    limits.tell("thousand", limits.table(["instances", "seconds", "milliseconds for each"], rows))


if __name__ == "__main__":
    main()
