# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles over real ssh: a fleet out of nothing, the same again, one line changed, and what check mode says of it."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import select
import shutil
import subprocess
import tempfile
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from support import ansible, mconsole, parity, processes, uml, vmhost
from support import guest as guests
from support.run_operation import operate
from support.wait import wait_until

Fleet = dict[str, list[dict[str, Any]]]
START, RESTART, DEVICES = (
    "Start and stop",
    "Restart what runs otherwise than declared",
    "Set the devices of those that run",
)


class Lab:
    """Two VM hosts (one machine, two directories) and what is declared on them."""

    def __init__(self, folder: Path, home: Path, vm_host: vmhost.VmHost) -> None:
        self.folder, self._home, self._vm_host = folder, home, vm_host

    @property
    def inventory(self) -> dict[str, Any]:
        """Return the VM hosts, each with its own directory."""
        reach = self._vm_host.inventory_vars()
        return {name: {**reach, "place": str(self.folder / name)} for name in ("vm-a", "vm-b")}

    def play(self, *roles: dict[str, Any], **options: Any) -> ansible.Result:
        """Run roles on both VM hosts."""
        plays = [{"hosts": options.pop("hosts", "all"), "gather_facts": False, "roles": list(roles)}]
        env = {"ANSIBLE_PIPELINING": "true"}
        return ansible.run_playbook(plays, self.inventory, home=self._home, env=env, **options)

    def apply(self, fleet: Fleet, *roles: dict[str, Any], **options: Any) -> ansible.Result:
        """Run some roles, and bring the fleet into its state."""
        defaults = {"memory": "128M", "root": {"initrd": str(guests.initrd())}, "kernel_args": ["hostname={umid}"]}
        instances = {
            "role": "uml.mconsole.instances",
            "instances_uml_dir": "{{ place }}/u",
            "instances_defaults": {**defaults, **options.pop("defaults", {})},
            "instances_fleet": "{{ " + repr(fleet) + "[inventory_hostname] }}",
            "instances_prune": options.pop("prune", False),
        }
        return self.play(*roles, instances, **options)

    def request(self, host: str, umid: str, text: str) -> str:
        """Send a console command by the rig's own client."""
        error, said = mconsole.request(self.folder / host / "u" / umid / "mconsole", text)
        assert error == 0, said
        return said

    def facts(self, host: str, umid: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return all facts of an instance from outside, and those that setup gathers inside."""
        reach = {**self.inventory[host], "ansible_connection": "uml.mconsole.guest", "ansible_uml_guest_timeout": 120}
        inventory = {umid: {**reach, "ansible_uml_dir": str(self.folder / host / "u")}}
        names = {"uml.mconsole.instance_facts": {"gather_subset": ["all"]}, "ansible.builtin.setup": {}}
        tasks = [{"name": name, name: options} for name, options in names.items()]
        play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
        run = ansible.run_playbook(play, inventory, home=self._home, timeout=300).ok()
        outside, inside = (parity.plain(run.result(umid, name)["ansible_facts"]) for name in names)
        return outside, inside

    def boots(self) -> dict[str, str]:
        """Return what names the boot of each instance there is."""
        found = sorted(self.folder.glob("*/u/*/mconsole"))
        places = [(path.parts[-4], path.parts[-2]) for path in found]
        return {umid: self.request(host, umid, "proc sys/kernel/random/boot_id").strip() for host, umid in places}

    def sessions(self) -> list[int]:
        """List the processes of all instances."""
        leaders = [int(path.read_text()) for path in self.folder.glob("*/u/*/pid")]
        return [pid for leader in leaders for pid in processes.of_session(leader)]


def guest(initrd: str, **options: Any) -> dict[str, Any]:
    """Return the role that builds the guest."""
    return {
        "role": "uml.mconsole.guest",
        "guest_initrd": initrd,
        **{f"guest_{key}": each for key, each in options.items()},
    }


@pytest.fixture
def lab(vm_host, ansible_home) -> Iterator[Lab]:
    """Yield two empty VM hosts, and end what is started there."""
    folder = Path(tempfile.mkdtemp(prefix="uml.lab."))
    for name in ("vm-a", "vm-b"):
        (folder / name).mkdir()
    lent = Lab(folder, ansible_home, vm_host)
    try:
        yield lent
    finally:
        processes.kill_all(lent.sessions, "an instance of the lab")
        shutil.rmtree(folder)


def changes(run: ansible.Result) -> dict[str, list[str]]:
    """Return what changed: the tasks, and of a task in a loop over instances which of them."""
    found: dict[str, set[str]] = {}
    for task in run.ok().tasks:
        for item in task.result.get("results", [task.result]):
            if item.get("changed"):
                found.setdefault(task.task.rpartition(" : ")[2], set()).update(umids(item))
    return {task: sorted(names) for task, names in found.items()}


def umids(item: dict[str, Any]) -> list[str]:
    """Return the instances of one turn of a loop; of a group of them, those that changed."""
    if "instances__instance" in item:
        return [item["instances__instance"]["umid"]]
    together = item.get("instances__group", {}).get("umids", [])
    return [umid for umid in together if item["instances"][umid]["changed"] or item["instances"][umid].get("failed")]


def ten(**changed: dict[str, Any]) -> Fleet:
    """Return ten instances on two VM hosts, some of them with more options."""
    declared: Fleet = {"vm-a": [], "vm-b": []}
    for number in range(10):
        umid = f"n{number}"
        declared["vm-a" if number < 5 else "vm-b"].append({"umid": umid, **changed.get(umid, {})})
    return declared


def test_ten_instances_out_of_nothing_and_one_line_changed(lab):
    built = {"root": {"initrd": "{{ place }}/guest.gz"}}
    before = lab.apply(ten(), guest("{{ place }}/guest.gz"), defaults=built, check=True)
    assert not [path for path in lab.folder.rglob("*") if not path.is_dir()]
    first = lab.apply(ten(), guest("{{ place }}/guest.gz"), defaults=built)
    assert changes(before) == changes(first)
    boots = lab.boots()
    assert sorted(boots) == [f"n{number}" for number in range(10)]
    assert [lab.request("vm-a", "n3", "version").split()[1], lab.request("vm-b", "n7", "version").split()[1]] == [
        "n3",
        "n7",
    ]

    assert changes(lab.apply(ten(), guest("{{ place }}/guest.gz"), defaults=built)) == {}
    assert lab.boots() == boots

    line = ten(n7={"devices": {"con2": "pts"}})
    told = lab.apply(line, defaults=built, check=True, diff=True)
    assert changes(told) == {DEVICES: ["n7"]}
    assert lab.request("vm-b", "n7", "config con2") == "null"
    assert changes(lab.apply(line, defaults=built)) == {DEVICES: ["n7"]}
    assert lab.request("vm-b", "n7", "config con2") == "pts"
    assert changes(lab.apply(line, defaults=built)) == {}
    assert lab.boots() == boots

    more = ten(n2={"memory": "144M", "restart": "when_required"}, n4={"memory": "80M"})
    told = lab.apply(more, defaults=built, check=True, diff=True)
    assert changes(told) == {RESTART: ["n2"]}
    assert lab.boots() == boots
    assert changes(lab.apply(more, defaults=built)) == {RESTART: ["n2"]}
    assert {umid for umid, boot in lab.boots().items() if boots[umid] != boot} == {"n2"}
    assert changes(lab.apply(more, defaults=built)) == {}


@pytest.mark.smoke
def test_every_state_is_reached_and_kept(lab):
    def states(**given: str) -> Fleet:
        return {"vm-a": [{"umid": umid, "state": state} for umid, state in given.items()], "vm-b": []}

    lab.apply(states(a="running", b="paused", c="running", d="absent")).ok()
    assert changes(lab.apply(states(a="running", b="paused", c="running", d="absent"))) == {}
    after = states(a="paused", b="running", c="stopped", d="absent")
    assert changes(lab.apply(after, check=True)) == {START: ["a", "b", "c"]}
    assert changes(lab.apply(after)) == {START: ["a", "b", "c"]}
    assert changes(lab.apply(after)) == {}
    assert sorted(path.parent.name for path in lab.folder.glob("vm-a/u/*/mconsole")) == ["a", "b"]
    assert changes(lab.apply(states(a="absent", b="absent"))) == {START: ["a", "b"]}
    assert list(lab.folder.glob("vm-a/u/*/")) == []


def test_what_is_no_longer_declared_ends_when_asked_for_alone(lab, launch_guest):
    uml_dir = lab.folder / "vm-a" / "u"
    uml_dir.mkdir()
    launch_guest("by-hand", uml_dir=uml_dir, wait=True)
    one: Fleet = {"vm-a": [{"umid": "kept"}], "vm-b": []}
    lab.apply(one).ok()
    assert sorted(lab.boots()) == ["by-hand", "kept"]
    told = lab.apply(one, prune=True, check=True)
    assert changes(told) == {"End what is no longer declared": []}
    assert sorted(lab.boots()) == ["by-hand", "kept"]
    assert changes(lab.apply(one, prune=True)) == {"End what is no longer declared": []}
    assert sorted(lab.boots()) == ["kept"]
    assert changes(lab.apply(one, prune=True)) == {}


def test_an_image_is_shared_by_cow_files_and_devices_come_back_after_a_restart(lab):
    image = guest("", image="{{ place }}/base.ext4", image_size="24M")
    lab.play(image).ok()
    times = {path: path.stat().st_mtime_ns for path in lab.folder.rglob("base.ext4")}
    options = {
        "root": {
            "image": str(lab.folder / "vm-a/base.ext4"),
            "cow": str(lab.folder / "vm-a/cow/{umid}"),
            "init": "/init",
        },
        "devices": {
            "ubd1": {
                "file": str(lab.folder / "vm-a/cow/{umid}.data"),
                "backing_file": str(lab.folder / "vm-a/base.ext4"),
            }
        },
        "restart": "when_required",
    }
    fleet: Fleet = {"vm-a": [{"umid": "x"}, {"umid": "y"}], "vm-b": []}
    lab.apply(fleet, defaults=options).ok()
    assert changes(lab.apply(fleet, defaults=options)) == {}
    assert "/dev/root / ext4" in lab.request("vm-a", "x", "proc mounts")
    assert lab.request("vm-a", "y", "config ubd1").endswith("y.data," + str(lab.folder / "vm-a/base.ext4"))
    assert changes(lab.apply(fleet, defaults={**options, "memory": "144M"})) == {RESTART: ["x", "y"]}
    assert lab.request("vm-a", "x", "config ubd1").endswith("x.data," + str(lab.folder / "vm-a/base.ext4"))
    lab.play(image).ok()
    assert {path: path.stat().st_mtime_ns for path in lab.folder.rglob("base.ext4")} == times


def test_a_guest_is_the_same_each_time_and_takes_an_overlay(lab):
    there = set(Path("/tmp").glob("build_guest.*"))
    initrd = lab.folder / "vm-a" / "guest.gz"
    build = guest("{{ place }}/guest.gz")
    assert changes(lab.play(build)) != {}
    assert changes(lab.play(build)) == {}
    before = initrd.read_bytes()
    overlay = lab.folder / "overlay"
    (overlay / "etc").mkdir(parents=True)
    (overlay / "etc" / "motd").write_text("hello\n")
    more = guest("{{ place }}/guest.gz", overlay=str(overlay))
    assert changes(lab.play(more, check=True)) == changes(lab.play(more, check=True))
    assert initrd.read_bytes() == before
    lab.play(more).ok()
    listed = subprocess.run(f"zcat {initrd} | cpio -t --quiet", shell=True, capture_output=True, text=True, check=True)
    assert "etc/motd" in listed.stdout.splitlines()
    assert set(Path("/tmp").glob("build_guest.*")) <= there


def test_a_debian_is_foretold_and_made_once(lab):
    image = lab.folder / "vm-a" / "debian.ext4"
    build = guest("", debian="{{ place }}/debian.ext4")
    assert changes(lab.play(build, check=True, hosts="vm-a")) == {"Build what is not there or not the same": []}
    assert not image.exists()
    image.write_bytes(b"in use")
    assert changes(lab.play(build, hosts="vm-a")) == {}
    assert image.read_bytes() == b"in use"


DEBIAN = {
    "memory": "192M",
    "kernel_args": {"hostname": "{umid}"},
    "devices": {"con1": "pts", "ssl1": "pts"},
    "wait_for": "log",
    "wait_pattern": "is up",
    "wait_timeout": 280,
}


@pytest.mark.timeout(1800)  # the first run builds the image
def test_a_debian_boots_has_a_login_and_ends_in_order(lab):
    """It is built once for all runs: 140 packages, 60 s of a processor, 300 MB of the cache."""
    image = guests.debian_image()
    run = lab.play(
        guest("", debian=str(image), debian_packages=guests.DEBIAN_PACKAGES), hosts="vm-a", timeout=1200
    ).ok()
    assert image.exists(), run
    root = {"image": str(image), "cow": str(lab.folder / "vm-a/{umid}.cow")}
    lab.apply({"vm-a": [{"umid": "deb"}]}, defaults={**DEBIAN, "root": root}, hosts="vm-a").ok()
    assert lab.request("vm-a", "deb", "version").split()[1] == "deb"
    assert "ID=debian" in lab.request("vm-a", "deb", "proc 1/root/etc/os-release").splitlines()
    for line in ("con1", "ssl1"):
        assert "uid=0(root)" in talk(lab, line, "id")
    ours, theirs = lab.facts("vm-a", "deb")
    assert theirs["service_mgr"] == "systemd"
    assert parity.differences(ours, theirs) == {}
    assert set(ours) >= {"distribution_version", "machine_id", "ssh_host_key_ed25519_public", "dns"}
    operate("device", umid="deb", uml_dir=str(lab.folder / "vm-a/u"), name="con3", config="pts")
    stopped = operate("instance", umid="deb", uml_dir=str(lab.folder / "vm-a/u"), state="stopped", stop_timeout=120)
    assert (stopped["commands"], stopped["stopped_by"], stopped["synced"]) == (["sysrq s", "cad"], "shutdown", True)


def talk(lab: Lab, line: str, command: str) -> str:
    """Return what the guest says to a command that is typed at a line of its console, after its prompt."""

    def path() -> str:
        return lab.request("vm-a", "deb", f"config {line}").partition(":")[2]

    terminal = os.open(wait_until(path, 60, f"the guest opened {line}"), os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(terminal)
        said = b""

        def read_until(text: bytes) -> bool:
            nonlocal said
            if select.select([terminal], [], [], 0)[0]:
                said += os.read(terminal, 4096)
            return text in said

        os.write(terminal, b"\n")
        wait_until(lambda: read_until(b"# "), 60, lambda: f"a prompt at {line}, found {said!r}")
        os.write(terminal, f"{command}; echo do''ne\n".encode())
        wait_until(lambda: read_until(b"done"), 60, lambda: f"an answer at {line}, found {said!r}")
        return said.decode(errors="replace")
    finally:
        os.close(terminal)


def test_a_guest_that_cannot_be_built_is_told_with_the_reason(lab):
    run = lab.play(guest("{{ place }}/guest.gz", busybox="/nonexistent/busybox"), hosts="vm-a")
    assert run.rc != 0
    said = " ".join(str(run).split())
    assert "no /nonexistent/busybox on this machine; install the package busybox-static" in said
    assert "non-zero return code" not in said


def test_a_misspelt_default_is_refused(lab):
    run = lab.apply(ten(), defaults={"memroy": "128M"})
    assert run.rc != 0
    assert "instances_defaults has the unknown option 'memroy'; did you mean 'memory'?" in str(run)
    assert lab.boots() == {}


def test_a_number_is_a_name_and_what_looks_other_in_yaml_is_refused(lab):
    """No run prunes 101; YAML reads 007 as 7, so its text would be lost."""
    fleet = [{"umid": 101, "devices": {"con2": "pts"}}, {"umid": "web1"}]
    lab.apply({"vm-a": fleet}, prune=True, hosts="vm-a").ok()
    boots = lab.boots()
    assert sorted(boots) == ["101", "web1"]
    assert changes(lab.apply({"vm-a": fleet}, prune=True, check=True, hosts="vm-a")) == {}
    assert changes(lab.apply({"vm-a": fleet}, prune=True, hosts="vm-a")) == {}
    assert lab.boots() == boots
    more = [{"umid": 101, "devices": {"con2": "pts", "con3": "pts"}}]
    for check in (True, False):
        told = lab.apply({"vm-a": more}, prune=True, check=check, hosts="vm-a")
        assert changes(told) == {"End what is no longer declared": [], DEVICES: ["101"]}
    assert sorted(lab.boots()) == ["101"]


def test_a_declared_option_that_takes_a_restart_is_warned_of(lab):
    one: Fleet = {"vm-a": [{"umid": "web1"}]}
    lab.apply(one, hosts="vm-a").ok()
    run = lab.apply(one, hosts="vm-a", defaults={"memory": "144M"}).ok()
    assert changes(run) == {}
    said = " ".join(str(run).split())
    assert "[WARNING]: web1 runs otherwise than declared: memory mem=128M -> mem=144M" in said
    assert "[WARNING]" not in str(lab.apply(one, hosts="vm-a"))


def test_what_depends_on_another_starts_when_that_is_ready_and_ends_before_it(lab):
    fleet = [{"umid": "web", "depends_on": ["db"]}, {"umid": "log"}, {"umid": "db", "depends_on": ["log"]}]
    ready = {"wait_for": "log", "wait_pattern": guests.UP}
    never = {"wait_for": "log", "wait_pattern": "never printed", "wait_timeout": 8}
    run = lab.apply({"vm-a": [*fleet[:2], {**fleet[2], **never}]}, defaults=ready, hosts="vm-a")
    assert run.rc != 0
    assert sorted(lab.boots()) == ["db", "log"], "web does not start, because db is not ready"
    lab.apply({"vm-a": fleet}, defaults=ready, hosts="vm-a").ok()
    assert sorted(lab.boots()) == ["db", "log", "web"]
    run = lab.apply({"vm-a": fleet}, defaults={**ready, "state": "absent"}, hosts="vm-a").ok()
    turns = run.result("vm-a", f"uml.mconsole.instances : {START}")["results"]
    assert [item["instances__group"]["umids"] for item in turns] == [["web"], ["db"], ["log"]]


def test_instances_start_as_declared_and_restart_one_by_one(lab):
    """The next one is left alone when one does not come back."""
    names = ["zeta", "alpha", "mid"]
    fleet = [{"umid": umid, "kernel_args": [f"order={umid}"]} for umid in names]
    lab.apply({"vm-a": fleet}, hosts="vm-a").ok()
    started = {umid: (lab.folder / "vm-a" / "u" / umid / "mconsole").stat().st_ctime_ns for umid in names}
    assert sorted(names, key=lambda umid: started[umid]) == names

    alike = [
        {
            "umid": umid,
            "memory": "144M",
            "restart": "when_required",
            "root": {"initrd": f"{lab.folder}/vm-a/{{umid}}.gz"},
        }
        for umid in names
    ]
    for umid in names:
        shutil.copy(guests.initrd(), lab.folder / "vm-a" / f"{umid}.gz")
    (lab.folder / "vm-a" / "alpha.gz").write_bytes(b"not an initrd")
    boots = lab.boots()
    run = lab.apply({"vm-a": alike}, hosts="vm-a")
    assert run.rc != 0
    assert "Kernel panic" in str(run), str(run)
    assert "failed_when" not in str(run)
    after = lab.boots()
    assert sorted(after) == ["mid", "zeta"]
    assert [umid for umid in after if after[umid] != boots[umid]] == ["zeta"]


@pytest.mark.parametrize(
    ("fleet", "complaint"),
    [
        ([{"umid": ".."}], "umid '..' is not a name for an instance"),
        ([{"umid": "a"}, {"umid": "a"}], "umid a is declared twice"),
        ([{"umid": "a/b"}], "umid 'a/b' is not a name for an instance"),
        ([{"umid": False}], "for YAML reads it as False; write it in quotes"),
        ([{"name": "a"}], "missing required arguments: umid"),
        ([{"umid": "a", "colour": "red"}], "instances_fleet.colour"),
        ([{"umid": "a", "state": "asleep"}], "value of state must be one of"),
    ],
)
def test_nonsense_is_refused_before_anything_is_done(lab, fleet, complaint):
    run = lab.apply({"vm-a": fleet}, hosts="vm-a")
    assert run.rc != 0
    assert complaint in str(run)
    assert not (lab.folder / "vm-a" / "u").exists()


def test_a_machine_is_prepared_once(lab):
    made = lab.folder / "made"
    role = {
        "role": "uml.mconsole.host",
        "host_packages": ["user-mode-linux", "busybox-static"],
        "host_kernel_source": str(uml.kernel_path()),
        "host_kernel": f"{made}/linux",
        "host_uml_dirs": [{"path": str(made)}, {"path": f"{made}/u", "mode": "0755"}],
    }
    role["host_uml_dirs"] = role["host_uml_dirs"][:]
    plays = [{"hosts": "vm-a", "gather_facts": False, "roles": [role]}]
    made.mkdir()
    for check, changed in ((True, True), (False, True), (False, False), (True, False)):
        run = ansible.run_playbook(plays, lab.inventory, check=check)
        assert bool(changes(run)) is changed, run
    assert (made / "linux").read_bytes() == uml.kernel_path().read_bytes()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"host_kernel": "/nonexistent/linux"}, "is not a User-Mode Linux kernel that runs here"),
        ({"host_kernel": "/bin/true"}, "is not a User-Mode Linux kernel that runs here"),
        ({"host_taps": [{"name": "a-name-of-sixteen"}]}, "cannot be the name of an interface"),
        ({"host_uml_dirs": [{"path": "relative"}]}, "must be an absolute path"),
    ],
)
def test_what_cannot_be_prepared_is_told(lab, given, complaint):
    run = lab.play({"role": "uml.mconsole.host", "host_packages": [], **given}, hosts="vm-a")
    assert run.rc != 0
    assert complaint in str(run)


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a directory, and counts how often each file was fetched."""

    fetched: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.fetched.append(self.path)
        super().do_GET()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(lab) -> Iterator[str]:
    """Yield the address of a web server whose files are in `web`."""
    (lab.folder / "web").mkdir()
    Server.fetched.clear()
    handler = functools.partial(Server, directory=str(lab.folder / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as lent:
        thread = threading.Thread(target=lent.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{lent.server_port}"
        lent.shutdown()
        thread.join()


def test_images_are_fetched_once_and_kept(lab, server) -> None:
    """Two empty VM hosts, an image by its address: fetched by the controller once, or by each; never again."""
    packed = lab.folder / "web" / "guest.gz"
    packed.write_bytes(gzip.compress(guests.root_image().read_bytes(), 1))
    image = {
        "path": "{{ place }}/images/guest.img",
        "url": f"{server}/guest.gz",
        "checksum": f"sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}",
    }
    role = {"role": "uml.mconsole.images", "images_controller_dir": f"{lab.folder}/kept"}
    once = {**role, "images_fetch_by": "controller", "images_list": [image]}
    each = {**role, "images_list": [{**image, "path": "{{ place }}/images/own.img"}]}
    assert changes(lab.play(once, check=True))
    assert (Server.fetched, sorted(lab.folder.glob("vm-*/images"))) == ([], [])
    assert changes(lab.play(once))
    assert Server.fetched == ["/guest.gz"]
    lab.play(once, each).ok()
    assert Server.fetched == ["/guest.gz"] * 3
    made = sorted(lab.folder.glob("vm-*/images/*"))
    assert [path.name for path in made] == ["guest.img", "guest.img.source", "own.img", "own.img.source"] * 2
    assert {path.read_bytes() for path in made[::2]} == {guests.root_image().read_bytes()}
    assert changes(lab.play(once, each, check=True)) == {}
    other = {**once, "images_list": [{**image, "checksum": "sha256:" + "0" * 64}]}
    assert "Choose another path" in str(lab.play(other))
    assert Server.fetched == ["/guest.gz"] * 3
