# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit trail costs: an operation with and without its entry, in turns, and that as a share of one task.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_trail.py`. The operation is
the shortest that changes something (a line in the kernel's log), on a real kernel; a collector takes the entry.
A task is the time that one more of them takes in a play, over the connection to the instance. The status is 1 when the
entry costs 5 % of a task or more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from ansible_collections.uml.mconsole.plugins.module_utils._operations import audit
from support import ansible, uml
from support.events import collecting
from support.run_operation import operate

ROUNDS = 20
OPERATIONS = 50
FEW, MANY = 5, 45  # tasks of a play
PLAYS = 5
LIMIT = 0.05


def seconds_of_operation(params: dict[str, Any]) -> float:
    """Return the seconds of one operation, in a row of them."""
    began = time.perf_counter()
    for _operation in range(OPERATIONS):
        operate("kernel_log", **params, text="x")
    return (time.perf_counter() - began) / OPERATIONS


def cost(params: dict[str, Any]) -> tuple[float, float]:
    """Return the medians of the seconds without and with the entry."""
    without, with_entry = [], []
    for _round in range(ROUNDS):
        with mock.patch.object(audit, "record"):
            without.append(seconds_of_operation(params))
        with_entry.append(seconds_of_operation(params))
    return statistics.median(without), statistics.median(with_entry)


def seconds_of_play(instance: uml.Instance, tasks: int, home: Path) -> float:
    """Return the seconds of a play."""
    variables = {
        "ansible_connection": "uml.mconsole.mconsole",
        "ansible_uml_transport": "local",
        "ansible_uml_dir": str(instance.uml_dir),
    }
    listed = [{"uml.mconsole.kernel_log": {"text": "x"}}] * tasks
    plays = [{"hosts": "all", "gather_facts": False, "tasks": listed}]
    began = time.perf_counter()
    ansible.run_playbook(plays, {instance.umid: variables}, home=home).ok()
    return time.perf_counter() - began


def seconds_of_task(instance: uml.Instance, home: Path) -> float:
    """Return the median of the seconds of one more task in a play."""
    pairs = [(seconds_of_play(instance, FEW, home), seconds_of_play(instance, MANY, home)) for _play in range(PLAYS)]
    return statistics.median((many - few) / (MANY - FEW) for few, many in pairs)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="uml.") as folder, collecting(Path(folder)) as collect:
        collect(event_rate=0)
        instance = uml.launch("trail", collect.uml_dir, notify=collect.notify, agent=False)
        try:
            params = {"umid": instance.umid, "uml_dir": str(instance.uml_dir)}
            without, with_entry = cost(params)
            written = len(collect.events("operation"))
            home = Path(folder) / "home"
            home.mkdir()
            task = seconds_of_task(instance, home)
        finally:
            instance.close()
    if written < ROUNDS * OPERATIONS:
        raise SystemExit(f"the journal has {written} entries of {ROUNDS * OPERATIONS}")
    entry = with_entry - without
    print(f"operation without entry {without * 1e3:.2f} ms, with entry {with_entry * 1e3:.2f} ms (medians of {ROUNDS})")
    print(f"task {task * 1e3:.1f} ms, entry {entry * 1e3:.2f} ms: {entry / task:.1%} (less than {LIMIT:.0%})")
    sys.exit(entry >= LIMIT * task)


if __name__ == "__main__":
    main()
