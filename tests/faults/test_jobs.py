# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many jobs on three kernels, some of which end badly on purpose: each verdict is right, and nothing is left.

There are 8 jobs, of which each second ends badly; with ``UML_FAULTS=all`` there are 100, of which each tenth does.
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support import guest, kernels, processes
from support.run_operation import operate
from support.wait import wait_until

COUNT, EACH = (100, 10) if os.environ.get("UML_FAULTS") == "all" else (8, 2)
AT_ONCE = 4
BAD = ("panic", "hang", "out_of_memory", "timeout")
COMMANDS = {
    "panic": "echo c >/proc/sysrq-trigger; sleep 300",
    "hang": "echo ready >/dev/console; sleep 300",
    "out_of_memory": "tail /dev/zero",
    "timeout": "sleep 300",
}


class Job(NamedTuple):
    """One job: its number, its kernel, and how it is to end."""

    number: int
    series: str
    verdict: str

    @property
    def umid(self) -> str:
        return f"job-{self.number}"


def jobs() -> list[Job]:
    """Return all jobs; each that ends badly does so in another way than the one before."""
    bad = {number: BAD[number // EACH % len(BAD)] for number in range(EACH // 2, COUNT, EACH)}
    series = kernels.wanted()
    return [Job(number, series[number % len(series)], bad.get(number, "ended")) for number in range(COUNT)]


def stop_once_ready(job: Job) -> None:
    """Stop the processes of an instance once its command runs, so that its kernel does not answer."""

    def log() -> Path | None:
        found = [path for path in Path("/tmp").glob("uml-job.*") if (path / "u" / job.umid / "pid").exists()]
        return found[0] if found and "ready" in (found[0] / "console.log").read_text(errors="replace") else None

    folder = wait_until(log, 120, f"{job.umid} is ready")
    os.kill(int((folder / "u" / job.umid / "pid").read_text()), signal.SIGSTOP)


def run(job: Job, image: Path) -> dict[str, Any]:
    """Return the result of a job; each third has the image as its root, which all of them share."""
    if job.verdict == "hang":
        threading.Thread(target=stop_once_ready, args=(job,), daemon=True).start()
    return operate(
        "job",
        umid=job.umid,
        kernel=str(kernels.path(job.series)),
        root={"image": str(image)} if job.number % 3 == 2 else {"initrd": str(guest.initrd())},
        memory="128M",
        kernel_args=["line=ttyS1"],
        command=COMMANDS.get(job.verdict, f"echo {job.number}; exit {job.number % 3}"),
        boot_timeout=180,
        time_limit=20 if job.verdict in ("timeout", "hang") else 180,
    )


@pytest.mark.timeout(3600)
def test_each_verdict_is_right_and_nothing_is_left(tmp_path: Path) -> None:
    folders = set(Path("/tmp").glob("uml-job.*"))
    mailboxes = set(Path("/tmp").glob(".uml-guest-*"))
    image = guest.copy_root_image(tmp_path / "root.img")
    before = image.read_bytes()
    wanted = jobs()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = dict(zip(wanted, pool.map(lambda job: run(job, image), wanted), strict=True))
    assert {job: result["verdict"] for job, result in results.items()} == {job: job.verdict for job in wanted}
    assert sum(job.verdict != "ended" for job in wanted) == COUNT // EACH
    for job, result in results.items():
        if job.verdict == "ended":
            assert (result["stdout"], result["rc"]) == (f"{job.number}\n", job.number % 3), (job, result)
        assert bool(result.get("failed")) == (job.verdict != "ended" or job.number % 3 != 0)
    assert set(Path("/tmp").glob("uml-job.*")) == folders
    wait_until(lambda: set(Path("/tmp").glob(".uml-guest-*")) <= mailboxes, 30, "the folders that guests saw are gone")
    assert not processes.with_text("umid=job-")
    assert image.read_bytes() == before
    assert list(tmp_path.iterdir()) == [image]
