# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin with VM hosts that answer from a table."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader

from ansible_collections.uml.mconsole.plugins.inventory import instances as plugin_file
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.states import STATES
from ansible_collections.uml.mconsole.plugins.plugin_utils import _ask_hosts, _inventory_hosts, _unsafe, _vmhosts
from support.processes import descendants
from support.wait import wait_until

EVIL = "{{ lookup('pipe', 'id') }}"
OLD = _unsafe.NEEDED  # an ansible-core before 2.19


def found(umid, uml_dir="/u", state="running", **more):
    """Return an instance as a VM host reports it."""
    return {"umid": umid, "uml_dir": uml_dir, "state": state, "owner": "root", "kernel": "6.1.176", **more}


class Fleet:
    """VM hosts that answer from a table: {name: [instances], or an error as text}."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.table = {}
        self.odd = {}  # what a VM host answers instead of a list of instances
        self.asked = []
        self.questions = {}

    def ask(self, jobs, _forks, _timeout):
        """Stand in for the real thing; a job is a VM host's bound method with its arguments."""
        answers = {}
        for name, job in jobs.items():
            self.asked.append(name)
            self.questions[name] = (job.func.__self__, *job.args)
            told = self.odd.get(name, self.table[name])
            answers[name] = (
                _ask_hosts.Answer({}, told)
                if isinstance(told, str) and name not in self.odd
                else _ask_hosts.Answer({"changed": False, "instances": told})
            )
        return answers

    def configure(self, name="fleet.uml.yml", **options):
        """Write a configuration; by default it asks all VM hosts of the table."""
        path = self.folder / name
        path.write_text(yaml.safe_dump({"plugin": "uml.mconsole.instances", "vm_hosts": list(self.table), **options}))
        return str(path)

    def parse(self, *sources, flush=False, **options):
        """Return the inventory of some sources and a configuration."""
        whole = [*map(str, sources), self.configure(**options)]
        return InventoryManager(loader=DataLoader(), sources=whole, cache=not flush)

    def fail(self, earlier=None, **options):
        """Return the text of the error that a configuration ends in, behind the sources of an inventory."""
        plugin = inventory_loader.get("uml.mconsole.instances")
        inventory = (earlier or InventoryManager(DataLoader(), sources=[]))._inventory
        with pytest.raises(AnsibleError) as caught:
            plugin.parse(inventory, DataLoader(), self.configure(**options))
        return str(caught.value)


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """Yield a fleet that the plugin asks instead of real VM hosts."""
    fleet = Fleet(tmp_path)
    monkeypatch.setattr(_ask_hosts, "ask", fleet.ask)
    return fleet


@pytest.fixture
def warnings(monkeypatch):
    """Collect what the plugin warns of."""
    said = []
    monkeypatch.setattr(plugin_file.InventoryModule, "display", None, raising=False)
    original = plugin_file.InventoryModule.__init__

    def init(self):
        original(self)
        self.display = type(
            "Display", (), {"warning": staticmethod(said.append), "vvv": staticmethod(lambda _text: None)}
        )

    monkeypatch.setattr(plugin_file.InventoryModule, "__init__", init)
    return said


def members(inventory, group):
    """Return the names of a group's hosts."""
    return sorted(host.name for host in inventory.groups[group].get_hosts())


def variables(inventory, host):
    """Return a host's own variables."""
    return inventory.hosts[host].vars


# What comes out.


def test_an_instance_comes_out_ready_to_use(fleet):
    fleet.table = {"vm1": [found("web0", pid=7)]}
    reach = {"ansible_host": "192.0.2.1", "ansible_port": 2222, "ansible_user": "ops", "rack": "r1"}
    inventory = fleet.parse(vm_hosts={"vm1": reach})
    known = variables(inventory, "web0")
    assert {key: known[key] for key in known if key.startswith("ansible_")} == {
        "ansible_host": "192.0.2.1",
        "ansible_port": 2222,
        "ansible_user": "ops",
        "ansible_python_interpreter": "auto_silent",
        "ansible_connection": "uml.mconsole.mconsole",
        "ansible_facts_modules": "uml.mconsole.instance_facts",
        "ansible_uml_umid": "web0",
        "ansible_uml_dir": "/u",
    }
    assert (known["uml_vm_host"], known["uml_state"], known["uml_pid"], known["uml_dir"]) == ("vm1", "running", 7, "/u")
    assert "rack" not in known


def test_groups_hold_instances_by_vm_host_and_by_state(fleet):
    fleet.table = {"vm-1": [found("a"), found("b", state="paused")], "vm2": [found("c")], "vm3": "no route"}
    inventory = fleet.parse()
    assert members(inventory, "uml_instances") == ["a", "b", "c"]
    assert members(inventory, "uml_vmhost_vm_1") == ["a", "b"]
    assert members(inventory, "uml_paused") == ["b"]
    assert members(inventory, "uml_vm_hosts") == ["vm-1", "vm2", "vm3"]
    assert members(inventory, "uml_unreachable") == ["vm3"]


def test_a_vm_host_without_an_answer_is_a_warning_with_its_reason(fleet, warnings):
    fleet.table = {"vm1": [found("a")], "vm2": "no \x1b[31mroute\n" + EVIL}
    inventory = fleet.parse()
    assert variables(inventory, "vm2")["uml_unreachable_reason"] == "no \x1b[31mroute\n" + EVIL
    assert [text for text in warnings if "vm2" in text and "no \\x1b[31mroute {{" in text]


def test_secrets_are_referred_to_and_not_copied(fleet):
    fleet.table = {"vm1": [found("a")]}
    secrets = {"ansible_become_password": "x1", "ansible_ssh_pass": "x2"}
    if not OLD:  # which know no such option
        secrets["ansible_ssh_private_key_passphrase"] = "x3"
    known = variables(fleet.parse(vm_hosts={"vm1": {**secrets, "ansible_ssh_private_key_file": "/key"}}), "a")
    assert known["ansible_ssh_private_key_file"] == "/key"
    for name in secrets:
        assert known[name] == f"{{{{ hostvars['vm1']['{name}'] }}}}"


def test_templates_of_variables_are_rendered(fleet):
    fleet.table = {"vm1": [found("a")]}
    known = variables(fleet.parse(vm_hosts={"vm1": {"ansible_host": "{{ net }}.1", "net": "192.0.2"}}), "a")
    assert known["ansible_host"] == "192.0.2.1"


def test_a_variable_that_cannot_be_rendered_costs_its_vm_host_alone(fleet, warnings):
    fleet.table = {"vm1": [found("a")], "vm2": [found("b")]}
    inventory = fleet.parse(vm_hosts={"vm1": {"ansible_host": "{{ nowhere }}"}, "vm2": None})
    assert members(inventory, "uml_instances") == ["b"]
    assert [text for text in warnings if "vm1" in text and "ansible_host cannot be rendered" in text]


def test_localhost_is_the_controller_itself(fleet):
    fleet.table = {"localhost": [found("a")]}
    inventory = fleet.parse()
    assert variables(inventory, "a")["ansible_uml_transport"] == "local"
    assert variables(inventory, "localhost")["ansible_connection"] == "local"


def test_localhost_with_a_port_is_reached_over_ssh(fleet):
    fleet.table = {"localhost": [found("a")]}
    inventory = fleet.parse(vm_hosts={"localhost": {"ansible_port": 2222}})
    assert "ansible_uml_transport" not in variables(inventory, "a")


def test_a_connection_that_instances_cannot_go_is_refused(fleet, warnings):
    fleet.table = {"vm1": [found("a")]}
    inventory = fleet.parse(vm_hosts={"vm1": {"ansible_connection": "community.docker.docker"}})
    assert members(inventory, "uml_unreachable") == ["vm1"]
    assert [text for text in warnings if "ansible_connection is docker" in text]


def test_ranges_and_ports_are_understood(fleet):
    fleet.table = {"vm01": [], "vm02": [], "other": []}
    inventory = fleet.parse(vm_hosts=["vm[01:02]", "other:2222"])
    assert members(inventory, "uml_vm_hosts") == ["other", "vm01", "vm02"]
    assert variables(inventory, "other")["ansible_port"] == 2222


def test_an_instance_of_somebody_else_is_reached_by_becoming_its_owner(fleet):
    fleet.table = {"vm1": [found("a", state="unknown", owner="bob")]}
    assert members(fleet.parse(), "uml_instances") == []
    known = variables(fleet.parse(states=["unknown"]), "a")
    assert (known["ansible_become"], known["ansible_become_user"]) == (True, "bob")


def test_facts_are_asked_for_in_the_same_question(fleet):
    fleet.table = {"vm1": [found("a", facts={"hostname": "inside"})]}
    known = variables(fleet.parse(facts=True, uml_dir="/u", umids=["a*"]), "a")
    assert known["uml_facts"]["hostname"] == "inside"
    vm_host, operation, params = fleet.questions["vm1"]
    assert (vm_host.name, operation) == ("vm1", "instance_info")
    assert params == {"uml_dir": "/u", "umids": ["a*"], "gather_subset": ["default"]}


def test_a_vm_hosts_own_uml_dir_wins(fleet):
    fleet.table = {"vm1": [found("a", uml_dir="/v")]}
    inventory = fleet.parse(vm_hosts={"vm1": {"ansible_uml_dir": "/v"}}, uml_dir="/u")
    assert fleet.questions["vm1"][2]["uml_dir"] == "/v"
    assert variables(inventory, "a")["ansible_uml_dir"] == "/v"


def test_what_was_found_is_no_template(fleet):
    fleet.table = {"vm1": [found("a", uml_dir="/" + EVIL, kernel=EVIL, facts={EVIL: [EVIL]})]}
    inventory = fleet.parse(facts=True, compose={"copied": "uml_kernel"})
    known = variables(inventory, "a")
    assert known["copied"] == EVIL
    if _unsafe.NEEDED:
        marked = [known["uml_kernel"], known["ansible_uml_dir"], known["copied"], *known["uml_facts"][EVIL]]
        assert all(hasattr(value, "__UNSAFE__") for value in marked)


def test_half_a_template_is_none_either(monkeypatch):
    """Two texts of one guest that a play puts together: marked where a core would take the whole for a template."""
    monkeypatch.setattr(_unsafe, "NEEDED", True)
    monkeypatch.setattr("ansible.utils.unsafe_proxy.wrap_var", lambda text: f"unsafe {text}")
    assert _unsafe.mark({"a": "{", "b": ["x {"], "{c": 1}) == {"a": "unsafe {", "b": ["unsafe x {"], "unsafe {c": 1}
    assert _unsafe.mark("{ lookup('pipe', 'id') }}") == "unsafe { lookup('pipe', 'id') }}"
    assert _unsafe.mark(["plain", 5, None, True]) == ["plain", 5, None, True]


# VM hosts of earlier sources.


def test_vm_hosts_of_a_group_bring_their_variables(fleet):
    (fleet.folder / "group_vars").mkdir()
    (fleet.folder / "host_vars").mkdir()
    (fleet.folder / "group_vars" / "all.yml").write_text("ansible_user: everyone\nansible_port: 1\n")
    (fleet.folder / "group_vars" / "uml_vm_hosts.yml").write_text("ansible_user: ops\n")
    (fleet.folder / "host_vars" / "vm1.yml").write_text("ansible_port: 22\n")
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text("kvm: {hosts: {vm1: {ansible_host: 192.0.2.1}}, vars: {ansible_ssh_timeout: 3}}\n")
    fleet.table = {"vm1": [found("a")]}
    known = variables(fleet.parse(earlier, vm_hosts=[], vm_host_groups=["kvm"]), "a")
    names = ("host", "port", "user", "ssh_timeout")
    assert [known[f"ansible_{name}"] for name in names] == ["192.0.2.1", 22, "ops", 3]


def test_variables_given_here_win_over_earlier_ones(fleet):
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text("kvm: {hosts: {vm1: {ansible_user: a, ansible_port: 1}}}\n")
    fleet.table = {"vm1": [found("a")]}
    known = variables(fleet.parse(earlier, vm_hosts={"vm1": {"ansible_user": "b"}}), "a")
    assert (known["ansible_user"], known["ansible_port"]) == ("b", 1)


def test_instances_of_an_earlier_source_are_no_vm_hosts(fleet):
    fleet.table = {"vm1": [found("a")]}
    first = fleet.configure("first.uml.yml")
    fleet.parse(first, vm_hosts=[], vm_host_groups=["all"], hostnames="qualified")
    assert fleet.asked == ["vm1", "vm1"]


def test_the_same_instance_in_two_sources_is_one_host(fleet):
    fleet.table = {"vm1": [found("a")]}
    first = fleet.configure("first.uml.yml")
    assert members(fleet.parse(first, facts=True), "uml_instances") == ["a"]


# Which become hosts, and their names.


def test_globs_and_states_choose(fleet):
    states = {
        "web0": "running",
        "web1": "stale",
        "web2": "hung",
        "web-test": "running",
        "db": "running",
        "w": "orphaned",
    }
    fleet.table = {"vm1": [found(umid, state=state) for umid, state in states.items()]}
    assert members(fleet.parse(), "uml_instances") == ["db", "web-test", "web0", "web2"]
    assert members(fleet.parse(umids=["web*"], exclude_umids=["*-test"]), "uml_instances") == ["web0", "web2"]
    assert members(fleet.parse(states=["stale", "orphaned"]), "uml_instances") == ["w", "web1"]


def test_the_documented_states_are_those_there_are():
    documented = yaml.safe_load(plugin_file.DOCUMENTATION)["options"]["states"]["choices"]
    assert sorted(documented) == sorted(STATES)


def test_qualified_names_tell_instances_of_one_umid_apart(fleet):
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0")]}
    assert members(fleet.parse(hostnames="qualified"), "uml_instances") == ["web0.vm1", "web0.vm2"]


def test_instances_of_one_umid_are_both_qualified_and_the_rest_stays(fleet, warnings):
    fleet.table = {"vm1": [found("web0"), found("a")], "vm2": [found("web0", "/v")]}
    assert members(fleet.parse(), "uml_instances") == ["a", "web0.vm1", "web0.vm2"]
    assert warnings == [
        "uml.mconsole.instances: web0 in /u of vm1 is called 'web0.vm1': 'web0' is web0 in /v of vm2",
        "uml.mconsole.instances: web0 in /v of vm2 is called 'web0.vm2': 'web0' is web0 in /u of vm1",
    ]


@pytest.mark.parametrize("hostnames", ["umid", "qualified"])
def test_instances_of_one_umid_on_one_vm_host_are_left_out_and_the_rest_stays(fleet, warnings, hostnames):
    fleet.table = {"vm1": [found("web0"), found("web0", "/v"), found("a")]}
    inventory = fleet.parse(hostnames=hostnames)
    assert members(inventory, "uml_instances") == ["a" if hostnames == "umid" else "a.vm1"]
    assert len(warnings) == 2
    said = "web0 in /u of vm1 is left out: 'web0.vm1' is web0 in /v of vm1; set uml_dir, or ansible_uml_dir of vm1, to"
    assert f"uml.mconsole.instances: {said} the directory that you mean" in warnings


def test_a_name_that_two_want_is_used_by_neither_however_they_come_to_want_it(fleet):
    """Another one is called what a qualified one would be: a play on that name must not reach it."""
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0"), found("web0.vm1")], "vm3": [found("web0.vm1.vm2")]}
    assert members(fleet.parse(), "uml_instances") == ["web0.vm1.vm2.vm3", "web0.vm2"]


def test_the_remains_of_an_instance_collide_with_nothing(fleet):
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0", state="stale")]}
    assert members(fleet.parse(), "uml_instances") == ["web0"]


@pytest.mark.parametrize("answer", [[], "no route"])
def test_an_instance_called_like_a_vm_host_is_qualified(fleet, warnings, answer):
    fleet.table = {"vm1": [found("vm2")], "vm2": answer}
    inventory = fleet.parse()
    assert members(inventory, "uml_instances") == ["vm2.vm1"]
    assert "uml_umid" not in variables(inventory, "vm2")
    assert [text for text in warnings if "vm2 in /u of vm1 is called 'vm2.vm1': 'vm2' is a VM host" in text]


def test_an_instance_called_like_the_address_of_a_vm_host_is_qualified(fleet):
    fleet.table = {"vm1": [found("192.0.2.2")], "vm2": []}
    inventory = fleet.parse(vm_hosts={"vm1": None, "vm2": {"ansible_host": "192.0.2.2"}})
    assert members(inventory, "uml_instances") == ["192.0.2.2.vm1"]


@pytest.mark.parametrize("known", ["", "ansible_host: 192.0.2.9", "ansible_connection: ssh"])
def test_an_instance_called_like_another_machine_is_qualified(fleet, warnings, known):
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text(f"all: {{hosts: {{web0: {{{known}}}}}}}\n")
    fleet.table = {"vm1": [found("web0"), found("a")]}
    inventory = fleet.parse(earlier)
    assert members(inventory, "uml_instances") == ["a", "web0.vm1"]
    assert "uml_state" not in variables(inventory, "web0")
    assert len([text for text in warnings if "'web0' is a host of an earlier source, which does not" in text]) == 1


GROUPS = "front: {hosts: {prod: null}, children: {web: {hosts: {prod2: null}}}}\n"
NAMES = [
    "web",
    "front",
    "all",
    "ungrouped",
    "uml_running",
    "uml_stale",
    "uml_instances",
    "uml_vm_hosts",
    "uml_unreachable",
    "uml_vmhost_vm1",
    "composed",
    "parent",
    "localhost",
    "127.0.0.1",
    "prod",
    "vm1",
]


@pytest.mark.parametrize("umid", NAMES)
def test_a_umid_captures_nothing_of_the_inventory(fleet, warnings, umid):
    """No group becomes a child of ours, and no host or the controller becomes an instance."""
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text(GROUPS)
    composed = {
        "groups": {"composed": "true"},
        "keyed_groups": [{"key": "uml_owner", "prefix": "o", "parent_group": "parent"}],
    }
    fleet.table = {"vm1": [found(umid), found("a")]}
    inventory = fleet.parse(earlier, **composed)
    own = ["uml_instances", "uml_running", "uml_vmhost_vm1", "composed", "o_root"]
    assert [members(inventory, group) for group in own] == [sorted(["a", f"{umid}.vm1"])] * len(own)
    assert members(inventory, "front") == ["prod", "prod2"]
    assert not [name for name in ("prod", "prod2", "vm1") if "uml_umid" in variables(inventory, name)]
    assert inventory.get_host("localhost").vars["ansible_connection"] == "local"  # the implicit one
    assert len(warnings) == 1
    assert f"{umid} in /u of vm1 is called '{umid}.vm1': '{umid}' is " in warnings[0]


def test_a_group_that_a_guest_named_is_not_an_instance(fleet):
    """Keyed groups without a prefix: the guest of web0 calls itself db0, and db0 is in its groups still."""
    fleet.table = {"vm1": [found("web0", kernel="db0"), found("db0", kernel="k")]}
    options = {"groups": {"all_of_them": "true"}, "keyed_groups": [{"key": "uml_kernel", "separator": ""}]}
    inventory = fleet.parse(**options)
    for group in ("uml_instances", "uml_running", "all_of_them"):
        assert not [child.name for child in inventory.groups[group].child_groups if child.name == "db0"]
        assert members(inventory, group) == ["db0", "web0"]


def test_a_vm_host_called_like_a_group_is_refused(fleet):
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text(GROUPS)
    fleet.table = {"web": []}
    said = fleet.fail(InventoryManager(DataLoader(), sources=[str(earlier)]))
    assert said == "vm_hosts: 'web' is a group of the inventory, not a host; expected vm_host_groups: [web]"


def test_a_vm_host_called_like_an_instance_of_an_earlier_source_is_not_asked(fleet, warnings):
    fleet.table = {"vm1": [found("vm2")]}
    first = fleet.configure("first.uml.yml")
    fleet.table["vm2"] = [found("a")]
    inventory = fleet.parse(first, vm_hosts=["vm2"])
    assert (members(inventory, "uml_unreachable"), fleet.asked) == (["vm2"], ["vm1"])
    assert "an earlier source has an instance of that name; give the VM host another name" in warnings[-1]


@pytest.mark.parametrize(
    ("vm_host", "name"), [("::1", "a.--1"), ("2001:db8::7", "a.2001-db8--7"), ("fe80::1%eth0", "a.fe80--1-eth0")]
)
def test_an_address_of_ipv6_makes_names_that_hosts_can_have(fleet, warnings, vm_host, name):
    fleet.table = {vm_host: [found("a")]}
    inventory = fleet.parse(vm_hosts={vm_host: {"ansible_port": 22}}, hostnames="qualified")
    assert (members(inventory, "uml_instances"), warnings) == ([name], [])
    assert variables(inventory, name)["ansible_host"] == vm_host
    assert [host.name for host in inventory.get_hosts(name)] == [name]


@pytest.mark.parametrize("vm_host", ["::1", "127.0.0.1"])
def test_an_address_of_this_machine_is_reached_over_ssh(fleet, vm_host):
    fleet.table = {vm_host: [found("a")]}
    inventory = fleet.parse(vm_hosts=[vm_host])
    assert "ansible_connection" not in variables(inventory, vm_host)
    assert "ansible_uml_transport" not in variables(inventory, "a")


def test_an_earlier_source_gives_an_instance_groups_and_variables(fleet):
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text(
        "front: {hosts: {web0: {role: first}, web1: null}, vars: {ansible_connection: uml.mconsole.mconsole}}\n"
    )
    fleet.table = {"vm1": [found("web0")]}
    inventory = fleet.parse(earlier)
    assert (variables(inventory, "web0")["role"], variables(inventory, "web0")["uml_state"]) == ("first", "running")
    assert members(inventory, "front") == ["web0", "web1"]


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({"ansible_host": "192.0.2.1", "ansible_uml_dir": "/u"}, "web0"),
        ({"ansible_host": "vm1"}, "web0"),
        ({"ansible_uml_dir": "~/.uml", "ansible_host": "{{ somewhere }}"}, "web0"),
        ({"ansible_host": "192.0.2.9"}, "web0.vm1"),
        ({"ansible_uml_dir": "/v"}, "web0.vm1"),
        ({"ansible_uml_umid": "other"}, "web0.vm1"),
        ({"ansible_port": 2222}, "web0.vm1"),
    ],
)
def test_a_listed_instance_is_the_one_that_its_variables_name(fleet, known, name):
    """Another one of that umid does not get what the listed one is given."""
    earlier = fleet.folder / "hosts.yml"
    listed = {"hosts": {"web0": known}, "vars": {"ansible_connection": "uml.mconsole.mconsole"}}
    earlier.write_text(yaml.safe_dump({"front": listed}))
    fleet.table = {"vm1": [found("web0")]}
    inventory = fleet.parse(earlier, vm_hosts={"vm1": {"ansible_host": "192.0.2.1", "ansible_port": 22}})
    assert members(inventory, "uml_instances") == [name]


def test_instances_that_have_their_connection_from_a_group_are_not_vm_hosts(fleet):
    earlier = fleet.folder / "hosts.yml"
    instances = {"hosts": {"web0": None}, "vars": {"ansible_connection": "uml.mconsole.mconsole"}}
    earlier.write_text(yaml.safe_dump({"kvm": {"hosts": {"vm1": None}, "children": {"guests": instances}}}))
    fleet.table = {"vm1": []}
    fleet.parse(earlier, vm_hosts=[], vm_host_groups=["kvm"])
    assert fleet.asked == ["vm1"]


def test_instances_of_one_name_in_two_sources_are_two_hosts(fleet, warnings):
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0", "/v")]}
    first = fleet.configure("first.uml.yml", vm_hosts=["vm1"])
    assert members(fleet.parse(first, vm_hosts=["vm2"]), "uml_instances") == ["web0", "web0.vm2"]
    assert "web0 in /v of vm2 is called 'web0.vm2': 'web0' is web0 in /u of vm1" in warnings[0]


@pytest.mark.parametrize("umid", ["a b", "a:b", "a,b", "[a]", "{{a}}", "!a", "-a", "a*", "a\x1bb", "web0\r"])
def test_a_umid_that_no_host_can_have_is_left_out_with_a_warning(fleet, warnings, umid):
    fleet.table = {"vm1": [found(umid), found("web0")]}
    assert members(fleet.parse(), "uml_instances") == ["web0"]
    shown = umid.replace("\x1b", "\\x1b").replace("\r", "\\r")
    assert warnings == [f"uml.mconsole.instances: {shown} in /u of vm1 is left out: a host cannot have that name"]


@pytest.mark.parametrize(
    "answer", [None, "text", [5], [{"umid": 7, "uml_dir": "/u", "state": "running"}], [{"umid": "a"}]]
)
def test_an_answer_that_lists_no_instances_costs_its_vm_host_alone(fleet, warnings, answer):
    fleet.table = {"vm1": [found("a")], "vm2": [found("b")]}
    fleet.odd["vm1"] = answer
    assert members(fleet.parse(), "uml_instances") == ["b"]
    assert "the VM host vm1 is left out: its answer is not a list of instances" in warnings[0]


def test_a_vm_host_cannot_say_where_its_instances_are(fleet):
    more = {"uml_vm_host": "vm2", "vm_host": "vm2", "facts": {}}
    fleet.table = {"vm1": [found("a", **more)]}
    known = variables(fleet.parse(), "a")
    assert (known["uml_vm_host"], known["ansible_host"]) == ("vm1", "vm1")


# Variables that Ansible itself sets.


def test_variables_of_ansible_itself_can_be_used(fleet):
    (fleet.folder / "hosts.yml").write_text("kvm: {hosts: {gw: {net: 192.0.2}, vm1: null}}\n")
    templates = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_host": "{{ hostvars['gw'].net }}.1",
        "ansible_user": "{{ inventory_hostname }}-{{ inventory_hostname_short }}-{{ group_names | join('.') }}",
        "ansible_ssh_private_key_file": "{{ inventory_dir }}/key",
        "ansible_ssh_common_args": "{{ '-v' if ansible_version.major > 1 else '' }}{{ groups['kvm'] | length }}",
        "ansible_ssh_extra_args": "{{ nothing | default(omit) }}",
        "ansible_become_password": "{{ nothing | default(omit) }}",
    }
    fleet.table = {"vm1": [found("a")]}
    known = variables(fleet.parse(fleet.folder / "hosts.yml", vm_hosts={"vm1": templates}), "a")
    assert known["ansible_python_interpreter"] == sys.executable
    assert known["ansible_host"] == "192.0.2.1"
    assert known["ansible_user"] == "vm1-vm1-kvm.uml_vm_hosts"
    assert known["ansible_ssh_private_key_file"] == f"{fleet.folder}/key"
    assert known["ansible_ssh_common_args"] == "-v2"
    assert "ansible_ssh_extra_args" not in known
    assert "ansible_become_password" not in known


def test_the_directory_is_known_to_the_vm_host(fleet):
    fleet.table = {"vm1": [], "vm2": []}
    inventory = fleet.parse(uml_dir="/u")
    assert variables(inventory, "vm1")["uml_inventory_dir"] == "/u"
    assert "uml_inventory_dir" not in variables(fleet.parse(), "vm1")


def test_a_vm_host_with_two_directories_has_none_of_them(fleet):
    fleet.table = {"vm1": []}
    first = fleet.configure("first.uml.yml", uml_dir="/u")
    assert variables(fleet.parse(first, uml_dir="/v"), "vm1")["uml_inventory_dir"] is None
    assert variables(fleet.parse(first), "vm1")["uml_inventory_dir"] is None
    assert variables(fleet.parse(first, uml_dir="/u"), "vm1")["uml_inventory_dir"] == "/u"


# Constructed features.


def test_variables_and_groups_are_composed(fleet):
    fleet.table = {"vm1": [found("web0", kernel="6.1")]}
    inventory = fleet.parse(
        compose={"double": "uml_umid ~ uml_umid"},
        groups={"web": "uml_umid is match('web')", "db": "uml_umid is match('db')"},
        keyed_groups=[{"key": "uml_kernel", "prefix": "kernel"}, {"key": "double", "prefix": ""}],
    )
    assert variables(inventory, "web0")["double"] == "web0web0"
    assert members(inventory, "web") == members(inventory, "kernel_6_1") == members(inventory, "_web0web0") == ["web0"]
    assert "db" not in inventory.groups


@pytest.mark.parametrize(
    "option",
    [
        {"compose": {"x": "nothing.at.all"}},
        {"groups": {"x": "nothing.at.all"}},
        {"keyed_groups": [{"key": "no.thing"}]},
    ],
)
def test_strict_is_heeded_everywhere(fleet, option):
    fleet.table = {"vm1": [found("web0")]}
    assert members(fleet.parse(strict=False, **option), "uml_instances") == ["web0"]
    assert "web0" in fleet.fail(strict=True, **option)


# The cache.


@pytest.fixture
def cached(fleet):
    """Yield a fleet with a cache on disk, and a parse that uses it."""
    fleet.table = {"vm1": [found("a")], "vm2": [found("b")]}
    options = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(fleet.folder / "cache"),
    }

    def parse(**more):
        fleet.asked.clear()
        return members(fleet.parse(**options, **more), "uml_instances")

    return parse


def test_the_second_run_asks_nobody(fleet, cached):
    assert (cached(), fleet.asked) == (["a", "b"], ["vm1", "vm2"])
    fleet.table["vm1"] = "no route"
    assert (cached(), fleet.asked) == (["a", "b"], [])


def test_what_is_cached_is_chosen_from_anew(fleet, cached):
    cached()
    assert (cached(exclude_umids=["a"]), fleet.asked) == (["b"], [])
    assert (cached(hostnames="qualified"), fleet.asked) == (["a.vm1", "b.vm2"], [])


def test_another_question_is_asked(fleet, cached):
    cached()
    assert (cached(facts=True), fleet.asked) == (["a", "b"], ["vm1", "vm2"])


def test_another_way_to_a_vm_host_is_another_vm_host(fleet, cached):
    cached(vm_hosts={"vm1": None, "vm2": {"ansible_port": 1}})
    assert (cached(vm_hosts={"vm1": None, "vm2": {"ansible_port": 2}}), fleet.asked) == (["a", "b"], ["vm2"])


def test_a_vm_host_that_did_not_answer_is_asked_again(fleet, cached):
    fleet.table["vm2"] = "no route"
    assert cached() == ["a"]
    fleet.table["vm2"] = [found("b")]
    assert (cached(), fleet.asked) == (["a", "b"], ["vm2"])


def test_a_flush_asks_everybody_and_keeps_the_answers(fleet, cached):
    cached()
    fleet.table["vm1"] = [found("new")]
    assert (cached(flush=True), fleet.asked) == (["b", "new"], ["vm1", "vm2"])
    assert (cached(), fleet.asked) == (["b", "new"], [])


def test_what_has_expired_is_asked_again(fleet, cached, monkeypatch):
    cached(cache_timeout=600)
    assert (cached(cache_timeout=600), fleet.asked) == (["a", "b"], [])
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    assert (cached(cache_timeout=600), fleet.asked) == (["a", "b"], ["vm1", "vm2"])


def test_an_answer_keeps_its_age_when_another_comes(fleet, cached, monkeypatch):
    fleet.table["vm2"] = "no route"
    cached(cache_timeout=600)
    start = time.time()
    fleet.table["vm2"] = [found("b")]
    monkeypatch.setattr(time, "time", lambda: start + 500)
    cached(cache_timeout=600)
    for path in (fleet.folder / "cache").iterdir():
        os.utime(path, (start + 500, start + 500))  # as the real clock would have it
    monkeypatch.setattr(time, "time", lambda: start + 700)
    assert (cached(cache_timeout=600), fleet.asked) == (["a", "b"], ["vm1"])


def test_without_the_option_nothing_is_cached(fleet):
    fleet.table = {"vm1": [found("a")]}
    fleet.parse()
    fleet.parse()
    assert fleet.asked == ["vm1", "vm1"]


def test_a_cache_that_cannot_be_read_is_none(fleet, cached):
    cached()
    (path,) = (fleet.folder / "cache").iterdir()
    path.write_text("{ not json")
    assert (cached(), fleet.asked) == (["a", "b"], ["vm1", "vm2"])


# The configuration.


@pytest.mark.parametrize("name", ["fleet.uml.yml", "fleet.uml.yaml"])
def test_the_name_says_that_a_file_is_ours(tmp_path, name):
    (tmp_path / name).write_text("plugin: uml.mconsole.instances\n")
    plugin = inventory_loader.get("uml.mconsole.instances")
    assert plugin.verify_file(str(tmp_path / name))
    assert not plugin.verify_file(str(tmp_path / "nowhere.uml.yml"))


def test_other_files_are_not_ours(tmp_path):
    (tmp_path / "fleet.yml").write_text("plugin: amazon.aws.aws_ec2\n")
    assert not inventory_loader.get("uml.mconsole.instances").verify_file(str(tmp_path / "fleet.yml"))


@pytest.mark.parametrize("name", ["fleet.yml", "uml.yml", "fleet.uml.yml.j2", "fleet"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_file_of_ours_with_another_name_says_what_is_wrong_with_it(tmp_path, name, quote):
    (tmp_path / name).write_text(f"---\n# fleet\nplugin: {quote}uml.mconsole.instances{quote}\n")
    with pytest.raises(AnsibleParserError, match=r"ends in neither \.uml\.yml nor \.uml\.yaml.*; rename the file"):
        inventory_loader.get("uml.mconsole.instances").verify_file(str(tmp_path / name))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vm_hosts": []}, "no VM hosts; expected vm_hosts or vm_host_groups"),
        ({"vm_hosts": 5}, "vm_hosts: expected a list of names, or names with their variables, found 5"),
        ({"vm_hosts": [{"name": "a"}]}, "vm_hosts: expected the name of a host, found {'name': 'a'}"),
        ({"vm_hosts": ["a b"]}, "vm_hosts: expected the name of a host, found 'a b'"),
        ({"vm_hosts": ["a'b"]}, "vm_hosts: expected the name of a host"),
        ({"vm_hosts": {"a": 5}}, "vm_hosts: expected the variables of a as a dictionary, found 5"),
        ({"vmhosts": ["a"]}, "unknown option 'vmhosts'; did you mean 'vm_hosts'?"),
        ({"frobnicate": 1}, "unknown option 'frobnicate'; expected one of cache"),
        ({"facts": "perhaps"}, "facts: expected true or false, found 'perhaps'"),
        ({"strict": ["yes"]}, "retrieving strict" if OLD else "strict: expected true or false, found ['yes']"),
        ({"states": ["runing"]}, "runing"),
        ({"hostnames": "long"}, "long"),
        ({"forks": "many"}, "many"),
        ({"forks": 0}, "forks: expected a number above 0, found 0"),
        ({"timeout": -1}, "timeout: expected a number above 0, found -1"),
        ({"umids": ["web["]}, "umids: the glob 'web[' has a [ without its ]"),
        ({"umids": ["a/b"]}, "umids: 'a/b' matches no umid; expected a name or a glob such as 'web*'"),
        ({"exclude_umids": [""]}, "exclude_umids: '' matches no umid"),
        ({"vm_host_groups": ["kvm"]}, "no earlier source of the inventory has a group 'kvm'"),
        ({"umids": ["web0", 7]}, "umids: expected text, found 7; write the name in quotes, because YAML does not"),
        ({"umids": [False]}, "umids: expected text, found False; write the name in quotes"),
        ({"exclude_umids": [1.1]}, "exclude_umids: expected text, found 1.1; write the name in quotes"),
        ({"vm_hosts": [7]}, "vm_hosts: expected the name of a host, found 7; write it in quotes"),
        ({"vm_hosts": {7: None}}, "vm_hosts: expected the name of a host, found 7; write it in quotes"),
        ({"vm_host_groups": [False]}, "vm_host_groups: expected text, found False; write the name in quotes"),
        ({"uml_dir": 7}, "uml_dir: expected text, found 7; write the name in quotes"),
    ],
)
def test_a_wrong_configuration_is_one_clear_sentence(fleet, options, said):
    fleet.table = {"vm1": []}
    text = fleet.fail(**options)
    assert said in text
    assert fleet.asked == []


@pytest.mark.parametrize("glob", ["*", "web?", "w[ab]", "w[!ab]", "w[]]", "w[!]a]", "web]"])
def test_good_globs_pass(glob):
    _inventory_hosts.check_globs("umids", [glob])


@pytest.mark.parametrize("glob", ["[", "a[b", "[]", "[!]", "[a][b", "[!a"])
def test_open_brackets_do_not(glob):
    with pytest.raises(AnsibleParserError, match="without its"):
        _inventory_hosts.check_globs("umids", [glob])


# Many VM hosts side by side.


def test_answers_come_from_all():
    jobs = {str(number): lambda number=number: {"number": number} for number in range(9)}
    answers = _ask_hosts.ask(jobs, 3, 30)
    assert list(answers) == list(jobs)
    assert all(answer == ({"number": int(name)}, "") for name, answer in answers.items())


def test_no_more_than_forks_run_at_once(tmp_path):
    def job(name):
        def run():
            (tmp_path / name).touch()
            count = len(list(tmp_path.iterdir()))
            time.sleep(0.05)  # long enough for one too many to be seen
            (tmp_path / name).unlink()
            return {"count": count}

        return run

    answers = _ask_hosts.ask({name: job(name) for name in "abcdefgh"}, 2, 30)
    assert max(answer.result["count"] for answer in answers.values()) <= 2


def test_a_big_answer_arrives_whole():
    assert len(_ask_hosts.ask({"a": lambda: {"text": "x" * 5_000_000}}, 1, 30)["a"].result["text"]) == 5_000_000


def refuse():
    """End as a connection to a port where nothing listens."""
    raise AnsibleError("no route")


def test_errors_are_answers_too():
    jobs = {"refused": refuse, "bug": lambda: {}["x"], "dead": lambda: os._exit(3), "fine": lambda: {"ok": 1}}
    answers = _ask_hosts.ask(jobs, 4, 30)
    assert answers["refused"].error == "no route"
    assert answers["bug"].error == "a bug of the collection: KeyError: 'x'"
    assert answers["dead"].error == "the process that asked it ended without an answer"
    assert answers["fine"] == ({"ok": 1}, "")


def hang():
    """Wait for a program that does not end, as ssh may."""
    import subprocess

    subprocess.run(["sleep", "1000"], check=False)
    return {}


def hang_apart():
    """Wait for a program in its own session, as core starts ssh to ask for a password."""
    import subprocess

    subprocess.run(["sleep", "1000"], check=False, start_new_session=True)
    return {}


@pytest.mark.parametrize("job", [hang, hang_apart])
def test_a_deadline_ends_what_hangs_and_all_that_it_started(job):
    before = set(descendants(os.getpid()))
    start = time.monotonic()
    answers = _ask_hosts.ask({"slow": job, "fine": lambda: {"ok": 1}}, 2, 0.5)
    assert time.monotonic() - start < 5
    assert answers["slow"].error == "it did not answer within 0.5 s"
    assert answers["fine"].result == {"ok": 1}
    assert set(descendants(os.getpid())) <= before


def test_an_interrupt_ends_what_still_runs(monkeypatch):
    before = set(descendants(os.getpid()))

    def interrupt(*_):
        wait_until(lambda: len(set(descendants(os.getpid())) - before) == 2, 60, "the program and what waits for it")
        raise KeyboardInterrupt

    monkeypatch.setattr(_ask_hosts, "_collect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _ask_hosts.ask({"slow": hang}, 1, 30)
    assert set(descendants(os.getpid())) <= before


# VM hosts.


def test_a_failed_operation_is_an_error(monkeypatch):
    connection = type("Connection", (), {"set_options": lambda *_, **__: None, "get_option": lambda *_: 5.0})()
    connection.ask_vm_host = lambda *_: {"failed": True, "msg": "not allowed to look into /u"}
    monkeypatch.setattr(_vmhosts.connection_loader, "get", lambda *_: connection)
    with pytest.raises(AnsibleError, match="not allowed to look into /u"):
        _vmhosts.VmHost("vm1", {}, {}).ask("instance_info", {})
