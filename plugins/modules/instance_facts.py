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
  - Returns what can be told of a running guest by its kernel alone; nothing is needed in the guest, no Python and no
    ssh.
  - All of it is under C(ansible_facts.uml). What M(ansible.builtin.setup) would return inside the guest is there,
    too, under the names and with the values that it would have, as far as a console can tell it.
  - What could not be read is listed under C(ansible_facts.uml.unavailable), and its facts are not there. A guest
    without a C(/sys), or without an C(/etc/os-release), has fewer facts.
  - IP addresses and routes cannot be had, and neither can sizes of mounted file systems, UUIDs, links below
    C(/dev/disk), the time zone, or anything that takes a program in the guest to find out.
  - A file that cannot be opened costs the guest a line in its kernel log. So files are only looked for where
    something says that they are there, except as noted at O(gather_subset) and O(interfaces).
  - Of a paused instance there is only what its console itself answers, since reading a guest's file can freeze it
    then.
  - The inventory plugin P(uml.mconsole.instances#inventory) makes this the module that C(gather_facts) uses for
    instances.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
  - uml.mconsole.attributes.facts
options:
  gather_subset:
    description:
      - What to gather; the names and the rules are those of M(ansible.builtin.setup), C(!) before a name takes it
        out.
      - V(min) is V(platform), V(cmdline), V(distribution), and always in unless V(!min) is given.
      - V(default) is V(min), V(loadavg), V(uptime), V(processor), V(memory), V(mounts), V(devices), V(interfaces).
        When all words take something out, they take it out of V(default).
      - V(hardware) is V(uptime), V(processor), V(memory), V(mounts), V(devices), V(disks). V(network) is
        V(interfaces), V(statistics), V(dns).
      - V(disks) is what each C(ubd) is set to, V(consoles) what each console and serial line is, V(capabilities)
        which classes of devices the kernel knows.
      - V(distribution), V(dns), V(machine_id) and V(ssh_pub_keys) are read from C(/etc) of the guest, and cost a line
        in its kernel log for each file that is not there.
      - They are the only files of the guest's own that are read. A guest that puts a named pipe in the place of one
        wedges its console with that; V(!distribution) leaves them alone.
      - V(all) is everything.
      - C(gather_facts) of a play does not hand its C(gather_subset) to this module; set it by C(module_defaults).
    type: list
    elements: str
    default: [default]
  interfaces:
    description:
      - Further network interfaces to look for.
      - Known without being named are C(lo), those that are up, and those of the kernel command line. A console cannot
        list others, such as a bridge or a hot-plugged interface that is down.
      - A star at the end counts up, so V(vec*) looks for C(vec0), C(vec1) and so on up to the first that is not
        there.
      - Each name that is not there costs the guest a line in its kernel log.
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

- name: Show what they say
  ansible.builtin.debug:
    msg: "{{ ansible_facts.uml.umid }} runs Linux {{ ansible_facts.kernel }}, {{ ansible_facts.memfree_mb }} MB free"

- name: Gather everything, of interfaces that are down as well
  uml.mconsole.instance_facts:
    umid: web1
    gather_subset: [all]
    interfaces: ["vec*"]

- name: Compare the kernels of all instances
  uml.mconsole.instance_facts:
    umids: ["*"]
    gather_subset: ["!all"]
  register: fleet

- name: In a play over instance hosts, let gather_facts gather more than the default
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
      description: What is told of an instance only, and what the console says that has no place elsewhere.
      returned: always
      type: dict
      contains:
        umid:
          description: Name of the instance.
          type: str
        uml_dir:
          description: Directory on the VM host that holds its files.
          type: str
        console:
          description: Path of its console on the VM host.
          type: str
        pid:
          description: Its main process on the VM host.
          type: int
        state:
          description: V(running), V(paused), or V(unknown) where this user cannot see which.
          type: str
        release:
          description: Release of its kernel.
          type: str
        boot_id:
          description: Changes with each boot of the guest.
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
            - Disks by number, each with C(config), C(file), C(backing_file) and C(listed), which is false for a disk
              that is set while the guest lists none, such as one without a size. Those that are listed have the
              values that M(uml.mconsole.device) returns.
          type: dict
        lines:
          description: What each console and serial line is set to.
          type: dict
          sample: {con0: "fd:0,fd:1", con1: "null"}
        kernel_consoles:
          description: Consoles that the kernel prints to.
          type: list
          elements: str
        statistics:
          description: Counters of each interface.
          type: dict
        capabilities:
          description: Whether the kernel knows a class of devices.
          type: dict
          sample: {ubd: true, con: true, ssl: true, vec: true, eth: false}
        gather_subset:
          description: Subsets that were gathered.
          type: list
          elements: str
        unavailable:
          description: Each C(query) that was not answered, and the C(reason).
          type: list
          elements: dict
        truncated:
          description: Queries of whose answers parts may be missing.
          type: list
          elements: str
    ansible_kernel:
      description:
        - Like C(kernel_version), C(nodename), C(hostname), C(system), C(machine), C(architecture),
          C(virtualization_type) and C(virtualization_role) of the subset V(platform).
      returned: when it could be read
      type: str
      sample: 6.1.176
    ansible_proc_cmdline:
      description: Like C(cmdline) of the subset V(cmdline).
      returned: when it could be read
      type: dict
    ansible_distribution:
      description:
        - Like C(distribution_version), C(distribution_major_version), C(distribution_release) and C(os_family) of the
          subset V(distribution). They follow from C(/etc/os-release) and, on Debian, C(/etc/debian_version).
      returned: when it could be read
      type: str
      sample: Debian
    ansible_memtotal_mb:
      description: Like C(memfree_mb), C(swaptotal_mb), C(swapfree_mb) and C(memory_mb) of the subset V(memory).
      returned: when it could be read
      type: int
    ansible_processor_vcpus:
      description:
        - Like C(processor), C(processor_count), C(processor_cores), C(processor_threads_per_core), C(processor_nproc)
          and C(flags) of the subset V(processor).
      returned: when it could be read
      type: int
    ansible_uptime_seconds:
      description: Of the subset V(uptime).
      returned: when it could be read
      type: int
    ansible_loadavg:
      description: Of the subset V(loadavg).
      returned: when it could be read
      type: dict
    ansible_mounts:
      description: Mounts with a device, without sizes and UUIDs; of the subset V(mounts).
      returned: when it could be read
      type: list
      elements: dict
    ansible_devices:
      description: Block devices without links and holders; of the subset V(devices).
      returned: when it could be read
      type: dict
    ansible_interfaces:
      description:
        - Names of network interfaces; each is a fact of its own with C(device), C(macaddress), C(mtu), C(active),
          C(type), C(promisc). Of the subset V(interfaces).
      returned: when it could be read
      type: list
      elements: str
    ansible_dns:
      description: Of the subset V(dns).
      returned: when it could be read
      type: dict
    ansible_machine_id:
      description: Of the subset V(machine_id).
      returned: when it could be read
      type: str
    ansible_ssh_host_key_ed25519_public:
      description: Like C(ssh_host_key_ecdsa_public) and C(ssh_host_key_rsa_public), of the subset V(ssh_pub_keys).
      returned: when it could be read
      type: str
commands:
  description: The queries that were sent.
  returned: success
  type: list
  elements: str
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
