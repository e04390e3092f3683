# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cost of tasks inside a guest beside the same tasks over ssh to the VM host, and how fast data gets in and out.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_guest.py [SERIES...]`.
A task's seconds are the difference of two plays, of one task and of many, so the start of Ansible is not in them. The
plays take turns; the figures are medians. UML_ROUNDS is the number of rounds (5; 0 measures the data alone), and
UML_LINE_MB is how much goes over the line (5). With UML_WRITE_DOCS=1 the tables go to docs/limits.md.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".cache" / "tree")]

from support import ansible, kernels, limits, uml, vmhost

ROUNDS = int(os.environ.get("UML_ROUNDS", "5"))
TASKS = 20
SIZES = {"hostfs": 50_000_000, "disk": 50_000_000, "line": int(os.environ.get("UML_LINE_MB", "5")) * 1_000_000}
WORDS = ("ssl1=pts", "line=ttyS1", "usr=host")
KINDS: dict[str, dict[str, Any]] = {
    "raw": {"ansible.builtin.raw": "true"},
    "command": {"ansible.builtin.command": "true"},
}


class Lab(NamedTuple):
    """One guest of a VM host, and a home for the runs of Ansible."""

    host: vmhost.VmHost
    home: Path
    guest: uml.Instance

    def inventory(self, connection: str, **variables: Any) -> dict[str, Any]:
        """Return the guest's inside as a host (`guest`), or the VM host (`ssh`)."""
        found = {**self.host.inventory_vars(), "ansible_pipelining": True}
        found["ansible_python_interpreter"] = "/usr/bin/python3"
        if connection == "guest":
            found |= {"ansible_connection": "uml.mconsole.guest", "ansible_uml_dir": str(self.guest.uml_dir)}
        return {self.guest.umid: {**found, **variables}}

    def seconds(self, tasks: list[dict[str, Any]], inventory: dict[str, Any]) -> float:
        """Return the wall seconds of one play."""
        book = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
        began = time.monotonic()
        ansible.run_playbook(book, inventory, home=self.home, timeout=3600).ok()
        return time.monotonic() - began


@contextlib.contextmanager
def laboratory(series: str) -> Iterator[Lab]:
    """Provide a guest on a VM host."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.")))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.ans.")))
        host = stack.enter_context(vmhost.VmHost())
        stack.callback(ansible.close_connections, home)
        guest = uml.launch("inside", folder, *WORDS, kernel=kernels.path(series), memory="384M")
        stack.callback(guest.close)
        yield Lab(host, home, guest)


def tasks_of(lab: Lab, series: str) -> list[list[str]]:
    """Return a row for each kind of task: seconds in the guest, seconds over ssh, their ratio."""
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS + 1):  # the first warms up
        for kind, task in KINDS.items():
            for connection in ("guest", "ssh"):
                inventory = lab.inventory(connection)
                one, many = (lab.seconds([task] * count, inventory) for count in (1, TASKS + 1))
                taken.setdefault((kind, connection), []).extend([(many - one) / TASKS] * bool(number))
    middle = {key: statistics.median(found) for key, found in taken.items()}
    rows = []
    for kind in KINDS:
        inside, outside = middle[kind, "guest"], middle[kind, "ssh"]
        rows.append([series, f"`{kind}`", f"{inside:.3f}", f"{outside:.3f}", f"{inside / outside:.2f}"])
    return rows


def rates_of(lab: Lab, series: str) -> list[list[str]]:
    """Return a row for each way: MB/s into the guest and out of it, of the play's whole time."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="uml.rate.") as folder:
        for way, size in SIZES.items():
            source, target = Path(folder) / f"{way}.in", Path(folder) / f"{way}.out"
            source.write_bytes(os.urandom(size))
            inventory = lab.inventory("guest", ansible_uml_transfer=way)
            copy = {"ansible.builtin.copy": {"src": str(source), "dest": "/tmp/moved"}}
            fetch = {"ansible.builtin.fetch": {"src": "/tmp/moved", "dest": str(target), "flat": True}}
            lab.seconds([KINDS["raw"]], inventory)
            into, out = lab.seconds([copy], inventory), lab.seconds([fetch], inventory)
            if target.read_bytes() != source.read_bytes():
                raise SystemExit(f"{way}: what came back is not what was sent")
            lab.guest.guest("rm /tmp/moved")
            rows.append([series, way, f"{size / 1e6:.0f}", f"{size / into / 1e6:.2f}", f"{size / out / 1e6:.2f}"])
        rows.append(by_hand(series, Path(folder)))
    return rows


def by_hand(series: str, folder: Path) -> list[str]:
    """Return the row of `cp` on the VM host."""
    (folder / "plain").write_bytes(os.urandom(SIZES["hostfs"]))
    began = time.monotonic()
    subprocess.run(["cp", folder / "plain", folder / "copied"], check=True)
    rate = f"{SIZES['hostfs'] / (time.monotonic() - began) / 1e6:.0f}"
    return [series, "`cp` on the VM host", f"{SIZES['hostfs'] / 1e6:.0f}", rate, rate]


def main() -> None:
    """Print both tables."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    tasks: list[list[str]] = []
    rates: list[list[str]] = []
    for series in sys.argv[1:] or kernels.SERIES:
        with laboratory(series) as lab:
            tasks += tasks_of(lab, series) if ROUNDS else []
            rates += rates_of(lab, series)
    limits.tell("guest tasks", limits.table(["kernel", "task", "s in the guest", "s over ssh", "ratio"], tasks))
    limits.tell("guest data", limits.table(["kernel", "way", "MB", "MB/s in", "MB/s out"], rates))


if __name__ == "__main__":
    main()
