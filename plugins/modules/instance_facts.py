#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_facts
short_description: Gather facts of a User-Mode Linux instance through its console
version_added: 1.0.0
description:
  - Gathers facts of a running guest from its kernel. The guest needs neither Python nor ssh.
  - Facts that only exist for instances are under C(ansible_facts.uml). Facts that M(ansible.builtin.setup) would return
    inside the guest are also returned, under the same names and with the same values, if the console can read them.
  - Queries that failed are listed under C(ansible_facts.uml.unavailable), and their facts are missing. A guest without
    C(/sys) or C(/etc/os-release) has fewer facts.
  - IP addresses, routes, sizes of mounted file systems, UUIDs, links below C(/dev/disk) and the time zone are not
    available, because only a program in the guest can read them.
  - If a file cannot be opened, the kernel of the guest writes a line to its log. The module therefore only reads files
    that are known to exist, except as noted for O(gather_subset) and O(interfaces).
  - For a paused instance, the module only returns what the console itself answers, because reading a file of the guest
    can then freeze it.
  - C(gather_facts) uses this module for instances of the inventory plugin P(uml.mconsole.instances#inventory).
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
  - uml.mconsole.attributes.facts
options:
  gather_subset:
    description:
      - Subsets of facts to gather. Names and rules are those of M(ansible.builtin.setup). A subset with C(!) before its
        name is excluded.
      - V(min) contains V(platform), V(cmdline) and V(distribution). It is always included unless V(!min) is given.
      - V(default) contains V(min), V(loadavg), V(uptime), V(processor), V(memory), V(mounts), V(devices) and
        V(interfaces). If all given subsets are excluded ones, they are excluded from V(default).
      - V(hardware) contains V(uptime), V(processor), V(memory), V(mounts), V(devices) and V(disks). V(network) contains
        V(interfaces), V(statistics) and V(dns).
      - V(disks) is the setting of each C(ubd), V(consoles) that of each console and serial line. V(capabilities) lists
        the classes of devices that the kernel supports.
      - V(distribution), V(dns), V(machine_id) and V(ssh_pub_keys) read files in C(/etc) of the guest. For each file
        that does not exist, the kernel of the guest writes a line to its log.
      - These are the only ordinary files of the guest that the module reads. If a guest replaces one with a named pipe,
        its console blocks. V(!distribution) avoids this.
      - V(all) contains all subsets.
      - Set this option with C(module_defaults) for the C(gather_facts) of a play, which does not pass its own
        C(gather_subset).
    type: list
    elements: str
    default: [default]
  interfaces:
    description:
      - Further network interfaces to read.
      - The module always finds C(lo), interfaces that are up, and interfaces of the kernel command line. The console
        cannot list others, such as a bridge or a hot-plugged interface that is down.
      - A name that ends in C(*) stands for a series. V(vec*) reads C(vec0), C(vec1) and so on until one does not exist.
      - For each name that does not exist, the kernel of the guest writes a line to its log.
    type: list
    elements: str
    default: []
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance_info
  - module: uml.mconsole.proc_info
  - module: ansible.builtin.setup
"""

EXAMPLES = r"""
- name: Gather the usual facts
  uml.mconsole.instance_facts:
    umid: web1

- name: Show some of the facts
  ansible.builtin.debug:
    msg: "{{ ansible_facts.uml.umid }} runs Linux {{ ansible_facts.kernel }}, {{ ansible_facts.memfree_mb }} MB free"

- name: Gather all facts, also of interfaces that are down
  uml.mconsole.instance_facts:
    umid: web1
    gather_subset: [all]
    interfaces: ["vec*"]

- name: Compare the kernels of all instances
  uml.mconsole.instance_facts:
    umids: ["*"]
    gather_subset: ["!all"]
  register: fleet

- name: Let gather_facts of a play over instances gather more than the default
  hosts: instances
  module_defaults:
    uml.mconsole.instance_facts:
      gather_subset: [default, disks]
  tasks:
    - name: Show the disks
      ansible.builtin.debug:
        var: ansible_facts.uml.disks
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: success
  type: dict
  contains:
    uml:
      description: Facts that only exist for instances, or have no name in M(ansible.builtin.setup).
      returned: always
      type: dict
      contains:
        umid:
          description: Name of the instance.
          type: str
        uml_dir:
          description: Directory on the VM host that holds the directory of the instance.
          type: str
        console:
          description: Path of the console on the VM host.
          type: str
        pid:
          description: Main process on the VM host.
          type: int
        state:
          description: V(running), V(paused), or V(unknown) if this user cannot read it.
          type: str
        release:
          description: Release of the kernel.
          type: str
        boot_id:
          description: Random identifier that changes with each boot of the guest.
          type: str
        cmdline:
          description: Kernel command line.
          type: str
        os_release:
          description: Fields of C(/etc/os-release).
          type: dict
        mounts:
          description: Every mount that the first process sees, with C(mount), C(device), C(fstype), C(options).
          type: list
          elements: dict
        disks:
          description:
            - Disks by number, each with C(config), C(file), C(backing_file) and C(listed). C(listed) is false for a
              disk that is configured but that the guest does not list, such as one without a size. Listed disks have
              all values that M(uml.mconsole.device) returns.
          type: dict
        lines:
          description: Setting of each console and serial line.
          type: dict
          sample: {con0: "fd:0,fd:1", con1: "null"}
        kernel_consoles:
          description: Consoles to which the kernel prints.
          type: list
          elements: str
        statistics:
          description: Counters of each interface.
          type: dict
        capabilities:
          description: Whether the kernel supports each class of devices.
          type: dict
          sample: {ubd: true, con: true, ssl: true, vec: true, eth: false}
        gather_subset:
          description: Subsets that were gathered.
          type: list
          elements: str
        unavailable:
          description: Each C(query) that failed, with its C(reason).
          type: list
          elements: dict
        truncated:
          description: Queries whose answers may be incomplete.
          type: list
          elements: str
    ansible_kernel:
      description:
        - Of the subset V(platform), together with C(kernel_version), C(nodename), C(hostname), C(system), C(machine),
          C(architecture), C(virtualization_type) and C(virtualization_role).
      returned: if it could be read
      type: str
      sample: 6.1.176
    ansible_proc_cmdline:
      description: Of the subset V(cmdline), together with C(cmdline).
      returned: if it could be read
      type: dict
    ansible_distribution:
      description:
        - Of the subset V(distribution), together with C(distribution_version), C(distribution_major_version),
          C(distribution_release) and C(os_family). They follow from C(/etc/os-release) and, on Debian,
          C(/etc/debian_version).
      returned: if it could be read
      type: str
      sample: Debian
    ansible_memtotal_mb:
      description: Of the subset V(memory), together with C(memfree_mb), C(swaptotal_mb), C(swapfree_mb) and
        C(memory_mb).
      returned: if it could be read
      type: int
    ansible_processor_vcpus:
      description:
        - Of the subset V(processor), together with C(processor), C(processor_count), C(processor_cores),
          C(processor_threads_per_core), C(processor_nproc) and C(flags).
      returned: if it could be read
      type: int
    ansible_uptime_seconds:
      description: Of the subset V(uptime).
      returned: if it could be read
      type: int
    ansible_loadavg:
      description: Of the subset V(loadavg).
      returned: if it could be read
      type: dict
    ansible_mounts:
      description: Mounts with a device, without sizes and UUIDs; of the subset V(mounts).
      returned: if it could be read
      type: list
      elements: dict
    ansible_devices:
      description: Block devices without links and holders; of the subset V(devices).
      returned: if it could be read
      type: dict
    ansible_interfaces:
      description:
        - Names of network interfaces. Each name is a separate fact with C(device), C(macaddress), C(mtu), C(active),
          C(type) and C(promisc). Of the subset V(interfaces).
      returned: if it could be read
      type: list
      elements: str
    ansible_dns:
      description: Of the subset V(dns).
      returned: if it could be read
      type: dict
    ansible_machine_id:
      description: Of the subset V(machine_id).
      returned: if it could be read
      type: str
    ansible_ssh_host_key_ed25519_public:
      description: Of the subset V(ssh_pub_keys), together with C(ssh_host_key_ecdsa_public) and
        C(ssh_host_key_rsa_public).
      returned: if it could be read
      type: str
commands:
  description: Console commands that were sent. None of them changes anything.
  returned: success
  type: list
  elements: str
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import instance_facts
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(instance_facts)


if __name__ == "__main__":
    main()
