# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin against real VM hosts and real kernels."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.uml.mconsole.plugins.inventory.instances import EXAMPLES
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.states import STATES
from support import ansible, processes, uml, vmhost
from support.wait import wait_until

EVIL = "{{lookup('pipe','id>/tmp/uml-owned')}}"  # fits into a hostname, and has no space for the kernel to stop at
OWNED = Path("/tmp/uml-owned")


class Fleet:
    """Two VM hosts: root's with two instances, and one where the login user becomes the owner of the third."""

    def __init__(self, root, login, owner, folder):
        self.root, self.login, self.owner, self.folder = root, login, owner, folder
        self.dirs = {"vm1": folder / "one", "vm2": folder / "two"}
        self.instances = []

    def launch(self):
        """Start the instances."""
        for umid, vm_host, user in (("web0", "vm1", None), ("web1", "vm1", None), ("db0", "vm2", self.owner)):
            self.instances.append(uml.launch(umid, self.dirs[vm_host], user=user))

    def vm_hosts(self):
        """Return the VM hosts as the configuration has them."""
        become = {"ansible_become": True, "ansible_become_user": self.owner}
        return {
            "vm1": {**self.root.inventory_vars(), "ansible_uml_dir": str(self.dirs["vm1"])},
            "vm2": {**self.login.inventory_vars(), **become, "ansible_uml_dir": str(self.dirs["vm2"])},
        }


@pytest.fixture(scope="module")
def fleet(make_vm_host, make_user):
    """Provide a fleet that no test of this file changes."""
    owner = make_user("invown")
    login = make_user("invlog", may_become=(owner,))
    folder = Path(tempfile.mkdtemp(prefix="uml."))
    folder.chmod(0o755)
    lent = Fleet(make_vm_host(extra_config=("LogLevel VERBOSE",)), make_vm_host(user=login), owner, folder)
    try:
        lent.launch()
        yield lent
    finally:
        uml.close_all(lent.instances)
        shutil.rmtree(folder)


@pytest.fixture
def configure(tmp_path):
    """Yield a writer of configurations, which returns the file's name."""

    def configure(vm_hosts, name="fleet.uml.yml", **options):
        path = tmp_path / name
        path.write_text(yaml.safe_dump({"plugin": "uml.mconsole.instances", "vm_hosts": vm_hosts, **options}))
        return str(path)

    return configure


def listing(config, home, *more, env=None):
    """Return (what ansible-inventory lists, all that it said)."""
    run = ansible.run_command(["ansible-inventory", *more, "--list"], config, home=home, env=env).ok()
    return plain(json.loads(run.stdout)), run.stderr


def plain(value):
    """Return a listing without the marks that ansible-core puts on what it does not trust."""
    if isinstance(value, dict):
        return (
            plain(value["__ansible_unsafe"]) if "__ansible_unsafe" in value else {k: plain(v) for k, v in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


def hosts(listed, group):
    """Return the hosts of a group and of those below it."""
    own = listed.get(group, {})
    below = [host for child in own.get("children", ()) for host in hosts(listed, child)]
    return sorted({*own.get("hosts", ()), *below})


def play(hosts, *tasks, **keywords):
    """Return a play that gathers no facts by default."""
    return {"hosts": hosts, "gather_facts": False, "tasks": list(tasks), **keywords}


# What comes out is ready.


@pytest.mark.smoke
def test_the_instances_of_two_vm_hosts_come_out_in_their_groups(fleet, configure, ansible_home):
    listed, said = listing(configure(fleet.vm_hosts()), ansible_home)
    assert hosts(listed, "uml_instances") == hosts(listed, "uml_running") == ["db0", "web0", "web1"]
    assert hosts(listed, "uml_vmhost_vm1") == ["web0", "web1"]
    assert hosts(listed, "uml_vm_hosts") == ["vm1", "vm2"]
    assert hosts(listed, "uml_unreachable") == []
    assert "WARNING" not in said


def test_what_was_found_is_true(fleet, configure, ansible_home):
    listed, _said = listing(configure(fleet.vm_hosts()), ansible_home)
    known = listed["_meta"]["hostvars"]["db0"]
    instance = fleet.instances[2]
    assert known["uml_pid"] == instance.pid
    assert known["uml_owner"] == fleet.owner
    assert known["uml_console"] == str(instance.console)
    assert known["uml_vm_host"] == "vm2"
    assert f"umid={instance.umid}" in known["uml_arguments"]
    assert known["uml_kernel"] == instance.request("version")[1].split()[2]


@pytest.mark.smoke
def test_a_play_gathers_facts_and_runs_modules_on_them_at_once(fleet, configure, ansible_home):
    tasks = [
        {"name": "Ask", "ansible.builtin.raw": "version"},
        {"name": "Act", "uml.mconsole.request": {"commands": ["version"]}},
        {"name": "Know", "ansible.builtin.debug": {"var": "ansible_facts.hostname"}},
    ]
    plays = [
        play("uml_instances", *tasks, gather_facts=True),
        play("vm1", {"name": "On it", "ansible.builtin.command": "id"}),
    ]
    run = ansible.run_playbook(plays, configure(fleet.vm_hosts()), home=ansible_home).ok()
    for umid in ("web0", "web1", "db0"):
        assert run.result(umid, "Ask")["stdout"].startswith(f"Linux {umid} ")
        assert run.result(umid, "Act")["stdout"].startswith(f"Linux {umid} ")
        assert run.result(umid, "Know")["ansible_facts.hostname"] == umid
    assert run.result("vm1", "On it")["stdout"].startswith("uid=0")


def test_one_ssh_session_does_for_the_discovery_and_the_tasks_after_it(fleet, configure, ansible_home):
    fleet.root.log.write_text("")
    config = configure({"vm1": fleet.vm_hosts()["vm1"]})
    tasks = [{"name": "Ask", "ansible.builtin.raw": "version"}] * 3
    ansible.run_playbook([play("uml_instances", *tasks, gather_facts=True)], config, home=ansible_home).ok()
    assert fleet.root.log_text().count("Starting session") == 1
    assert fleet.root.log_text().count("Accepted publickey") == 1


def test_facts_come_with_the_discovery(fleet, configure, ansible_home):
    fleet.root.log.write_text("")
    config = configure({"vm1": fleet.vm_hosts()["vm1"]}, facts=True, keyed_groups=[{"key": "uml_facts.hostname"}])
    listed, _said = listing(config, ansible_home)
    facts = listed["_meta"]["hostvars"]["web1"]["uml_facts"]
    assert facts["hostname"] == "web1"
    assert facts["uml"]["boot_id"] == fleet.instances[1].guest("cat /proc/sys/kernel/random/boot_id").strip()
    assert hosts(listed, "_web1") == ["web1"]
    assert fleet.root.log_text().count("Starting session") == 1


def test_the_controller_itself_is_a_vm_host(fleet, configure, ansible_home):
    config = configure(["localhost"], uml_dir=str(fleet.dirs["vm1"]))
    run = ansible.run_playbook([play("uml_instances", {"name": "Ask", "ansible.builtin.raw": "version"})], config).ok()
    assert run.result("web0", "Ask")["stdout"].startswith("Linux web0 ")


@pytest.mark.smoke
def test_vm_hosts_of_a_group_with_variables_beside_it(fleet, configure, ansible_home, tmp_path):
    variables = {**fleet.vm_hosts()["vm1"], "ansible_user": "{{ who }}", "who": "root"}
    (tmp_path / "hosts.yml").write_text("kvm:\n  hosts:\n    vm1:\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "kvm.yml").write_text(yaml.safe_dump(variables))
    config = configure([], vm_host_groups=["kvm"])
    listed, _said = listing(str(tmp_path / "hosts.yml"), ansible_home, "-i", config)
    assert hosts(listed, "uml_instances") == ["web0", "web1"]
    assert listed["_meta"]["hostvars"]["web0"]["ansible_user"] == "root"


# VM hosts that fail.


@pytest.fixture
def mute():
    """Yield the port of a server that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_vm_hosts_that_fail_cost_nobody_else_anything(fleet, make_vm_host, configure, ansible_home, mute):
    down = make_vm_host()
    down.stop()
    good = fleet.vm_hosts()
    bad = {
        "down": down.inventory_vars(),
        "wrongport": {**good["vm1"], "ansible_port": 1},
        "nokey": {**good["vm1"], "ansible_ssh_private_key_file": "/nonexistent"},
        "nopython": {**fleet.login.inventory_vars(), "ansible_python_interpreter": "/nonexistent/python3"},
        "nobecome": {**fleet.login.inventory_vars(), "ansible_become": True, "ansible_become_user": "daemon"},
        "mute": {**good["vm1"], "ansible_port": mute},
        "container": {**good["vm1"], "ansible_connection": "podman"},
    }
    started = time.monotonic()
    patient = {"ANSIBLE_TIMEOUT": "60"}  # that of ssh, which must not be the first to give up
    listed, said = listing(configure({**bad, **good}, timeout=15), ansible_home, env=patient)
    assert time.monotonic() - started < 60
    assert hosts(listed, "uml_unreachable") == sorted(bad)
    assert hosts(listed, "uml_instances") == ["db0", "web0", "web1"]
    text = " ".join(said.split())
    reasons = {
        "down": "Connection refused",
        "wrongport": "127.0.0.1",  # ssh is gone before or after it was spoken to, and Ansible's words differ
        "nokey": "Permission denied",
        "nopython": "/nonexistent/python3",
        "nobecome": "sudo",
        "mute": "it did not answer within 15 s",
        "container": "its ansible_connection is podman",
    }
    for name, reason in reasons.items():
        assert f"the VM host {name} is left out" in text
        assert reason in listed["_meta"]["hostvars"][name]["uml_unreachable_reason"], name
    assert "Traceback" not in said


def test_a_play_on_what_is_left_works(fleet, configure, ansible_home):
    vm_hosts = {**fleet.vm_hosts(), "down": {**fleet.vm_hosts()["vm1"], "ansible_port": 1}}
    plays = [
        play("uml_instances", {"name": "Ask", "ansible.builtin.raw": "version"}),
        play("uml_vm_hosts:!uml_unreachable", {"name": "Reach", "ansible.builtin.raw": "true"}),
    ]
    run = ansible.run_playbook(plays, configure(vm_hosts), home=ansible_home).ok()
    assert {task.host for task in run.tasks} == {"web0", "web1", "db0", "vm1", "vm2"}


# States.


def test_states_are_told_apart_and_remains_left_out(make_vm_host, launch_guest, configure, ansible_home, uml_dir):
    guests = {umid: launch_guest(umid) for umid in ("fine", "paused", "hung", "gone")}
    assert guests["paused"].request("stop")[0] == 0
    processes.stop(guests["hung"].pid)
    guests["gone"].kill()
    vm_hosts = {"vm1": {**make_vm_host().inventory_vars(), "ansible_uml_timeout": 4}}
    listed, _said = listing(configure(vm_hosts, uml_dir=str(uml_dir)), ansible_home)
    assert hosts(listed, "uml_instances") == ["fine", "hung", "paused"]
    for umid, state in (("fine", "running"), ("paused", "paused"), ("hung", "hung")):
        assert hosts(listed, f"uml_{state}") == [umid]
    listed, _said = listing(configure(vm_hosts, uml_dir=str(uml_dir), states=["stale", "paused"]), ansible_home)
    assert hosts(listed, "uml_instances") == ["gone", "paused"]
    assert guests["paused"].request("go")[0] == 0


def test_an_instance_of_somebody_else_can_be_had_by_becoming_its_owner(fleet, configure, ansible_home):
    vm_hosts = {"vm2": {**fleet.login.inventory_vars(), "ansible_uml_dir": str(fleet.dirs["vm2"])}}
    listed, _said = listing(configure(vm_hosts), ansible_home)
    assert hosts(listed, "uml_instances") == []
    config = configure(vm_hosts, states=["running", "unknown"])
    run = ansible.adhoc("db0", "ansible.builtin.raw", "version", config, home=ansible_home).ok()
    assert run.only("db0").result["stdout"].startswith("Linux db0 ")


def test_an_instance_whose_process_is_hidden_is_unknown(make_user, launch_guest, configure, ansible_home, uml_dir):
    """On a VM host whose /proc is mounted with hidepid=2, as an ordinary user: it runs, and is not stale."""
    launch_guest("hidden")
    launch_guest("gone").kill()
    login = make_user("invhid")
    hide = ("unshare", "-m", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh")
    with vmhost.VmHost(login, inside=hide) as host:
        config = configure({"vm1": host.inventory_vars()}, uml_dir=str(uml_dir), states=list(STATES))
        listed, _said = listing(config, ansible_home)
        ansible.close_connections(ansible_home)
    assert (hosts(listed, "uml_unknown"), hosts(listed, "uml_stale")) == (["hidden"], ["gone"])
    assert "hidepid" in listed["_meta"]["hostvars"]["hidden"]["uml_state_reason"]


# Names.


def test_two_instances_of_one_umid_are_both_qualified(fleet, launch_guest, configure, ansible_home):
    """And all others stay as they are."""
    twin = launch_guest("db0")
    vm_hosts = {**fleet.vm_hosts(), "vm3": {**fleet.root.inventory_vars(), "ansible_uml_dir": str(twin.uml_dir)}}
    config = configure(vm_hosts)
    run = ansible.adhoc("uml_running", "ansible.builtin.raw", "version", config, home=ansible_home).ok()
    assert {task.host for task in run.tasks} == {"db0.vm2", "db0.vm3", "web0", "web1"}
    said = " ".join(run.stderr.split())
    twins = f"db0 in {fleet.dirs['vm2']} of vm2 is called 'db0.vm2': 'db0' is db0 in {twin.uml_dir} of vm3"
    assert twins in said


def test_no_umid_captures_a_group_the_controller_or_another_machine(
    fleet, launch_guest, configure, ansible_home, uml_dir, tmp_path
):
    """A play on the running instances reaches these alone, and one on localhost reaches the controller."""
    taken = ("web", "all", "localhost", "prod", "vm1")
    for umid in taken:
        launch_guest(umid)
    hosts_file = tmp_path / "hosts.yml"
    machine = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    hosts_file.write_text(yaml.safe_dump({"web": {"hosts": {"prod": machine}}}))
    vm_hosts = {"vm1": {**fleet.root.inventory_vars(), "ansible_uml_dir": str(uml_dir)}}
    plays = [
        play("uml_running", {"name": "Ask", "ansible.builtin.raw": "version"}),
        play("localhost", {"name": "Here", "ansible.builtin.command": "echo controller"}),
        play("web", {"name": "There", "ansible.builtin.command": "echo machine"}),
    ]
    words = ["-i", configure(vm_hosts)]
    run = ansible.run_playbook(plays, str(hosts_file), home=ansible_home, extra_args=words).ok()
    asked = {task.host: task.result["stdout"].split()[1] for task in run.tasks if task.task == "Ask"}
    assert asked == {f"{umid}.vm1": umid for umid in taken}
    assert [(task.host, task.result["stdout"]) for task in run.tasks if task.task != "Ask"] == [
        ("localhost", "controller"),
        ("prod", "machine"),
    ]


def test_a_carriage_return_in_a_umid_is_shown(fleet, launch_guest, configure, ansible_home, uml_dir):
    """As of a file with CRLF; a terminal would show two of one name."""
    launch_guest("web1\r")
    launch_guest("web1")
    vm_hosts = {"vm1": {**fleet.root.inventory_vars(), "ansible_uml_dir": str(uml_dir)}}
    listed, said = listing(configure(vm_hosts), ansible_home)
    assert hosts(listed, "uml_instances") == ["web1"]
    text = " ".join(said.split())
    assert rf"web1\r in {uml_dir} of vm1 is left out: a host cannot have that name" in text


@pytest.mark.smoke
def test_a_vm_host_with_an_address_of_ipv6_has_instances_with_usable_names(
    make_vm_host, launch_guest, configure, ansible_home, uml_dir
):
    launch_guest("web0")
    host = make_vm_host(extra_config=("ListenAddress ::1",))
    reach = {name: value for name, value in host.inventory_vars().items() if name != "ansible_host"}
    config = configure({"::1": reach}, uml_dir=str(uml_dir), hostnames="qualified")
    run = ansible.adhoc("web0.*", "ansible.builtin.raw", "version", config, home=ansible_home).ok()
    assert {task.host: task.result["stdout"].split()[1] for task in run.tasks} == {"web0.--1": "web0"}


def test_variables_of_ansible_itself_can_be_used_for_a_vm_host(fleet, configure, ansible_home):
    variables = {**fleet.vm_hosts()["vm1"], "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    listed, said = listing(configure({"vm1": variables}), ansible_home)
    assert hosts(listed, "uml_instances") == ["web0", "web1"]
    assert "WARNING" not in said


def test_a_file_with_another_name_says_what_is_wrong_with_it(fleet, configure, ansible_home):
    config = configure(fleet.vm_hosts(), name="fleet.yml")
    run = ansible.run_command(["ansible-inventory", "--list"], config, home=ansible_home)
    said = " ".join(run.stderr.split())
    assert "ends in neither .uml.yml nor .uml.yaml, as uml.mconsole.instances expects; rename the file" in said


# What a guest says is data.


@pytest.mark.smoke
def test_no_template_of_a_guest_is_run(make_vm_host, launch_guest, configure, ansible_home, uml_dir):
    OWNED.unlink(missing_ok=True)
    guest = launch_guest("evil", f"hostname={EVIL}")
    assert guest.guest("hostname").strip() == EVIL
    vm_hosts = {"vm1": make_vm_host().inventory_vars()}
    options = {"compose": {"copied": "uml_facts.hostname"}, "keyed_groups": [{"key": "uml_facts.hostname"}]}
    config = configure(vm_hosts, uml_dir=str(uml_dir), facts=True, **options)
    tasks = [
        {"name": "Show", "ansible.builtin.debug": {"var": "uml_facts.hostname"}},
        {"name": "Use", "ansible.builtin.debug": {"msg": "{{ copied }} {{ uml_arguments | last }} {{ hostvars }}"}},
    ]
    run = ansible.run_playbook([play("evil", *tasks, gather_facts=True)], config, home=ansible_home).ok()
    assert run.result("evil", "Show")["uml_facts.hostname"] == EVIL
    assert run.result("evil", "Use")["msg"].startswith(f"{EVIL} hostname={EVIL}")
    assert not OWNED.exists()


# The cache.


@pytest.mark.smoke
def test_the_cache_serves_until_it_is_flushed_expires_or_is_refreshed(
    make_vm_host, launch_guest, configure, uml_dir, ansible_home
):
    host = make_vm_host(extra_config=("LogLevel VERBOSE",))
    first, second = launch_guest("first"), launch_guest("second")
    folder = uml_dir / "cache"
    options = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder)}
    config = configure({"vm1": host.inventory_vars()}, uml_dir=str(uml_dir), **options)

    def found():
        host.log.write_text("")
        listed, _said = listing(config, ansible_home)
        return hosts(listed, "uml_instances")

    assert found() == ["first", "second"]
    second.close()
    assert found() == ["first", "second"]  # out of the cache
    ask = play("localhost", {"name": "Now", "ansible.builtin.debug": {"msg": "{{ groups.uml_instances }}"}})
    flushed = ansible.run_playbook([ask], config, home=ansible_home, extra_args=["--flush-cache"]).ok()
    assert flushed.result("localhost", "Now")["msg"] == ["first"]
    assert found() == ["first"]
    launch_guest("third")
    (path,) = folder.iterdir()
    os.utime(path, (1, 1))
    assert found() == ["first", "third"]  # the old answer had expired
    first.close()
    refresh = play(
        "localhost",
        {"name": "Before", "ansible.builtin.debug": {"msg": "{{ groups.uml_instances }}"}},
        {"ansible.builtin.meta": "refresh_inventory"},
        {"name": "After", "ansible.builtin.debug": {"msg": "{{ groups.uml_instances }}"}},
    )
    run = ansible.run_playbook([refresh], config, home=ansible_home).ok()
    assert run.result("localhost", "Before")["msg"] == ["first", "third"]
    assert run.result("localhost", "After")["msg"] == ["third"]


# What the user types.


def test_strict_expressions_fail_the_inventory_and_others_do_not(fleet, configure, ansible_home):
    options = {
        "compose": {"label": "uml_umid ~ '@' ~ uml_vm_host"},
        "groups": {"web": "uml_umid.startswith('web')", "odd": "no.thing"},
    }
    listed, _said = listing(configure(fleet.vm_hosts(), **options), ansible_home)
    assert hosts(listed, "web") == ["web0", "web1"]
    assert listed["_meta"]["hostvars"]["web0"]["label"] == "web0@vm1"
    run = ansible.run_command(["ansible-inventory", "--list"], configure(fleet.vm_hosts(), strict=True, **options))
    assert re.search(r"Could not add host \w+ to group odd", " ".join(run.stderr.split()))


@pytest.mark.smoke
def test_the_documented_examples_are_valid(configure, fleet, ansible_home):
    examples = list(yaml.safe_load_all(EXAMPLES))
    assert len(examples) == 5
    for example in examples:
        mine = {"vm_hosts": {"vm1": fleet.vm_hosts()["vm1"]}, "vm_host_groups": []}
        config = configure(**{**example, **mine})
        listed, said = listing(config, ansible_home, env={"HOME": str(ansible_home)})
        assert len(hosts(listed, "uml_instances")) == 2
        assert "WARNING" not in said


def test_runs_pile_up_nothing_on_the_vm_host(fleet, configure, ansible_home):
    config = configure({"vm1": fleet.vm_hosts()["vm1"]})
    listing(config, ansible_home)
    client = len(fleet.root.started())
    for _run in range(2):
        listing(config, ansible_home)
    wait_until(lambda: len(fleet.root.started()) <= client, 60, lambda: f"more than a client: {fleet.root.started()}")
