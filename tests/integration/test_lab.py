# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab of docs/examples on two VM hosts with separate networks: start it, run again, remove it without a trace."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support import ansible, processes
from support.network import Network, lay_cable
from support.paths import CHECKOUT
from support.vmhost import VmHost

LAB = CHECKOUT / "docs" / "examples" / "network_lab.yml"
MADE = ["tap-n1", "tap-n2", "tap-n3", "tap-n4", "tap-n5", "umlbr0", "umlbr0", "umlvx0", "umlvx0"]
Play = Callable[..., ansible.Result]


@pytest.fixture
def networks() -> Iterator[dict[str, Network]]:
    """Yield two networks with a cable between them."""
    with Network(1) as one, Network(2) as other:
        lay_cable(one, other)
        yield {"vm1": one, "vm2": other}


@pytest.fixture
def play(networks: dict[str, Network], ansible_home: Path, uml_dir: Path) -> Iterator[Play]:
    """Yield `play(state, check)`: the playbook with the example as it is, but for how its VM hosts are reached."""
    # The local client listens below /run, which two machines do not share.
    own_run = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && exec "$@"'  # where the local client listens
    ends = {name: ["ip", "netns", "exec", each.name, "sh", "-c", own_run, "sh"] for name, each in networks.items()}
    with (
        VmHost(address=networks["vm1"].address, inside=ends["vm1"]) as one,
        VmHost(address=networks["vm2"].address, inside=ends["vm2"]) as other,
    ):
        reach = {
            name: {
                **each.inventory_vars(),
                "instances_uml_dir": f"{uml_dir}/{name}",
                "guest_initrd": f"{uml_dir}/{name}.gz",
                "host_packages": [],
            }
            for name, each in {"vm1": one, "vm2": other}.items()
        }
        more = ansible_home / "reach.yml"
        more.write_text(yaml.safe_dump({"vm_hosts": {"hosts": reach}}))

        def play(state: str, check: bool = False) -> ansible.Result:
            words = ["-i", str(more), "-e", f"lab_state={state}"]
            env = {"ANSIBLE_PIPELINING": "true"}
            return ansible.run_playbook(
                "uml.mconsole.lab", str(LAB), home=ansible_home, env=env, extra_args=words, check=check, diff=True
            )

        yield play
        processes.kill_all(lambda: sessions(uml_dir), "an instance of the lab")


def sessions(uml_dir: Path) -> list[int]:
    """List the processes of all instances."""
    leaders = [int(path.read_text()) for path in uml_dir.glob("*/*/pid")]
    return [pid for leader in leaders for pid in processes.of_session(leader)]


def changed(run: ansible.Result) -> list[str]:
    """List the hosts and tasks that changed something."""
    return sorted(f"{task.host} {task.task.rpartition(' : ')[2]}" for task in run.ok().tasks if task.changed)


def interfaces(networks: dict[str, Network]) -> list[str]:
    """List the interfaces of both VM hosts that the lab is made of."""
    shown = [
        subprocess.run(["ip", "-n", each.name, "-o", "link"], capture_output=True, text=True, check=True).stdout
        for each in networks.values()
    ]
    return sorted(name for text in shown for name in re.findall(r"^\d+: ((?:tap-|uml)[^:@]+)", text, re.MULTILINE))


def test_the_lab_of_one_file(play: Play, networks: dict[str, Network], uml_dir: Path) -> None:
    """Foretold; each guest reaches the next, two of them over the tunnel; again no change; then nothing is left."""
    told = changed(play("present", check=True))
    assert (interfaces(networks), list(uml_dir.glob("*"))) == ([], [])
    assert changed(play("present")) == told != []
    assert interfaces(networks) == MADE
    for umid, address in {"n2": "198.51.100.3", "n3": "198.51.100.4", "n5": "198.51.100.1"}.items():
        (log,) = uml_dir.glob(f"*/{umid}.log")
        assert f"{umid} reaches {address}" in log.read_text(errors="replace")
    assert changed(play("present")) == []

    gone = changed(play("absent", check=True))
    assert interfaces(networks) == MADE
    assert changed(play("absent")) == gone != []
    assert (interfaces(networks), sessions(uml_dir), list(uml_dir.glob("*/*/"))) == ([], [], [])
