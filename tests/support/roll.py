# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet that the playbook rolling_restart gives another kernel: how each instance is, and what must be so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from support import ansible, guest, kernels, mconsole, processes
from support.run_operation import operate
from support.vmhost import VmHost
from support.wait import wait_until

OLD, NEW = kernels.SERIES[0], kernels.SERIES[-1]
BOOT_ID = "proc sys/kernel/random/boot_id"


class State(NamedTuple):
    """How an instance runs."""

    boot_id: str
    kernel: str
    words: tuple[str, ...]


States = Mapping[str, State]


class Fleet:
    """Instances that run on one VM host with an old kernel."""

    def __init__(self, vm_host: VmHost, uml_dir: Path, home: Path, umids: Sequence[str]) -> None:
        self.uml_dir, self.home, self.umids = uml_dir, home, list(umids)
        self._reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(uml_dir)}
        self.broken = uml_dir / "broken"  # a kernel of which the end is missing
        self.broken.write_bytes(kernels.path(NEW).read_bytes()[:200_000])
        self.broken.chmod(0o755)

    def states(self) -> States:
        """Return how each instance runs, as soon as all do."""
        return {umid: wait_until(lambda umid=umid: self.state(umid), 60, f"{umid} runs") for umid in self.umids}

    def state(self, umid: str) -> State | None:
        """Return how an instance runs, or None if it does not."""
        with contextlib.suppress(OSError):
            err, boot_id = mconsole.request(self.uml_dir / umid / "mconsole", BOOT_ID)
            words = Path(f"/proc/{self.pid(umid)}/cmdline").read_text().rstrip("\0").split("\0")
            return State(boot_id, words[0], tuple(words[1:])) if err == 0 else None
        return None

    def pid(self, umid: str) -> int:
        """Return the main process of an instance."""
        return int((self.uml_dir / umid / "pid").read_text())

    def inventory(self, *bad: str) -> ansible.Inventory:
        """Return an inventory in which all instances get the new kernel, and some a broken one."""
        new = {umid: str(self.broken if umid in bad else kernels.path(NEW)) for umid in self.umids}
        instance = {**self._reach, "ansible_connection": "uml.mconsole.mconsole"}
        rows = {
            umid: {**instance, "rolling_restart_new": {"kernel": path, "memory": "136M"}} for umid, path in new.items()
        }
        return {**rows, "vm1": self._reach}

    def roll(self, *bad: str, batch: int = 1, **options: Any) -> ansible.Result:
        """Run the playbook."""
        words = ["-e", f"rolling_restart_batch={batch}", "-e", "rolling_restart_stop_timeout=5"]
        hosts = self.inventory(*bad)
        return ansible.run_playbook(
            "uml.mconsole.rolling_restart", hosts, home=self.home, extra_args=words, timeout=600, **options
        )


@contextlib.contextmanager
def fleet(vm_host: VmHost, uml_dir: Path, home: Path, umids: Sequence[str]) -> Iterator[Fleet]:
    """Start instances with the old kernel, and end them afterwards, and also what takes their place."""
    made = Fleet(vm_host, uml_dir, home, umids)
    options = {"uml_dir": str(uml_dir), "root": {"initrd": str(guest.initrd())}, "kernel": str(kernels.path(OLD))}
    try:
        started = operate("instance", umids=made.umids, memory="128M", wait_timeout=300, **options)
        assert not started.get("failed"), started
        yield made
    finally:
        pids = [int(path.read_text()) for path in uml_dir.glob("*/pid")]
        processes.kill_all(lambda: [found for pid in pids for found in processes.of_session(pid)], "an instance")


def is_new(state: State) -> bool:
    """Return whether an instance has all that is new."""
    return state.kernel == str(kernels.path(NEW).resolve()) and "mem=136M" in state.words


def changed(run: ansible.Result) -> list[str]:
    """Return the instances that a run restarted, as it says; those of a batch answer in any order."""
    return sorted(task.host for task in run.tasks if task.task == "Restart" and task.changed)


def check_roll(lab: Fleet, bad: str, batch: int = 1) -> None:
    """Roll with one kernel that does not boot, put it right, and roll again."""
    before = lab.states()
    planned = lab.roll(bad, batch=batch, check=True, diff=True).ok()
    assert changed(planned) == lab.umids
    assert "mem=136M" in str(planned)
    assert lab.states() == before

    run = lab.roll(bad, batch=batch)
    after = lab.states()
    index = lab.umids.index(bad)
    in_batch = lab.umids[: (index // batch + 1) * batch]
    assert run.rc != 0, run
    message = " ".join(run.result(bad, "Restart")["msg"].split())
    assert f"{bad} did not come up with the new kernel, memory: the kernel of {bad} ended with" in message
    assert message.endswith("it runs again with the options that it had before")
    assert [umid for umid in lab.umids if is_new(after[umid])] == [umid for umid in in_batch if umid != bad]
    assert after[bad][1:] == before[bad][1:]
    assert after[bad].boot_id != before[bad].boot_id
    untouched = lab.umids[len(in_batch) :]
    assert {umid: after[umid] for umid in untouched} == {umid: before[umid] for umid in untouched}

    assert changed(lab.roll(batch=batch).ok()) == sorted([bad, *untouched])
    assert all(map(is_new, lab.states().values()))
