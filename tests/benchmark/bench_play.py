# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a play over many instances as inventory hosts costs, beside the plays that one would write without us.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_play.py [ROUNDS]`.
Twenty real instances behind one sshd with default limits, five tasks, twenty forks. The plays take turns, so that a
noisy machine is noisy for all; the figures to quote are the ratios of the medians.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import ansible, uml, vmhost

INSTANCES = 20
TASKS = 5
FORKS = 20
CONSOLE = "uml.mconsole.mconsole"


def mitogen() -> dict[str, str]:
    """Return the environment that makes mitogen run a play."""
    import ansible_mitogen

    plugins = Path(ansible_mitogen.__file__).parent / "plugins" / "strategy"
    strategy = {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"}
    return {**strategy, "ANSIBLE_HOST_KEY_CHECKING": "false"}  # it goes by this, and not by the options of ssh


def plays(home: str) -> dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]]:
    """Return {name: (task, host variables, environment)} of the plays that take turns."""
    classic = {
        "ansible.builtin.command": "uml_mconsole {{ inventory_hostname }} version",
        "environment": {"HOME": home},
    }
    over_ssh = {"ansible_python_interpreter": "/usr/bin/python3"}
    console = {"ansible_connection": CONSOLE, "ansible_uml_dir": f"{home}/.uml"}
    return {
        "debug": ({"ansible.builtin.debug": {"msg": "version"}}, console, {}),
        "console": ({"uml.mconsole.request": {"commands": ["version"]}}, console, {}),
        "command": (classic, over_ssh, {}),
        "mitogen": (classic, over_ssh, mitogen()),
    }


def run(name: str, play: tuple[dict[str, Any], dict[str, Any], dict[str, str]], host: Any, home: Path) -> float:
    """Return the wall seconds of one play, telling which hosts it lost."""
    task, variables, environment = play
    shared = {**host.inventory_vars(), **variables}
    book = [{"hosts": "all", "gather_facts": False, "tasks": [task] * TASKS}]
    begun = time.monotonic()
    done = ansible.run_playbook(
        book, {f"n{number}": shared for number in range(INSTANCES)}, forks=FORKS, env=environment, home=home
    )
    seconds = time.monotonic() - begun
    lost = {each.host for each in done.tasks if each.failed or each.unreachable}
    print(f"  {name:8} {seconds:6.2f} s{f', {len(lost)} of {INSTANCES} hosts lost' if lost else ''}", flush=True)
    return seconds


def measure(rounds: int) -> dict[str, list[float]]:
    """Return {play: seconds of each round}, after one round that warms up."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="uml."))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml.ans.")))
        host = stack.enter_context(vmhost.VmHost())
        stack.callback(ansible.close_connections, folder)
        guests = [uml.launch(f"n{each}", Path(home) / ".uml", agent=False, wait=False) for each in range(INSTANCES)]
        stack.callback(uml.close_all, guests)
        for guest in guests:
            guest.wait_up(60)
        taken: dict[str, list[float]] = {name: [] for name in plays(home)}
        for number in range(rounds + 1):
            print(f"round {number}" if number else "warm-up")
            for name, play in plays(home).items():
                seconds = run(name, play, host, folder)
                taken[name] += [seconds] if number else []
        return taken


def main() -> None:
    """Print the ratios."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    taken = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
    print(f"\n{TASKS} tasks, {INSTANCES} instances, {FORKS} forks, medians of {len(taken['debug'])} rounds")
    print(f"console / debug    {middle['console'] / middle['debug']:.2f}   (at most 1.4)")
    print(f"command / console  {middle['command'] / middle['console']:.2f}   (at least 5)")
    print(f"mitogen / console  {middle['mitogen'] / middle['console']:.2f}   (at least 1.7)")


if __name__ == "__main__":
    main()
