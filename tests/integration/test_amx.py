# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM host whose CPU has AMX: refused in one sentence, prepared by the role, and then as any other.

It is a container that systemd runs. Every program in it loads a library that imitates such a host.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.plugin_utils import _program
from support import amx, ansible, guest, kernels, mconsole, systemd_container
from support.run_operation import validated
from support.vmhost import VmHost
from support.wait import wait_until

OLD = [series for series in ("6.1", "6.12") if series in kernels.wanted()]
SYSTEM = "/usr/local/lib/uml-mconsole"


class Lab:
    """The VM host, with one uml_dir and the program that a module runs there."""

    def __init__(self, machine: systemd_container.Machine, host: VmHost, folder: Path) -> None:
        self.machine, self.host, self.folder, self.uml_dir = machine, host, folder, folder / "u"
        self.root = {"initrd": str(shutil.copy(guest.initrd(), folder))}
        self.program = folder / "program.py"
        self.program.write_text(_program.program_file())
        self.home = folder / "home"
        self.home.mkdir()

    def do(self, operation: str = "instance", user: str = "", check: bool = False, **params: Any) -> dict[str, Any]:
        """Do an operation there, and return its result."""
        given = validated(operation, {"uml_dir": str(self.uml_dir), **params})
        order = {"mode": "once", "operation": operation, "params": given, "check": check}
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        home = ["env", f"HOME=/home/{user}"] if user else []
        words = [*become, *home, "python3", "-I", "-S", str(self.program), json.dumps(order)]
        result: dict[str, Any] = json.loads(self.machine.run(*words).splitlines()[-1])["result"]
        return result

    def start(self, series: str, **params: Any) -> dict[str, Any]:
        """Start the instance `a` with a kernel, or say why not."""
        kernel = str(kernels.path(series))
        return self.do(umid="a", kernel=kernel, memory="128M", root=self.root, wait_timeout=180, **params)

    def prepare(self, check: bool = False, **variables: Any) -> list[str]:
        """Run the role host, and list what it changed."""
        role = {"role": "uml.mconsole.host", "host_packages": [], "host_kernel": str(kernels.path("7.2")), **variables}
        plays = [{"hosts": "all", "gather_facts": False, "roles": [role]}]
        run = ansible.run_playbook(plays, {"vm1": self.host.inventory_vars()}, home=self.home, check=check)
        return [task.task.rpartition(" : ")[2] for task in run.ok().tasks if task.changed]

    def shimless(self) -> None:
        """Take the shim away."""
        self.machine.run("rm", "-rf", SYSTEM)

    def boots(self) -> int:
        """Return how often a guest has come up according to its log."""
        return (self.uml_dir / "a.log").read_text(errors="replace").count(guest.UP)


@pytest.fixture(scope="module")
def machine() -> Iterator[Lab]:
    """Yield the VM host."""
    folder = Path(tempfile.mkdtemp(prefix="uml."))
    folder.chmod(0o755)
    double = shutil.copy(amx.double(), folder / "double.so")
    with systemd_container.systemd() as machine, VmHost(inside=machine.inside) as host:
        machine.run("sh", "-c", f"echo {double} >/etc/ld.so.preload")
        lab = Lab(machine, host, folder)
        try:
            yield lab
        finally:
            ansible.close_connections(lab.home)
    shutil.rmtree(folder)


@pytest.fixture
def lab(machine: Lab) -> Iterator[Lab]:
    """Yield the VM host without a shim; what is started there ends with the test."""
    machine.shimless()
    machine.uml_dir.mkdir()
    yield machine
    gone = machine.do(umid="a", state="absent", stop_methods=["terminate", "kill"])
    assert not gone.get("failed"), gone
    shutil.rmtree(machine.uml_dir)


def good(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result that did not fail."""
    assert not result.get("failed"), result
    return result


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("series", OLD)
def test_without_the_shim_one_sentence_and_nothing_started(lab: Lab, series: str, check: bool) -> None:
    refused = lab.start(series, check=check)
    assert refused["failed"]
    assert "cannot run programs on this VM host, whose CPU state has 11008 bytes" in refused["msg"]
    assert f"({series}." in refused["msg"]
    assert refused["msg"].endswith("the role uml.mconsole.host, or use a kernel from 6.13 on, or another VM host")
    assert list(lab.uml_dir.iterdir()) == []


def test_a_newer_kernel_runs_without_it(lab: Lab) -> None:
    assert good(lab.start("7.2"))["xstate_shim"] is False


def test_the_role_builds_it_once_and_foretells_it(lab: Lab) -> None:
    steps = ["Make the directory of the register shim", "Put the source of the register shim there"]
    assert lab.prepare(check=True) == steps
    assert lab.prepare() == [*steps, "Build the register shim"]
    assert lab.prepare() == []
    lab.machine.run("rm", f"{SYSTEM}/xstate_shim.so")
    assert lab.prepare() == ["Build the register shim"]
    lab.shimless()
    assert lab.prepare(host_register_shim="never") == []


def test_a_kernel_of_another_suite_is_foretold_kept_and_started_by_its_name(lab: Lab) -> None:
    """How it is fetched shows tests/kernels/fetch, which does it with the same program."""
    suite = {"host_kernel_suite": "forky", "host_register_shim": "never"}
    steps = ["Fetch the kernel of another Debian suite", "Let it be found by its name"]
    assert lab.prepare(check=True, **suite) == steps
    folder = f"{SYSTEM}/kernels/forky"
    lab.machine.run("sh", "-c", f"mkdir -p {folder} && ln -s {kernels.path('7.2')} {folder}/linux")
    assert lab.prepare(**suite) == steps[1:]
    assert lab.prepare(**suite) == []
    assert good(lab.do(umid="a", kernel="linux.uml-forky", memory="128M", root=lab.root))["state"] == "running"


@pytest.mark.parametrize("series", OLD)
def test_with_it_an_instance_runs_reboots_and_is_restarted(lab: Lab, series: str) -> None:
    lab.prepare()
    first = good(lab.start(series))
    assert (first["state"], first["xstate_shim"]) == ("running", True)
    (row,) = lab.do("instance_info", umid="a")["instances"]
    assert row["xstate_shim"] is True
    assert mconsole.request(lab.uml_dir / "a" / "mconsole", "reboot")[0] == 0
    wait_until(lambda: lab.boots() == 2, 120, "the guest has rebooted")
    again = good(lab.do(umid="a", state="restarted"))
    assert (again["pid"] != first["pid"], again["xstate_shim"]) == (True, True)
    assert good(lab.start("7.2", restart="when_required"))["xstate_shim"] is False


@pytest.mark.parametrize("series", OLD)
def test_one_that_was_started_by_hand_with_a_preload_is_restarted(lab: Lab, series: str) -> None:
    """With the preload that it has, and with ours once that is there."""
    own = shutil.copy(amx.shim(), lab.folder / "mine.so")
    words = f"umid=a uml_dir={lab.uml_dir} mem=128M initrd={lab.root['initrd']} rdinit=/init con0=null,fd:1 con=null"
    command = f"cd /; LD_PRELOAD={own} setsid {kernels.path(series)} {words} ssl=null ubd0c=/dev/null"
    lab.machine.run("sh", "-c", f"{command} </dev/null >{lab.uml_dir}/a.log 2>&1 &")
    wait_until(lambda: (lab.uml_dir / "a.log").exists() and lab.boots() == 1, 120, "the guest is up")
    assert good(lab.do(umid="a"))["xstate_shim"] is True
    assert good(lab.do(umid="a", state="restarted"))["xstate_shim"] is True
    lab.prepare()
    pid = good(lab.do(umid="a", state="restarted"))["pid"]
    assert f"{SYSTEM}/xstate_shim.so" in lab.machine.run("cat", f"/proc/{pid}/maps")


@pytest.mark.parametrize("series", OLD)
def test_a_crash_under_systemd_ends_in_a_restart(lab: Lab, series: str) -> None:
    lab.prepare()
    role = {"role": "uml.mconsole.instances", "instances_restart_on_crash": True}
    fleet = {"instances_fleet": [{"umid": "nobody", "state": "absent"}], "instances_uml_dir": str(lab.uml_dir)}
    plays = [{"hosts": "all", "gather_facts": False, "roles": [{**role, **fleet}]}]
    ansible.run_playbook(plays, {"vm1": lab.host.inventory_vars()}, home=lab.home).ok()
    first = good(lab.start(series, supervisor="systemd"))
    assert first["xstate_shim"] is True
    wait_until(lambda: lab.boots() == 1, 120, "the guest is up")
    lab.machine.run("kill", "-KILL", str(first["pid"]))
    wait_until(lambda: lab.boots() == 2, 120, "systemd has started it anew")
    assert good(lab.do(umid="a"))["xstate_shim"] is True
    good(lab.do(umid="a", state="absent"))


@pytest.mark.parametrize("series", OLD[:1])
def test_an_ordinary_user_has_one_of_his_own(lab: Lab, series: str) -> None:
    """What only that user may write serves that user alone."""
    user = "61234"
    lab.machine.run("useradd", "--create-home", "--uid", user, "umlamx")
    lab.uml_dir.chmod(0o777)
    folder = "/home/umlamx/.local/lib/uml-mconsole"
    lab.machine.run("setpriv", f"--reuid={user}", "--clear-groups", "mkdir", "-p", folder)
    build = f"cc -shared -fPIC -O2 -nostdlib -o {folder}/xstate_shim.so {amx.SHIM} && chown -R {user} /home/umlamx"
    lab.machine.run("sh", "-c", build)
    assert lab.start(series)["failed"]
    assert good(lab.start(series, user=user))["xstate_shim"] is True
    assert good(lab.do(umid="a", state="restarted"))["xstate_shim"] is True
    good(lab.do(umid="a", user=user, state="absent", stop_methods=["terminate", "kill"]))
