# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one task costs that asks a VM host for all its instances and their facts, beside a task that does nothing.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_info.py [ROUNDS]`.
Twenty real instances; both tasks go over plain ssh, pipelined, each over a master that is already there. The figure to
quote is the ratio of the medians of what the tasks themselves took.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import ansible, uml, vmhost

INSTANCES = 20


def play(rounds: int, uml_dir: str) -> list[dict[str, Any]]:
    """Return a play in which the two tasks take turns."""
    tasks = (
        {"name": "nothing", "ansible.builtin.command": "true"},
        {"name": "facts", "uml.mconsole.instance_info": {"uml_dir": uml_dir, "gather_subset": ["min"]}},
    )
    return [{"hosts": "all", "gather_facts": False, "tasks": [*tasks] * (rounds + 1)}]


def measure(rounds: int) -> dict[str, list[float]]:
    """Return {task: seconds of each round}, without the round that warms up."""
    with contextlib.ExitStack() as stack:
        uml_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.")))
        host = stack.enter_context(vmhost.VmHost())
        guests = [uml.launch(f"n{each}", uml_dir, agent=False, wait=False) for each in range(INSTANCES)]
        stack.callback(uml.close_all, guests)
        for guest in guests:
            guest.wait_up(60)
        variables = {
            **host.inventory_vars(),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True,
        }
        done = ansible.run_playbook(play(rounds, str(uml_dir)), {"here": variables}).ok()
        (last,) = [task.result["instances"] for task in done.tasks if task.task == "facts"][-1:]
        missing = [each["umid"] for each in last if not each.get("facts")]
        if len(last) != INSTANCES or missing:
            raise SystemExit(f"{len(last)} of {INSTANCES} instances, without facts: {missing}")
        taken: dict[str, list[float]] = {"nothing": [], "facts": []}
        for task in done.tasks[2:]:
            taken[task.task].append(task.duration)
        return taken


def main() -> None:
    """Print the ratio."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    taken = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
    print(f"nothing {middle['nothing']:.3f} s, facts of {INSTANCES} instances {middle['facts']:.3f} s (medians)")
    print(f"facts / nothing    {middle['facts'] / middle['nothing']:.2f}   (at most 1.5)")


if __name__ == "__main__":
    main()
