#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: List the User-Mode Linux instances of a VM host and their state
version_added: 1.0.0
description:
  - Returns every instance that the user can see on the VM host, including instances that were not started by this
    collection, and what crashed instances left.
  - Searches all processes, C(~/.uml) of the user that the task runs as (for root, of every local user), and the
    directory of every running instance. Only root sees all instances of other users.
  - Asks each instance only for its version. An instance that hangs does not delay the others.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  umid:
    description:
      - Only return the instance of this name.
      - Mutually exclusive with O(umids).
    type: str
  umids:
    description: Only return instances with one of these names, which can be patterns. By default all are returned.
    type: list
    elements: str
  uml_dir:
    description:
      - Only return instances of this directory. By default all directories are searched. Must be an absolute path, or
        start with C(~).
    type: str
  gather_subset:
    description:
      - Also return these facts of each running instance. See O(uml.mconsole.instance_facts#module:gather_subset).
    type: list
    elements: str
  declaration:
    description:
      - Also return the options of M(uml.mconsole.instance) that describe each instance, as RV(instances[].declaration).
        The playbook C(uml.mconsole.adopt) writes them as a declaration, and C(uml.mconsole.drift) compares it.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance
  - module: uml.mconsole.instance_facts
  - module: uml.mconsole.collector
"""

EXAMPLES = r"""
- name: List the instances
  uml.mconsole.instance_info:
  register: host

- name: Show instances that need attention
  ansible.builtin.debug:
    msg: "{{ item.umid }}: {{ item.state_reason }}"
  loop: "{{ host.instances | rejectattr('state', 'in', ['running', 'paused']) }}"
  loop_control:
    label: "{{ item.umid }}"
"""

RETURN = r"""
instances:
  description: The instances, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    umid:
      description: Name of the instance. It is random if the instance was started without a name or with a name in use.
      type: str
      sample: web1
    uml_dir:
      description: Directory that holds the directory of the instance.
      type: str
      sample: /home/uml/.uml
    console:
      description: Path of the console, or null if the path is too long for a socket.
      type: str
      sample: /home/uml/.uml/web1/mconsole
    state:
      description:
        - V(running) if the console answers.
        - V(paused) if the instance is paused and the console answers.
        - V(booting) if the process runs, but the console does not exist yet.
        - V(hung) if the process is stopped, the console does not answer, or the console is blocked by a command.
        - V(frozen) if the instance is paused and the console does not answer. It can only be ended.
        - V(stale) if the process has ended, but the directory is left.
        - V(orphaned) if the main process has ended, but helper processes still hold the console and the disks.
        - V(unknown) if the process runs, but the user may not read more, or there is no console.
      type: str
      sample: running
    state_reason:
      description: Details about the state, or an empty string.
      type: str
    pid:
      description: Main process of the instance, or null if it has ended.
      type: int
      sample: 4711
    processes:
      description: Number of processes of the instance on the VM host.
      type: int
      sample: 5
    owner:
      description: User that the instance runs as, or owner of the files that it left.
      type: str
      sample: uml
    kernel:
      description: Release of the kernel, or null if the console does not answer.
      type: str
      sample: 6.1.176
    kernel_path:
      description: Path of the kernel. It ends in C( (deleted)) if the file was replaced after the start.
      type: str
      sample: /usr/bin/linux.uml
    arguments:
      description: Arguments of the kernel, including C(umid=).
      type: list
      elements: str
      sample: ["umid=web1", "mem=256M"]
    cwd:
      description: Working directory, to which relative paths refer. Null if it cannot be read.
      type: str
      sample: /home/uml
    console_log:
      description: File of the console log, or null if it does not exist or cannot be read.
      type: str
      sample: /home/uml/.uml/web1.log
    started:
      description: Start time of the main process, in seconds since 1970. A reboot of the guest keeps the process.
      type: int
      sample: 1767225600
    memory:
      description: Memory of the VM host that the instance uses, in bytes.
      type: int
      sample: 45355008
    xstate_shim:
      description:
        - Whether it runs with the register shim, which kernels before 6.13 need on a VM host whose CPU has AMX.
        - V(null) when it does not run, or belongs to another user.
      type: bool
    declaration:
      description: How the instance would be declared.
      returned: if O(declaration=true)
      type: dict
      contains:
        options:
          description:
            - Options of M(uml.mconsole.instance). A task with them changes nothing, and starts an instance like this
              one when it has ended. Null if the instance has ended, or belongs to another user.
            - The devices are those that a running instance has now.
          type: dict
          sample: {kernel: /usr/bin/linux.uml, memory: 128M, root: {image: /srv/root.img}, supervisor: none}
        notes:
          description: A sentence for each thing that the options do not say.
          type: list
          elements: str
        runtime_only:
          description: Names of the devices that differ from the command line. Only a restart with this declaration
            keeps them.
          type: list
          elements: str
          sample: [con5]
        replaced:
          description: Paths of the kernel and of disks whose file was replaced after the start.
          type: list
          elements: str
    networks:
      description:
        - Networks of the instance, read from its command line and from the taps that it has open. An interface that
          was added later is only listed if it uses a tap and the guest has it up.
      type: list
      elements: dict
      contains:
        interface:
          description: Interface of the guest, or null if it is not known which one uses the tap.
          type: str
          sample: vec0
        transport:
          description: Transport of the interface.
          type: str
          sample: tap
        network:
          description:
            - The other end, such as a tap, the socket of a switch, a multicast group or a remote address. Null if the
              transport does not name it.
          type: str
          sample: tap1
        bridge:
          description: Bridge (or other master) of the VM host that the tap belongs to, or null.
          type: str
          sample: br0
        open:
          description: Whether the instance has the tap open. Null for other transports.
          type: bool
          sample: true
    world_writable:
      description:
        - Whether file permissions let any user of the VM host control the instance or replace its console. A warning
          names the file or directory. Null if there is no console.
      type: bool
      sample: false
    collector_coverage:
      description: Coverage of the instance by M(uml.mconsole.collector). Null if the process has ended.
      type: dict
      contains:
        notify:
          description: Socket to which the kernel sends notifications, or null.
          type: str
          sample: /home/uml/.uml/.notify
        notifications:
          description: Whether a collector receives these notifications.
          type: bool
        notifications_reason:
          description: Why no collector receives them, or an empty string.
          type: str
        console:
          description: Whether a collector reads the console log.
          type: bool
        console_reason:
          description: Why no collector reads it, or an empty string.
          type: str
    facts:
      description: Facts of the guest, without the prefix C(ansible_). Null if the instance is not running.
      returned: if O(gather_subset) is set
      type: dict
    facts_error:
      description: Why there are no facts.
      returned: if gathering the facts failed
      type: str
vm_host:
  description: The VM host itself. Values that cannot be read are null.
  returned: success
  type: dict
  contains:
    name:
      description: Host name.
      type: str
      sample: vm1
    cpus:
      description: Number of processors.
      type: int
      sample: 8
    memory:
      description: Total memory in bytes.
      type: int
      sample: 16777216000
    memory_available:
      description: Available memory in bytes.
      type: int
      sample: 8388608000
    loadavg:
      description: Load average over 1, 5 and 15 minutes.
      type: dict
      sample: {"1m": 0.5, "5m": 0.25, "15m": 0.1}
commands:
  description: Console commands that were answered. None of them changes anything.
  returned: success
  type: list
  elements: str
  sample: ["version"]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import instance_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(instance_info)


if __name__ == "__main__":
    main()
