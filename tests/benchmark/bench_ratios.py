# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cost of plays of this collection, as ratios to plays that do nothing and to plays that do the same without it.

`.venv/bin/python tests/benchmark/bench_ratios.py [GROUP...]`; the groups are hosts, bulk, many, absent (default: all).
The floor of plays on instances is `debug` over plain ssh, which uses nothing of this collection; the floor of tasks on
a VM host is `command: true`. The plays of a group take turns, so that a noisy machine is noisy for all, and a ratio is
that of two medians of one run. UML_ROUNDS is the number of rounds (5), UML_KERNEL names the kernel. With
UML_WRITE_DOCS=1 the table of each group goes to docs/limits.md, and each ratio to tests/benchmark/history.csv.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import ansible, limits, uml, vmhost
from support.paths import CHECKOUT

HISTORY = CHECKOUT / "tests" / "benchmark" / "history.csv"
ROUNDS = int(os.environ.get("UML_ROUNDS", "5"))
CONSOLE = "uml.mconsole.mconsole"
AT_ONCE = 10  # instances that boot side by side
ALL = {"umids": ["*"], "uml_dir": "{{ uml_dir }}"}
LINE = {"name": "con5", "channel": "null"}
Tasks = list[dict[str, Any]]


@dataclass
class Lab:
    """Instances on one VM host, and a home for the runs of Ansible."""

    folder: Path
    host: vmhost.VmHost
    home: Path
    guests: list[uml.Instance]

    def inventory(self, kind: str) -> dict[str, Any]:
        """Return the instances as hosts (`console`), as many hosts of plain ssh (`ssh`), or the VM host (`bulk`)."""
        reach = {**self.host.inventory_vars(), "ansible_pipelining": True}
        uml_dir = str(self.folder / ".uml")
        if kind == "bulk":
            return {"here": {**reach, "uml_dir": uml_dir}}
        if kind == "console":
            reach |= {"ansible_connection": CONSOLE, "ansible_uml_dir": uml_dir}
        return {guest.umid: reach for guest in self.guests}


@dataclass
class Play:
    """One play: its tasks, its kind of inventory, and how it runs."""

    tasks: Tasks
    inventory: str
    forks: int = 20
    gather: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


class Ratio(NamedTuple):
    """A row of the table: one play over another, and the bound that was set for it."""

    what: str
    play: str
    over: str
    bound: str


def classic(home: Path) -> Tasks:
    """Return the task that one would write without this collection."""
    return [
        {"ansible.builtin.command": "uml_mconsole {{ inventory_hostname }} version", "environment": {"HOME": str(home)}}
    ]


def mitogen() -> dict[str, str]:
    """Return the environment that makes mitogen run a play."""
    import ansible_mitogen

    plugins = Path(ansible_mitogen.__file__).parent / "plugins" / "strategy"
    strategy = {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"}
    return {**strategy, "ANSIBLE_HOST_KEY_CHECKING": "false"}  # it goes by this, and not by the options of ssh


NOTHING = {"ansible.builtin.debug": {"msg": "version"}}
ASK = {"uml.mconsole.request": {"command": "version"}}


def hosts(lab: Lab) -> dict[str, Play]:
    """Return the plays on instances as hosts."""
    five = classic(lab.folder) * 5
    return {
        "debug": Play([NOTHING] * 5, "ssh"),
        "request": Play([ASK] * 5, "console"),
        "device": Play([{"uml.mconsole.device": LINE}] * 5, "console"),
        "command, 5 forks": Play(five, "ssh", forks=5),
        "mitogen": Play(five, "ssh", environment=mitogen()),
        "debug, one task": Play([NOTHING], "ssh"),
        "gather_facts": Play([], "console", gather=True),
    }


def bulk(lab: Lab) -> dict[str, Play]:
    """Return the plays on the VM host."""
    both = [
        {"uml.mconsole.device": {**ALL, **LINE}},
        {"uml.mconsole.device": {**ALL, "name": "con5", "state": "absent"}},
    ]
    true: dict[str, Any] = {"ansible.builtin.command": "true"}
    return {
        "command: true": Play([true], "bulk"),
        "command: true, twice": Play([true] * 2, "bulk"),
        "instance_facts": Play([{"uml.mconsole.instance_facts": ALL}], "bulk"),
        "instance_info": Play(
            [{"uml.mconsole.instance_info": {"uml_dir": "{{ uml_dir }}", "gather_subset": ["min"]}}], "bulk"
        ),
        "device, set and taken away": Play(both, "bulk"),
    }


def absent(lab: Lab) -> dict[str, Play]:
    """Return plays that use nothing of ours, with and without the collection."""
    nowhere = {"ANSIBLE_COLLECTIONS_PATH": str(lab.home)}
    return {
        "debug, without the collection": Play([NOTHING] * 5, "ssh", environment=nowhere),
        "debug, with the collection": Play([NOTHING] * 5, "ssh"),
    }


GROUPS = {"hosts": (20, hosts), "bulk": (20, bulk), "many": (150, bulk), "absent": (20, absent)}
RATIOS = {
    "hosts": [
        Ratio("five tasks on 20 instances, over `debug` by plain ssh", "request", "debug", "1.25"),
        Ratio("five tasks with `device`, over the same", "device", "debug", ""),
        Ratio("`command: uml_mconsole` with 5 forks, over our five tasks", "command, 5 forks", "request", ">= 6.5"),
        Ratio("the same with mitogen, over our five tasks", "mitogen", "request", ">= 2.4"),
        Ratio("`gather_facts` of 20 instances, over `debug`", "gather_facts", "debug, one task", "1.5"),
    ],
    "bulk": [
        Ratio("facts of 20 instances in one task, over `command: true`", "instance_facts", "command: true", "0.9"),
        Ratio("`instance_info` of 20, over the same", "instance_info", "command: true", ""),
        Ratio("a device of 20 set and taken away", "device, set and taken away", "command: true, twice", ""),
    ],
    "many": [
        Ratio("facts of 150 instances in one task, over `command: true`", "instance_facts", "command: true", "1.3"),
        Ratio("`instance_info` of 150, over the same", "instance_info", "command: true", ""),
        Ratio("a device of 150 set and taken away", "device, set and taken away", "command: true, twice", "1.4"),
    ],
    "absent": [
        Ratio(
            "a play that uses nothing of ours, with the collection over without",
            "debug, with the collection",
            "debug, without the collection",
            "1.00",
        )
    ],
}


@contextlib.contextmanager
def laboratory(count: int) -> Iterator[Lab]:
    """Provide that many instances on one VM host."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.")))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.ans.")))
        host = stack.enter_context(vmhost.VmHost())
        stack.callback(ansible.close_connections, home)
        lab = Lab(folder, host, home, [])
        stack.callback(lambda: uml.close_all(lab.guests))
        for first in range(0, count, AT_ONCE):
            names = [f"n{number}" for number in range(first, min(first + AT_ONCE, count))]
            new = [uml.launch(name, folder / ".uml", agent=False, wait=False, memory="64M") for name in names]
            lab.guests += new
            for guest in new:
                guest.wait_up(600)
        yield lab


def seconds(lab: Lab, name: str, play: Play) -> float:
    """Return the wall seconds of one play; one that loses hosts is reported, because it does less than it should."""
    book = [{"hosts": "all", "gather_facts": play.gather, "tasks": play.tasks}]
    began = time.monotonic()
    done = ansible.run_playbook(
        book, lab.inventory(play.inventory), forks=play.forks, env=play.environment, home=lab.home, timeout=1800
    )
    taken = time.monotonic() - began
    lost = {task.host for task in done.tasks if task.failed or task.unreachable}
    print(f"  {name:30} {taken:7.2f} s{f', {len(lost)} hosts lost' if lost else ''}", flush=True)
    return taken


def measure(group: str) -> list[list[str]]:
    """Return the rows of a group: what, ratio, bound, seconds of both."""
    count, plays_of = GROUPS[group]
    with laboratory(count) as lab:
        plays = plays_of(lab)
        taken: dict[str, list[float]] = {name: [] for name in plays}
        for number in range(ROUNDS + 1):  # the first warms up
            for name, play in plays.items():
                found = seconds(lab, name, play)
                taken[name] += [found] if number else []
    middle = {name: statistics.median(found) for name, found in taken.items()}
    return [
        [
            ratio.what,
            f"{middle[ratio.play] / middle[ratio.over]:.2f}",
            ratio.bound,
            f"{middle[ratio.play]:.2f}",
            f"{middle[ratio.over]:.2f}",
        ]
        for ratio in RATIOS[group]
    ]


def remember(rows: list[list[str]]) -> None:
    """Add a line for each ratio to the history."""
    commit = subprocess.check_output(["git", "-C", CHECKOUT, "rev-parse", "--short", "HEAD"], text=True).strip()
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    with HISTORY.open("a") as stream:
        stream.writelines(f'{day},{commit},"{row[0]}",{row[1]}\n' for row in rows)


def main() -> None:
    """Print a table for each group."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    for group in sys.argv[1:] or GROUPS:
        rows = measure(group)
        limits.tell(f"ratios {group}", limits.table(["what", "ratio", "bound", "seconds", "over seconds"], rows))
        if os.environ.get("UML_WRITE_DOCS"):
            remember(rows)


if __name__ == "__main__":
    main()
