# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a real collector, about real kernels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import kernels, uml
from support.events import Collecting, collecting
from support.wait import wait_until

Launch = Callable[..., uml.Instance]


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that is not started yet."""
    with collecting(uml_dir) as found:
        yield found


def values(path: Path) -> dict[str, float]:
    """Return {series: value} of the file."""
    lines = [line.rpartition(" ") for line in path.read_text().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _space, value in lines}


def test_every_kernel_has_its_numbers_until_it_ends(collect: Collecting, launch_guest: Launch) -> None:
    path = collect.uml_dir / "uml.prom"
    wanted = {"metrics_file": str(path)}
    guests = {name: launch_guest(f"k{name.replace('.', '-')}", kernel=kernels.path(name)) for name in kernels.wanted()}
    assert collect(**wanted)["changed"]
    assert not collect()["changed"]  # it keeps its file
    label = {name: f'{{umid="{guest.umid}",uml_dir="{collect.uml_dir}"}}' for name, guest in guests.items()}

    def number(name: str, kernel: str) -> float | None:
        return values(path).get(f"uml_mconsole_instance_{name}{label[kernel]}")

    wait_until(lambda: all(number("up", name) == 1 for name in guests), 40, path.read_text)
    for name in guests:
        assert number("boots_total", name) == 1
        assert number("paused", name) == 0
        assert 0.01 < (number("cpu_seconds_total", name) or 0) < 600
        assert 8 << 20 < (number("resident_memory_bytes", name) or 0) < 1 << 30
        assert (number("processes", name) or 0) >= 1
        assert 0 < time.time() - (number("start_time_seconds", name) or 0) < 600
        assert (number("console_log_bytes", name) or 0) > 1000
    first, *_others = guests
    with contextlib.suppress(TimeoutError):
        guests[first].request("sysrq c", timeout=0.2)
    guests[first].wait_dead()
    wait_until(lambda: number("up", first) is None, 40, path.read_text)
    assert values(path)['uml_mconsole_events_total{type="crashed",severity="critical"}'] == 1
    collect("stopped")
    assert not path.exists()
