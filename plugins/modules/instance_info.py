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
  - Returns every instance that can be seen on the VM host, also those that this collection did not start, and what
    crashed ones left.
  - Looks at all processes, at C(~/.uml) of the user that the task runs as (as root, at that of every local user), and
    at the uml_dir of every running instance. Of instances of other users only root sees all.
  - Each instance is asked for its version at most. One that hangs does not hold up the others.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  umid:
    description: Name of the one instance to list.
    type: str
  umids:
    description: Names or globs of the instances to list. By default all are.
    type: list
    elements: str
  uml_dir:
    description: The only directory to look in. By default all are.
    type: str
  gather_subset:
    description:
      - Also gather facts of each running instance; see M(uml.mconsole.instance_facts).
    type: list
    elements: str
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance
  - module: uml.mconsole.instance_facts
  - module: uml.mconsole.collector
"""

EXAMPLES = r"""
- name: See what there is
  uml.mconsole.instance_info:
  register: host

- name: Name those that need help
  ansible.builtin.debug:
    msg: "{{ item.umid }}: {{ item.state_reason }}"
  loop: "{{ host.instances | rejectattr('state', 'in', ['running', 'paused']) }}"
  loop_control:
    label: "{{ item.umid }}"
"""

RETURN = r"""
instances:
  description: The instances, by name.
  returned: success
  type: list
  elements: dict
  contains:
    umid:
      description: Its name. One that was started without a name, or with one in use, has a random one.
      type: str
      sample: web1
    uml_dir:
      description: Directory that holds its own directory.
      type: str
      sample: /home/uml/.uml
    console:
      description: Its console, or null when the path is too long for a socket, so that it has none.
      type: str
      sample: /home/uml/.uml/web1/mconsole
    state:
      description:
        - V(running) when it answers.
        - V(paused) when its console is stopped and answers.
        - V(booting) when its process runs, and its console is not there yet.
        - V(hung) when its process is stopped, or it does not answer, or its console's worker waits for something.
        - V(frozen) when its console is stopped and does not answer; only ending it helps.
        - V(stale) when its process is gone and its directory is left.
        - V(orphaned) when its main process is gone, and helpers of it hold its console and its disks.
        - V(unknown) when its process runs, and no more can be seen, for want of rights or of a console.
      type: str
      sample: running
    state_reason:
      description: Why it is in that state, where there is more to say.
      type: str
    pid:
      description: Its main process, or null when that is gone.
      type: int
      sample: 4711
    processes:
      description: How many processes of it run on the VM host.
      type: int
      sample: 5
    owner:
      description: User that it runs as, or that owns what is left of it.
      type: str
      sample: uml
    kernel:
      description: Release of its kernel, or null when it does not answer.
      type: str
      sample: 6.1.176
    kernel_path:
      description: Program of its kernel, with C( (deleted)) when the file was replaced since.
      type: str
      sample: /usr/bin/linux.uml
    arguments:
      description: Words on its command line.
      type: list
      elements: str
      sample: ["umid=web1", "mem=256M"]
    cwd:
      description: Directory that relative paths on its command line start at, or null when it cannot be seen.
      type: str
      sample: /home/uml
    console_log:
      description: File that its standard output goes to, or null when there is none or it cannot be seen.
      type: str
      sample: /home/uml/.uml/web1.log
    started:
      description: When its main process started, in seconds since 1970. A reboot of the guest keeps the process.
      type: int
      sample: 1767225600
    memory:
      description: Memory of the VM host that it holds, in bytes.
      type: int
      sample: 45355008
    xstate_shim:
      description:
        - Whether it runs with the register shim, which kernels before 6.13 need on a VM host whose CPU has AMX.
        - V(null) when it does not run, or belongs to another user.
      type: bool
    networks:
      description:
        - Networks that it is attached to, by its command line and by the taps that it has open. An interface that was
          set later shows by its tap, while the guest has it up.
      type: list
      elements: dict
      contains:
        interface:
          description: The guest's interface, or null for a tap of which that is not known.
          type: str
          sample: vec0
        transport:
          description: How its packets are carried.
          type: str
          sample: tap
        network:
          description:
            - What they are carried to, such as a tap, the socket of a switch, a multicast group or a remote address;
              null where the transport names none.
          type: str
          sample: tap1
        bridge:
          description: Bridge of the VM host, or other master, that this interface of the VM host is in, or null.
          type: str
          sample: br0
        open:
          description: Whether it has that tap open now; null for what is no tap.
          type: bool
          sample: true
    world_writable:
      description:
        - Whether every user of the VM host may send commands to it, or put another console in the place of its own, by
          the modes of the console, its directory and O(uml_dir); a warning says which. Null when there is no console
          to look at.
      type: bool
      sample: false
    collector_coverage:
      description: What of it M(uml.mconsole.collector) writes to a journal; null when its process is gone.
      type: dict
      contains:
        notify:
          description: Socket to which it sends its notifications, or null when it has none.
          type: str
          sample: /home/uml/.uml/.notify
        notifications:
          description: Whether these are received.
          type: bool
        notifications_reason:
          description: Why not.
          type: str
        console:
          description: Whether its console log is followed.
          type: bool
        console_reason:
          description: Why not.
          type: str
    facts:
      description: Facts of the guest, without the prefix C(ansible_); null when it is not running.
      returned: when O(gather_subset) is given
      type: dict
    facts_error:
      description: Why it has no facts.
      returned: when gathering them failed
      type: str
vm_host:
  description: The VM host itself; null for what it does not tell.
  returned: success
  type: dict
  contains:
    name:
      description: Its own name.
      type: str
      sample: vm1
    cpus:
      description: How many processors it has.
      type: int
      sample: 8
    memory:
      description: Its memory, in bytes.
      type: int
      sample: 16777216000
    memory_available:
      description: Memory that could still be used, in bytes.
      type: int
      sample: 8388608000
    loadavg:
      description: Processes that ran or waited for a disk, over V(1m), V(5m) and V(15m).
      type: dict
      sample: {"1m": 0.5, "5m": 0.25, "15m": 0.1}
commands:
  description: Queries that were answered.
  returned: success
  type: list
  elements: str
  sample: ["version"]
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
