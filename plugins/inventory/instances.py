# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: instances
author: The uml.mconsole contributors (@uml-mconsole)
version_added: 1.0.0
short_description: The User-Mode Linux instances of many VM hosts
description:
  - Discovers the instances of many VM hosts over ssh, also those that this collection did not start. The plugin queries
    each VM host once, and many VM hosts at the same time.
  - Each instance is ready to use as a host. It gets the connection P(uml.mconsole.mconsole#connection), and the ssh and
    become variables of its VM host. Passwords are not copied; a variable of the instance refers to that of its VM host.
  - The name of the file must end in C(.uml.yml) or C(.uml.yaml).
  - If the plugin cannot query a VM host, it prints a warning, adds the VM host to the group C(uml_unreachable), and
    continues with the others.
notes:
  - Each instance has the variables C(uml_vm_host), C(uml_umid), C(uml_dir), C(uml_state), C(uml_state_reason),
    C(uml_pid), C(uml_owner), C(uml_kernel), C(uml_memory) and everything else that M(uml.mconsole.instance_info)
    returns for it, each name with C(uml_) in front.
  - The group C(uml_instances) holds all instances. Its child groups are C(uml_vmhost_NAME), the instances of one VM
    host, and C(uml_STATE), the instances in one state, such as C(uml_running). The group C(uml_vm_hosts) holds the VM
    hosts.
  - Variables of the VM hosts can stand here, in an earlier source of the inventory, or in files such as
    C(group_vars/uml_vm_hosts.yml) and C(host_vars/NAME.yml) beside it.
  - The VM host C(localhost) is the controller itself, unless its variables say otherwise. All other VM hosts are
    reached over ssh.
  - The users of a VM host choose the umids. So an instance never gets the name of a group, of C(localhost), of a VM
    host or of a machine of an earlier source. Such an instance is called C(UMID.VM_HOST), and a warning says so. List
    the sources with groups and machines before this file. Ansible reads the files of a directory in alphabetical order.
  - An earlier source of the inventory may list an instance to give it groups and variables. It must have
    C(ansible_connection=uml.mconsole.mconsole) there. If it has C(ansible_host), C(ansible_port),
    C(ansible_uml_umid) or C(ansible_uml_dir), these must be those of the instance.
  - Ansible does not template what an instance reports about itself. Give O(keyed_groups) that use it a prefix;
    otherwise a guest chooses its groups.
  - Each VM host has the variable C(uml_inventory_dir) with the value of O(uml_dir), so that playbooks such as
    C(uml.mconsole.status) look in the same directory.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks the file as one for this plugin.
    type: str
    required: true
    choices: [uml.mconsole.instances]
  vm_hosts:
    description:
      - The VM hosts to query, as a list of names such as V(vm1.example.org), V(vm1:2222) or V(vm[01:20].example.org).
      - To give them variables, use a dictionary. Each key is a name, and its value is a dictionary of variables, such
        as C(ansible_host), C(ansible_user) and C(ansible_become).
      - Hosts of earlier inventory sources keep their variables. Variables in this file take precedence.
    type: raw
  vm_host_groups:
    description: Groups of earlier sources of the inventory whose hosts are also VM hosts to query.
    type: list
    elements: str
    default: []
  uml_dir:
    description:
      - The only directory on each VM host in which to look for instances.
      - By default, all instances of the VM host that the user may see are found. Root sees those of all users.
      - The variable C(ansible_uml_dir) of a VM host takes precedence.
    type: str
  umids:
    description:
      - Globs of the umids of the instances to include. Put quotes around a name that YAML would read as a number or
        another type, such as C("007").
    type: list
    elements: str
    default: ["*"]
  exclude_umids:
    description: Globs of the umids of the instances to leave out.
    type: list
    elements: str
    default: []
  states:
    description:
      - Include the instances that are in these states, as M(uml.mconsole.instance_info) returns them.
      - V(stale) and V(orphaned) are left by instances that have ended, for example by a crash.
      - V(unknown) usually means that the instance belongs to another user. Such hosts get C(ansible_become_user) set to
        the owner.
    type: list
    elements: str
    choices: [running, paused, booting, hung, frozen, stale, orphaned, unknown]
    default: [running, paused, booting, hung, frozen]
  facts:
    description:
      - Gather the facts of the running instances in the same round trip.
      - They are in C(uml_facts), as M(uml.mconsole.instance_facts) would put them into C(ansible_facts), for example
        C(uml_facts.hostname) or C(uml_facts.uml.boot_id).
    type: bool
    default: false
  hostnames:
    description:
      - The names of the instances in the inventory.
      - With V(umid), an instance is called by its umid, or C(UMID.VM_HOST) when something else has that name. Two
        instances with the same umid are both called C(UMID.VM_HOST). With V(qualified), all are.
      - In C(UMID.VM_HOST), a hyphen stands for each character that a host name cannot have, such as the colons of an
        IPv6 address.
      - Where two directories of one VM host have instances of the same umid, these are left out with a warning. To get
        both, list the VM host under two names, each with its own C(ansible_uml_dir).
    type: str
    choices: [umid, qualified]
    default: umid
  connection:
    description:
      - The connection of the hosts. V(mconsole) reaches an instance by its console, from outside. V(guest) leads into
        its guest (P(uml.mconsole.guest#connection)).
      - V(both) adds two hosts, C(web1) and C(web1.inside). The group C(uml_inside) has all hosts that are the inside of
        a guest.
    type: str
    choices: [mconsole, guest, both]
    default: mconsole
  forks:
    description: Number of VM hosts to query at the same time.
    type: int
    default: 10
  timeout:
    description:
      - Seconds within which a VM host must have answered completely; otherwise it counts as unreachable.
      - C(ansible_ssh_timeout) of a VM host, 10 seconds by default, limits the time to connect.
    type: float
    default: 30
"""

EXAMPLES = r"""
# fleet.uml.yml, the shortest form: two VM hosts, reached as "ssh NAME" would
plugin: uml.mconsole.instances
vm_hosts: [vm1.example.org, vm2.example.org]

---
# VM hosts with variables, and instances called web0.vm1
plugin: uml.mconsole.instances
vm_hosts:
  vm1:
    ansible_host: 192.0.2.1
    ansible_user: root
  vm2:
    ansible_host: 192.0.2.2
    ansible_user: ops
    ansible_become: true
  localhost:
hostnames: qualified

---
# The VM hosts of a group of hosts.yml: ansible-inventory -i hosts.yml -i fleet.uml.yml --graph
plugin: uml.mconsole.instances
vm_host_groups: [vm_hosts]
umids: ["web*", "db*"]
exclude_umids: ["*-test"]

---
# Groups and variables made of what was found
plugin: uml.mconsole.instances
vm_hosts: [vm1.example.org]
facts: true
strict: true
compose:
  guest_hostname: uml_facts.hostname | default(none)
groups:
  web: uml_umid is match('web')
keyed_groups:
  - key: uml_kernel | default('unknown', true) # of one that hangs
    prefix: kernel
  - key: uml_owner
    prefix: owner

---
# Query each VM host once in ten minutes; --flush-cache queries them now
plugin: uml.mconsole.instances
vm_hosts: [vm1.example.org]
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.ansible/tmp/uml
cache_timeout: 600
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.uml.mconsole.plugins.plugin_utils import (
    _inventory_answers,
    _inventory_hosts,
    _inventory_names,
    _inventory_options,
    _inventory_variables,
    _preload,
    _vmhosts,
)
from ansible_collections.uml.mconsole.plugins.plugin_utils._ask_hosts import Answer
from ansible_collections.uml.mconsole.plugins.plugin_utils._inventory_hosts import Choice, Entry
from ansible_collections.uml.mconsole.plugins.plugin_utils._inventory_names import Taken
from ansible_collections.uml.mconsole.plugins.plugin_utils._inventory_variables import group_of, trusted
from ansible_collections.uml.mconsole.plugins.plugin_utils._unsafe import mark
from ansible_collections.uml.mconsole.plugins.plugin_utils._vmhosts import VmHost

GROUPS = ("uml_vm_hosts", "uml_unreachable", "uml_instances")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Discovers the instances of many VM hosts, each asked once."""

    NAME = "uml.mconsole.instances"

    def verify_file(self, path: str) -> bool:
        """Return whether a file is ours, by its name.

        :raises AnsibleParserError: when the file names this plugin, and its own name is another
        """
        return super().verify_file(path) and _inventory_options.check_name(path)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Ask the VM hosts, and fill the inventory with them and their instances.

        :raises AnsibleParserError: when the configuration is wrong
        """
        super().parse(inventory, loader, path, cache)
        config = self._read_config_data(path)
        known = C.config.get_configuration_definitions("inventory", self._load_name)
        _inventory_options.check(config, known, self.get_option)
        names = self._add_vm_hosts()
        vm_hosts, answers = self._reachable(names, [*inventory.processed_sources, path])
        answers.update(self._answers(vm_hosts, path, cache))
        self._report({name: answers[name].error for name in names if answers[name].error})
        replies = {name: answers[name].result for name in names if not answers[name].error}
        self._add_all(self._entries(replies, vm_hosts, names), vm_hosts)

    # The VM hosts.

    def _add_vm_hosts(self) -> list[str]:
        """Make the VM hosts hosts of the inventory, so that plays and files of variables can address them."""
        listed = _vmhosts.listed(self.get_option("vm_hosts"), self._expand_hostpattern)
        _vmhosts.check_not_groups(listed, self.inventory)
        grouped = _vmhosts.grouped(self.get_option("vm_host_groups"), self.inventory)
        names = list(dict.fromkeys([*listed, *grouped]))
        if not names:
            raise AnsibleParserError("no VM hosts; expected vm_hosts or vm_host_groups")
        for group in GROUPS:
            self.inventory.add_group(group)
        for name in names:
            self.inventory.add_host(name, group="uml_vm_hosts")
            self._set_variables(name, listed.get(name, {}))
        return names

    def _reachable(self, names: Iterable[str], sources: list[str]) -> tuple[dict[str, VmHost], dict[str, Answer]]:
        """Return the VM hosts that can be asked, and why the others cannot."""
        vm_hosts, failed = {}, {}
        for name in names:
            variables = _vmhosts.variables_of(name, self.inventory, self.loader, sources)
            assumed = _vmhosts.assumed(name, variables)
            self._set_variables(name, {**assumed, **self._directory(variables)})
            magic = _vmhosts.magic(name, self.inventory, self.loader, sources)
            known = {**variables, **assumed, **self._vars, **magic}
            self.templar.available_variables = known
            try:
                vm_hosts[name] = _vmhosts.make(name, known, self._render, trusted)
            except AnsibleError as err:
                failed[name] = Answer({}, str(err))
        return vm_hosts, failed

    def _directory(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variable of a VM host that says where this plugin looks, for playbooks that ask it again.

        Another source that looks elsewhere makes it null: then all directories count.
        """
        own = self.get_option("uml_dir")
        known = variables.get("uml_inventory_dir", own)
        return {} if known is None else {"uml_inventory_dir": own if known == own else None}

    def _render(self, name: str, value: Any) -> Any:
        """Return a variable's value with its templates rendered."""
        try:
            return self.templar.template(value)
        except AnsibleError as err:
            raise AnsibleError(f"its variable {name} cannot be rendered: {err}") from err

    def _report(self, errors: Mapping[str, str]) -> None:
        """Warn about the VM hosts that gave no answer, and let plays address or avoid them."""
        for name, error in errors.items():
            self._warn(f"the VM host {name} is left out: {error}")
            self.inventory.add_host(name, group="uml_unreachable")
            self._set_variables(name, {"uml_unreachable_reason": mark(error)})

    def _warn(self, text: str) -> None:
        self.display.warning(f"{self.NAME}: {_inventory_hosts.printable(text)}")

    # Their answers.

    def _answers(self, vm_hosts: Mapping[str, VmHost], path: str, cache: bool) -> dict[str, Answer]:
        """Return what each VM host answers, or recently answered."""
        questions = {name: self._question(vm_host) for name, vm_host in vm_hosts.items()}
        is_cached, age = self.get_option("cache"), self.get_option("cache_timeout")
        key = self.get_cache_key(path)
        kept = _inventory_answers.read(self._cache, key, age) if cache and is_cached else {}
        limits = (self.get_option("forks"), self.get_option("timeout"))
        answers, records = _inventory_answers.gather(vm_hosts, questions, kept, *limits)
        if is_cached:
            self._cache[key] = records
        return answers

    def _question(self, vm_host: VmHost) -> dict[str, Any]:
        """Return the parameters of the operation that discovers the instances of a VM host."""
        return {
            "uml_dir": vm_host.reach.get("ansible_uml_dir") or self.get_option("uml_dir"),
            "umids": self.get_option("umids"),
            "gather_subset": ["default"] if self.get_option("facts") else None,
        }

    # The instances.

    def _entries(
        self, replies: Mapping[str, Mapping[str, Any]], vm_hosts: Mapping[str, VmHost], names: Iterable[str]
    ) -> list[Entry]:
        """Return the instances that become hosts, each with a name that nothing else has."""
        for vm_host, reply in replies.items():
            for text in reply.get("warnings", ()):
                self._warn(f"{vm_host}: {text}")
        choice = Choice(self.get_option("umids"), self.get_option("exclude_umids"), self.get_option("states"))
        reach = {name: vm_hosts[name].reach if name in vm_hosts else {} for name in names}
        own = map(self._sanitize_group_name, _inventory_variables.groups(reach, self.get_option))
        taken = Taken(self.inventory.hosts, {*self.inventory.groups, *own}, reach)
        entries = _inventory_hosts.entries(replies, choice)
        named, notes = _inventory_names.assign(entries, taken, self.get_option("hostnames") == "qualified")
        for note in notes:
            self._warn(note)
        return named

    def _add_all(self, entries: Iterable[Entry], vm_hosts: Mapping[str, VmHost]) -> None:
        """Add the instances with their variables and groups, then those that the user composes.

        Groups with fixed names come first: keyed groups may get any name, from what a guest says.
        """
        for entry in entries:
            self._add(entry, vm_hosts[entry.vm_host])
        strict = self.get_option("strict")
        for entry in entries:
            variables = self.inventory.get_host(entry.name).get_vars
            self._set_composite_vars(self.get_option("compose"), variables(), entry.name, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables(), entry.name, strict=strict)
        for entry in entries:
            known = self.inventory.get_host(entry.name).get_vars()
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, entry.name, strict=strict)

    def _add(self, entry: Entry, vm_host: VmHost) -> None:
        kind = self.get_option("connection")
        if kind == "guest":
            self._add_inside(entry.name, entry, vm_host)
        else:
            self._add_host(entry.name, entry, _inventory_variables.of_instance(entry, vm_host))
        if kind == "both":
            self._add_inside(_inventory_variables.name_inside(entry.name), entry, vm_host)

    def _add_inside(self, name: str, entry: Entry, vm_host: VmHost) -> None:
        """Add the inside of a guest, unless another source has that name."""
        if name != entry.name and self.inventory.get_host(name) is not None:
            self._warn(f"the inside of {entry.name} is left out: something else is called {name}")
            return
        _preload.preload_connection(_inventory_variables.GUEST)
        group = self.inventory.add_group(_inventory_variables.INSIDE)
        self._add_host(name, entry, _inventory_variables.of_guest(entry, vm_host))
        self.inventory.add_host(name, group=group)

    def _add_host(self, host: str, entry: Entry, variables: Mapping[str, Any]) -> None:
        self.inventory.add_host(host)
        self._set_variables(host, variables)
        for name in (group_of(entry.vm_host), f"uml_{entry.found['state']}"):
            group = self.inventory.add_group(self._sanitize_group_name(name))
            self.inventory.add_child("uml_instances", group)
            self.inventory.add_host(host, group=group)

    def _set_variables(self, name: str, variables: Mapping[str, Any]) -> None:
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)
