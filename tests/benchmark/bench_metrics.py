# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What metrics cost: the time of a scrape, and the collector's processor time and memory, with many real instances.

Run it with the project's Python, from the checkout: `.venv/bin/python tests/benchmark/bench_metrics.py [INSTANCES]
[SCRAPES]` (150 and 20). A scrape comes every 15 seconds, as Prometheus does it. The limits are those of 150 instances:
a scrape of at most 1 s, at most 5 % of one processor and 40 MB.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / "tests" / "benchmark"), str(CHECKOUT / ".cache" / "tree")]

from bench_collector import processor_time, resident

from support import kernels, uml
from support.events import Collecting, collecting
from support.wait import wait_until

INTERVAL = 15.0
AT_ONCE = 4  # instances that boot at the same time
ADDRESS = "127.0.0.1:9750"
LIMITS = (1.0, 0.05, 40.0)  # seconds, share of a processor, MB


def scrape() -> tuple[float, str]:
    """Return the seconds that a scrape took, and its text."""
    began = time.monotonic()
    with urllib.request.urlopen(f"http://{ADDRESS}/metrics", timeout=30) as answer:
        text = str(answer.read().decode())
    return time.monotonic() - began, text


def launch_all(collect: Collecting, count: int) -> list[uml.Instance]:
    """Start instances, a few at a time."""
    found: list[uml.Instance] = []
    for number in range(count):
        name, words = f"n{number}", {"memory": "64M", "agent": False, "wait": False}
        found.append(uml.launch(name, collect.uml_dir, kernel=kernels.path("7.2"), notify=collect.notify, **words))
        if number % AT_ONCE == AT_ONCE - 1:
            for instance in found[-AT_ONCE:]:
                instance.wait_up(300)
    for instance in found:
        instance.wait_up(300)
    return found


def answered(count: int) -> bool:
    """Return whether the guests' own numbers are among the metrics of all instances."""
    return scrape()[1].count("\numl_mconsole_instance_memory_size_bytes{") == count


def measure(pid: int, scrapes: int) -> tuple[list[float], float]:
    """Return the times of scrapes, and the collector's share of one processor meanwhile."""
    times = []
    began, used = time.monotonic(), processor_time(pid)
    for number in range(scrapes):
        times.append(scrape()[0])
        time.sleep(max(began + (number + 1) * INTERVAL - time.monotonic(), 0))
    return times, (processor_time(pid) - used) / (time.monotonic() - began)


def main() -> None:
    """Print the figures; the status is 1 when one is over its limit."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the instances end with us
    count, scrapes = (int(word) for word in (*sys.argv[1:3], *("150", "20")[len(sys.argv) - 1 :]))
    instances: list[uml.Instance] = []
    with tempfile.TemporaryDirectory(prefix="uml.") as folder, collecting(Path(folder)) as collect:
        pid = collect(metrics_listen=ADDRESS)["pid"]
        try:
            instances = launch_all(collect, count)
            wait_until(lambda: answered(count), 120, "all guests have answered")
            times, share = measure(pid, scrapes)
            size, memory = len(scrape()[1]), resident(pid) / 1024
        finally:
            uml.close_all(instances)
    print(f"{count} instances, {scrapes} scrapes of {size / 1024:.0f} KiB, one every {INTERVAL:.0f} s:")
    print(f"scrape {statistics.median(times) * 1000:.0f} ms (at most {max(times) * 1000:.0f} ms)")
    print(f"collector {share:.1%} of a processor, {memory:.1f} MB")
    sys.exit(any(value > limit for value, limit in zip((max(times), share, memory), LIMITS, strict=True)))


if __name__ == "__main__":
    main()
