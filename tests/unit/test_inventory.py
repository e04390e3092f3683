# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin with VM hosts that answer from a table."""

from __future__ import annotations

import os
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
from ansible_collections.uml.mconsole.plugins.plugin_utils import _fleet, _roster, _unsafe, _vmhosts
from support.processes import descendants
from support.wait import wait_until

EVIL = "{{ lookup('pipe', 'id') }}"
OLD = _unsafe.NEEDED  # an ansible-core before 2.19


def found(umid, uml_dir="/u", state="running", **more):
    """Return an instance as a VM host tells of it."""
    return {"umid": umid, "uml_dir": uml_dir, "state": state, "owner": "root", "kernel": "6.1.176", **more}


class Fleet:
    """VM hosts that answer from a table: {name: [instances], or an error as text}."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.table = {}
        self.asked = []
        self.questions = {}

    def ask(self, jobs, _forks, _timeout):
        """Stand in for the real thing; a job is a VM host's bound method with its arguments."""
        answers = {}
        for name, job in jobs.items():
            self.asked.append(name)
            self.questions[name] = (job.func.__self__, *job.args)
            told = self.table[name]
            answers[name] = (
                _fleet.Answer({}, told)
                if isinstance(told, str)
                else _fleet.Answer({"changed": False, "instances": told})
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
    """Lend a fleet that the plugin asks instead of real VM hosts."""
    fleet = Fleet(tmp_path)
    monkeypatch.setattr(plugin_file._fleet, "ask", fleet.ask)
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
    assert [text for text in warnings if "vm2" in text and "no ?[31mroute {{" in text]


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


def test_a_collision_names_both_and_the_way_out(fleet):
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0", "/v")]}
    said = "two hosts would be called 'web0': web0 in /v of vm2, and web0 in /u of vm1; set hostnames: qualified"
    assert fleet.fail() == said


def test_a_collision_on_one_vm_host_is_one_however_they_are_called(fleet):
    fleet.table = {"vm1": [found("web0"), found("web0", "/v")]}
    said = "two hosts would be called 'web0.vm1': web0 in /v of vm1, and web0 in /u of vm1; set uml_dir, or"
    assert fleet.fail(hostnames="qualified").startswith(said)


def test_the_remains_of_an_instance_collide_with_nothing(fleet):
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0", state="stale")]}
    assert members(fleet.parse(), "uml_instances") == ["web0"]


def test_an_instance_called_like_a_vm_host_is_a_collision(fleet):
    fleet.table = {"vm1": [found("vm2")], "vm2": []}
    assert "and a VM host; set hostnames: qualified" in fleet.fail()


def test_an_instance_called_like_an_unreachable_vm_host_is_a_collision(fleet):
    fleet.table = {"vm1": [found("vm2")], "vm2": "no route"}
    assert "and a VM host; set hostnames: qualified" in fleet.fail()


@pytest.mark.parametrize("known", ["", "ansible_host: 192.0.2.9", "ansible_connection: ssh"])
def test_an_instance_called_like_another_machine_is_a_collision(fleet, known):
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text(f"all: {{hosts: {{web0: {{{known}}}}}}}\n")
    fleet.table = {"vm1": [found("web0")]}
    said = fleet.fail(InventoryManager(DataLoader(), sources=[str(earlier)]))
    assert "and a host of an earlier source of the inventory" in said
    assert said.endswith("set hostnames: qualified")
    assert "uml_state" in variables(fleet.parse(earlier, hostnames="qualified"), "web0.vm1")


def test_an_earlier_source_gives_an_instance_groups_and_variables(fleet):
    earlier = fleet.folder / "hosts.yml"
    earlier.write_text(
        "front: {hosts: {web0: {role: first}, web1: null}, vars: {ansible_connection: uml.mconsole.mconsole}}\n"
    )
    fleet.table = {"vm1": [found("web0")]}
    inventory = fleet.parse(earlier)
    assert (variables(inventory, "web0")["role"], variables(inventory, "web0")["uml_state"]) == ("first", "running")
    assert members(inventory, "front") == ["web0", "web1"]


def test_two_sources_with_instances_of_one_name_collide(fleet):
    fleet.table = {"vm1": [found("web0")], "vm2": [found("web0", "/v")]}
    first = fleet.configure("first.uml.yml", vm_hosts=["vm1"])
    earlier = InventoryManager(DataLoader(), sources=[first])
    said = fleet.fail(earlier, vm_hosts=["vm2"])
    assert said.startswith("two hosts would be called 'web0': web0 in /v of vm2, and web0 in /u of vm1;")


@pytest.mark.parametrize("umid", ["a b", "a:b", "a,b", "[a]", "{{a}}", "!a", "-a", "a*", "a\x1bb"])
def test_a_umid_that_no_host_can_have_is_left_out_with_a_warning(fleet, warnings, umid):
    fleet.table = {"vm1": [found(umid), found("web0")]}
    assert members(fleet.parse(), "uml_instances") == ["web0"]
    assert [text for text in warnings if "its name cannot be that of a host" in text and text.isprintable()]


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
    """Lend a fleet with a cache on disk, and a parse that uses it."""
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
    (tmp_path / "fleet.yml").write_text("plugin: uml.mconsole.instances\n")
    assert not inventory_loader.get("uml.mconsole.instances").verify_file(str(tmp_path / "fleet.yml"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vm_hosts": []}, "there are no VM hosts to ask: give vm_hosts or vm_host_groups"),
        ({"vm_hosts": 5}, "vm_hosts: expected a list of names, or names with their variables, not 5"),
        ({"vm_hosts": [{"name": "a"}]}, "vm_hosts: expected the name of a host, not {'name': 'a'}"),
        ({"vm_hosts": ["a b"]}, "vm_hosts: expected the name of a host, not 'a b'"),
        ({"vm_hosts": ["a'b"]}, "vm_hosts: expected the name of a host"),
        ({"vm_hosts": {"a": 5}}, "vm_hosts: expected the variables of a as a dictionary, not 5"),
        ({"vmhosts": ["a"]}, "there is no option 'vmhosts'; did you mean 'vm_hosts'?"),
        ({"frobnicate": 1}, "there is no option 'frobnicate'; there are cache"),
        ({"facts": "perhaps"}, "facts: expected true or false, not 'perhaps'"),
        ({"strict": ["yes"]}, "retrieving strict" if OLD else "strict: expected true or false, not ['yes']"),
        ({"states": ["runing"]}, "runing"),
        ({"hostnames": "long"}, "long"),
        ({"forks": "many"}, "many"),
        ({"forks": 0}, "forks: expected a number above 0, not 0"),
        ({"timeout": -1}, "timeout: expected a number above 0, not -1"),
        ({"umids": ["web["]}, "umids: the glob 'web[' has a [ without its ]"),
        ({"umids": ["a/b"]}, "umids: 'a/b' matches no umid; expected a name or a glob such as 'web*'"),
        ({"exclude_umids": [""]}, "exclude_umids: '' matches no umid"),
        ({"vm_host_groups": ["kvm"]}, "no earlier source of the inventory has a group 'kvm'"),
    ],
)
def test_a_wrong_configuration_is_one_clear_sentence(fleet, options, said):
    fleet.table = {"vm1": []}
    text = fleet.fail(**options)
    assert said in text
    assert fleet.asked == []


@pytest.mark.parametrize("glob", ["*", "web?", "w[ab]", "w[!ab]", "w[]]", "w[!]a]", "web]"])
def test_good_globs_pass(glob):
    _roster.check_globs("umids", [glob])


@pytest.mark.parametrize("glob", ["[", "a[b", "[]", "[!]", "[a][b", "[!a"])
def test_open_brackets_do_not(glob):
    with pytest.raises(AnsibleParserError, match="without its"):
        _roster.check_globs("umids", [glob])


# Many VM hosts side by side.


def test_answers_come_from_all():
    jobs = {str(number): lambda number=number: {"number": number} for number in range(9)}
    answers = _fleet.ask(jobs, 3, 30)
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

    answers = _fleet.ask({name: job(name) for name in "abcdefgh"}, 2, 30)
    assert max(answer.result["count"] for answer in answers.values()) <= 2


def test_a_big_answer_arrives_whole():
    assert len(_fleet.ask({"a": lambda: {"text": "x" * 5_000_000}}, 1, 30)["a"].result["text"]) == 5_000_000


def refuse():
    """End as a connection does that finds nobody."""
    raise AnsibleError("no route")


def test_errors_are_answers_too():
    jobs = {"refused": refuse, "bug": lambda: {}["x"], "dead": lambda: os._exit(3), "fine": lambda: {"ok": 1}}
    answers = _fleet.ask(jobs, 4, 30)
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
    """Wait for a program in a session of its own, as core starts ssh to ask for a password."""
    import subprocess

    subprocess.run(["sleep", "1000"], check=False, start_new_session=True)
    return {}


@pytest.mark.parametrize("job", [hang, hang_apart])
def test_a_deadline_ends_what_hangs_and_all_that_it_started(job):
    before = set(descendants(os.getpid()))
    start = time.monotonic()
    answers = _fleet.ask({"slow": job, "fine": lambda: {"ok": 1}}, 2, 0.5)
    assert time.monotonic() - start < 5
    assert answers["slow"].error == "it did not answer within 0.5 s"
    assert answers["fine"].result == {"ok": 1}
    assert set(descendants(os.getpid())) <= before


def test_an_interrupt_ends_what_still_runs(monkeypatch):
    before = set(descendants(os.getpid()))

    def interrupt(*_):
        wait_until(lambda: len(set(descendants(os.getpid())) - before) == 2, 60, "the program and what waits for it")
        raise KeyboardInterrupt

    monkeypatch.setattr(_fleet, "_collect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _fleet.ask({"slow": hang}, 1, 30)
    assert set(descendants(os.getpid())) <= before


# VM hosts.


def test_a_failed_operation_is_an_error(monkeypatch):
    connection = type("Connection", (), {"set_options": lambda *_, **__: None, "get_option": lambda *_: 5.0})()
    connection.ask_vm_host = lambda *_: {"failed": True, "msg": "not allowed to look into /u"}
    monkeypatch.setattr(_vmhosts.connection_loader, "get", lambda *_: connection)
    with pytest.raises(AnsibleError, match="not allowed to look into /u"):
        _vmhosts.VmHost("vm1", {}, {}).ask("instance_info", {})
