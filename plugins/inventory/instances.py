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
  - Discovers the instances of many VM hosts over ssh, also those that this collection did not start. Each VM host is
    asked once, and many at the same time.
  - The instances come out ready to use, with the connection P(uml.mconsole.mconsole#connection) and the VM host's own
    ssh and become variables. Passwords are not copied; the instances refer to their VM host's.
  - The name of the file must end in C(.uml.yml) or C(.uml.yaml).
  - A VM host that cannot be asked is a warning and a member of the group C(uml_unreachable); all others are discovered.
notes:
  - Each instance has the variables C(uml_vm_host), C(uml_umid), C(uml_dir), C(uml_state), C(uml_state_reason),
    C(uml_pid), C(uml_owner), C(uml_kernel), C(uml_memory) and all else that M(uml.mconsole.instance_info) returns of
    it, each name with C(uml_) in front.
  - The group C(uml_instances) holds all instances, below it C(uml_vmhost_NAME) those of one VM host and C(uml_STATE)
    those in one state, such as C(uml_running). The group C(uml_vm_hosts) holds the VM hosts.
  - Variables of the VM hosts can stand here, in an earlier source of the inventory, or in files such as
    C(group_vars/uml_vm_hosts.yml) and C(host_vars/NAME.yml) beside it.
  - The VM host C(localhost) is the controller itself, unless its variables say otherwise.
  - An earlier source of the inventory may list an instance to give it groups and variables. It must have
    C(ansible_connection=uml.mconsole.mconsole) there, so that no machine of that name is taken for the instance.
  - What an instance says of itself is never taken for a template. Give O(keyed_groups) made of it a prefix, since a
    guest would otherwise choose its groups.
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
      - The VM hosts to ask, a list of names such as V(vm1.example.org), V(vm1:2222) or V(vm[01:20].example.org).
      - With variables it is a dictionary, each name with the dictionary of its variables, such as C(ansible_host),
        C(ansible_user) and C(ansible_become).
      - The variables of a host that an earlier source of the inventory has are known here, too; those given here win.
    type: raw
  vm_host_groups:
    description: Groups of earlier sources of the inventory whose hosts are VM hosts to ask, too.
    type: list
    elements: str
    default: []
  uml_dir:
    description:
      - The one directory on each VM host to look in for instances.
      - By default all instances of the VM host are found that the user may see; those of all users by root.
      - C(ansible_uml_dir), as a variable of a VM host, says it for that one.
    type: str
  umids:
    description: Globs of the umids of the instances that are wanted.
    type: list
    elements: str
    default: ["*"]
  exclude_umids:
    description: Globs of the umids of the instances that are not wanted.
    type: list
    elements: str
    default: []
  states:
    description:
      - The states in which instances are wanted, as M(uml.mconsole.instance_info) returns them.
      - V(stale) and V(orphaned) are remains of instances that are no more.
      - V(unknown) are mostly instances of users whose consoles this user may not use. Hosts of that kind become their
        owner, with C(ansible_become_user).
    type: list
    elements: str
    choices: [running, paused, booting, hung, frozen, stale, orphaned, unknown]
    default: [running, paused, booting, hung, frozen]
  facts:
    description:
      - Whether to gather the facts of the running instances in the same round trip.
      - They are in C(uml_facts), as M(uml.mconsole.instance_facts) would put them into C(ansible_facts), for example
        C(uml_facts.hostname) or C(uml_facts.uml.boot_id).
    type: bool
    default: false
  hostnames:
    description:
      - What the instances are called in the inventory.
      - With V(umid) it is an error when two have the same one. With V(qualified) it is C(UMID.VM_HOST).
      - Where two directories of one VM host have instances of the same umid, list the VM host under two names, each
        with an C(ansible_uml_dir).
    type: str
    choices: [umid, qualified]
    default: umid
  forks:
    description: How many VM hosts are asked at the same time.
    type: int
    default: 10
  timeout:
    description:
      - Seconds that a VM host may take for all of its answer; one that takes longer counts as unreachable.
      - C(ansible_ssh_timeout) of a VM host, 10 seconds by default, bounds the time to connect.
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
# Ask each VM host once in ten minutes; --flush-cache asks them now
plugin: uml.mconsole.instances
vm_hosts: [vm1.example.org]
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.ansible/tmp/uml
cache_timeout: 600
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fleet, _pack, _roster, _vmhosts
from ansible_collections.uml.mconsole.plugins.plugin_utils._fleet import Answer
from ansible_collections.uml.mconsole.plugins.plugin_utils._roster import Choice, Entry
from ansible_collections.uml.mconsole.plugins.plugin_utils._unsafe import mark
from ansible_collections.uml.mconsole.plugins.plugin_utils._vmhosts import VmHost

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19, where all text that is not marked is a template

    def trust_as_template(value: str) -> str:
        """Return the text as it is."""
        return value


FACTS_MODULE = "uml.mconsole.instance_facts"


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Discovers the instances of many VM hosts, each asked once."""

    NAME = "uml.mconsole.instances"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is ours, by its name."""
        return super().verify_file(path) and path.endswith((".uml.yml", ".uml.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Ask the VM hosts, and fill the inventory with them and their instances.

        :raises AnsibleParserError: when the configuration is wrong, or two hosts would have one name
        """
        super().parse(inventory, loader, path, cache)
        self._configure(path)
        names = self._add_vm_hosts()
        vm_hosts, answers = self._made(names, [*inventory.processed_sources, path])
        answers.update(self._answers(vm_hosts, path, cache))
        entries = self._entries({name: answers[name].result for name in names if not answers[name].error}, names)
        self._report({name: answers[name].error for name in names if answers[name].error})
        for entry in entries:
            self._add(entry, vm_hosts[entry.vm_host])

    # The configuration.

    def _configure(self, path: str) -> None:
        """Read the options and refuse what is wrong among them."""
        config = self._read_config_data(path)
        known = C.config.get_configuration_definitions("inventory", self._load_name)
        for name, value in config.items():
            if name not in known:
                raise AnsibleParserError(f"there is no option {name!r}; {_hint(str(name), known)}")
            if str(known[name].get("type")).startswith("bool") and not _is_boolean(value):
                raise AnsibleParserError(f"{name}: expected true or false, not {value!r}")  # core takes it for false
        for option in ("umids", "exclude_umids"):
            _roster.check_globs(option, self.get_option(option))
        for option in ("forks", "timeout"):
            if self.get_option(option) <= 0:
                raise AnsibleParserError(f"{option}: expected a number above 0, not {self.get_option(option)}")

    @property
    def _qualified(self) -> bool:
        return bool(self.get_option("hostnames") == "qualified")

    # The VM hosts.

    def _add_vm_hosts(self) -> list[str]:
        """Make the VM hosts hosts of the inventory, so that plays and files of variables can address them."""
        listed = _vmhosts.listed(self.get_option("vm_hosts"), self._expand_hostpattern)
        grouped = _vmhosts.grouped(self.get_option("vm_host_groups"), self.inventory)
        names = list(dict.fromkeys([*listed, *grouped]))
        if not names:
            raise AnsibleParserError("there are no VM hosts to ask: give vm_hosts or vm_host_groups")
        for group in ("uml_vm_hosts", "uml_unreachable", "uml_instances"):
            self.inventory.add_group(group)
        for name in names:
            self.inventory.add_host(name, group="uml_vm_hosts")
            self._set_variables(name, listed.get(name, {}))
        return names

    def _made(self, names: Iterable[str], sources: list[str]) -> tuple[dict[str, VmHost], dict[str, Answer]]:
        """Return the VM hosts that can be asked, and why the others cannot."""
        vm_hosts, failed = {}, {}
        for name in names:
            variables = _vmhosts.variables_of(name, self.inventory, self.loader, sources)
            assumed = _vmhosts.assumed(name, variables)
            self._set_variables(name, assumed)
            known = {**variables, **assumed, **self._vars, "inventory_hostname": name}
            self.templar.available_variables = known
            try:
                vm_hosts[name] = _vmhosts.make(name, known, self._render, trust_as_template)
            except AnsibleError as err:
                failed[name] = Answer({}, str(err))
        return vm_hosts, failed

    def _render(self, name: str, value: Any) -> Any:
        """Return a variable's value with its templates rendered."""
        try:
            return self.templar.template(value)
        except AnsibleError as err:
            raise AnsibleError(f"its variable {name} cannot be rendered: {err}") from err

    def _report(self, errors: Mapping[str, str]) -> None:
        """Tell of the VM hosts that gave no answer, and let plays address or avoid them."""
        for name, error in errors.items():
            self.display.warning(f"{self.NAME}: the VM host {name} is left out: {_roster.printable(error)}")
            self.inventory.add_child("uml_unreachable", name)
            self._set_variables(name, {"uml_unreachable_reason": mark(error)})

    # Their answers.

    def _answers(self, vm_hosts: Mapping[str, VmHost], path: str, cache: bool) -> dict[str, Answer]:
        """Return what each VM host answers, or lately answered."""
        questions = {name: self._question(vm_host) for name, vm_host in vm_hosts.items()}
        prints = {name: _fingerprint(vm_hosts[name], question) for name, question in questions.items()}
        kept = {name: each for name, each in self._kept(path, cache).items() if each["print"] == prints.get(name)}
        jobs = {
            name: partial(vm_host.ask, "instance_info", questions[name])
            for name, vm_host in vm_hosts.items()
            if name not in kept
        }
        answers = _fleet.ask(jobs, self.get_option("forks"), self.get_option("timeout"))
        self._keep(path, kept, {name: (prints[name], each.result) for name, each in answers.items() if not each.error})
        return {**{name: Answer(each["reply"]) for name, each in kept.items()}, **answers}

    def _question(self, vm_host: VmHost) -> dict[str, Any]:
        """Return the parameters of the operation that discovers the instances of a VM host."""
        return {
            "uml_dir": vm_host.reach.get("ansible_uml_dir") or self.get_option("uml_dir"),
            "umids": self.get_option("umids"),
            "gather_subset": ["default"] if self.get_option("facts") else None,
        }

    def _kept(self, path: str, cache: bool) -> dict[str, Any]:
        """Return the cache's {VM host: record} less what has expired: each record has an age, the cache has but one."""
        kept: Any = None
        if cache and self.get_option("cache"):
            with contextlib.suppress(AnsibleError):  # a cache that cannot be read is none
                kept = self._cache.get(self.get_cache_key(path))
        age, now = self.get_option("cache_timeout"), time.time()
        return {name: each for name, each in (kept or {}).items() if not age or now - each["at"] < age}

    def _keep(self, path: str, kept: Mapping[str, Any], fresh: Mapping[str, tuple[str, Any]]) -> None:
        """Cache the replies as they came; what is wanted of them, and how it is called, is decided anew each time."""
        if self.get_option("cache"):
            now = time.time()
            new = {name: {"at": now, "print": print_, "reply": reply} for name, (print_, reply) in fresh.items()}
            self._cache[self.get_cache_key(path)] = {**kept, **new}

    # The instances.

    def _entries(self, replies: Mapping[str, Mapping[str, Any]], vm_hosts: list[str]) -> list[Entry]:
        """Return the instances that become hosts."""
        for vm_host, reply in replies.items():
            for text in reply.get("warnings", ()):
                self.display.warning(f"{self.NAME}: {vm_host}: {_roster.printable(text)}")
        choice = Choice(self.get_option("umids"), self.get_option("exclude_umids"), self.get_option("states"))
        entries = _roster.entries(replies, choice, self._qualified)
        for entry in entries:
            if not entry.is_host_name():
                self.display.warning(f"{self.NAME}: {entry} is left out: its name cannot be that of a host")
        entries = [entry for entry in entries if entry.is_host_name()]
        _roster.check_names(entries, self.inventory.hosts, vm_hosts, self._qualified)
        return entries

    def _add(self, entry: Entry, vm_host: VmHost) -> None:
        """Add an instance with its variables and groups."""
        self.inventory.add_host(entry.name)
        self._set_variables(entry.name, _variables(entry, vm_host))
        for group in (f"uml_vmhost_{entry.vm_host}", f"uml_{entry.found['state']}"):
            group = self.inventory.add_group(self._sanitize_group_name(group))
            self.inventory.add_child("uml_instances", group)
            self.inventory.add_child(group, entry.name)
        self._construct(entry.name)

    def _construct(self, name: str) -> None:
        """Add the variables and groups that the user composes."""
        strict = self.get_option("strict")
        host = self.inventory.get_host(name)
        self._set_composite_vars(self.get_option("compose"), host.get_vars(), name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), host.get_vars(), name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), host.get_vars(), name, strict=strict)

    def _set_variables(self, name: str, variables: Mapping[str, Any]) -> None:
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)


def _variables(entry: Entry, vm_host: VmHost) -> dict[str, Any]:
    """Return the variables of an instance: how to reach it, and what was found of it."""
    found = entry.found
    named = {key if key.startswith("uml_") else f"uml_{key}": value for key, value in found.items()}
    owner = {"ansible_become": True, "ansible_become_user": mark(found["owner"])}
    return {
        **vm_host.handed_on,
        **(owner if found["state"] == "unknown" and found["owner"] else {}),
        "ansible_connection": trust_as_template(_vmhosts.CONNECTION),
        "ansible_facts_modules": trust_as_template(FACTS_MODULE),
        "ansible_uml_umid": found["umid"],
        "ansible_uml_dir": mark(found["uml_dir"]),
        "uml_vm_host": entry.vm_host,
        **mark(named),
    }


def _fingerprint(vm_host: VmHost, question: Mapping[str, Any]) -> str:
    """Return what changes with the question, the way to the VM host, and the code that answers."""
    whole = [question, vm_host.handed_on, _pack.signature()]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()


def _is_boolean(value: Any) -> bool:
    try:
        boolean(value)
    except TypeError:
        return False
    return True


def _hint(name: str, known: Iterable[str]) -> str:
    """Return what might have been meant by the name of an option that there is not."""
    near = get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
