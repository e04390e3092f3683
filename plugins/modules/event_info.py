#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: event_info
short_description: Read the events of User-Mode Linux instances
version_added: 1.0.0
description:
  - Returns events that the collector of a VM host has recorded, such as panics, hangs, messages of guests, unusual
    lines of console logs, and instances that appeared, ended, crashed or were paused. See M(uml.mconsole.collector).
  - Text from a guest is returned as data. Ansible does not evaluate templates in it.
extends_documentation_fragment:
  - uml.mconsole.events
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  limit:
    description: Return at most this many events (1 to 10000).
    type: int
    default: 100
  order:
    description:
      - V(newest) returns the newest O(limit) events that match, newest first. RV(position) is then the end of the
        journal.
      - V(oldest) returns the oldest O(limit) events that match, oldest first. RV(position) is then behind the last of
        them, so the next task can continue there with O(after).
    type: str
    choices: [newest, oldest]
    default: newest
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.collector
  - module: uml.mconsole.event_wait
"""

EXAMPLES = r"""
- name: Show errors since midnight
  uml.mconsole.event_info:
    severity: error
    since: "{{ now(utc=true).strftime('%Y-%m-%dT00:00:00Z') }}"
  register: trouble

- name: Continue where the last task ended
  uml.mconsole.event_info:
    umids: [web*]
    order: oldest
    after: "{{ trouble.position }}"
"""

RETURN = r"""
events:
  description: The events, in the order of O(order).
  returned: success
  type: list
  elements: dict
  contains:
    seq:
      description: Number of the event in the journal.
      type: int
      sample: 4711
    time:
      description: Time of the event, in seconds since 1970.
      type: float
      sample: 1767225600.25
    host:
      description: Name of the VM host.
      type: str
      sample: vm1
    umid:
      description: Name of the instance, or null if the event is about the VM host.
      type: str
      sample: web1
    uml_dir:
      description: Directory that holds the directory of the instance.
      type: str
      sample: /home/uml/.uml
    pid:
      description: Main process of the instance.
      type: int
      sample: 4242
    boot:
      description: Number of boots of this process that the collector had observed.
      type: int
      sample: 1
    type:
      description: One of the choices of O(types).
      type: str
      sample: panic
    severity:
      description: One of the choices of O(severity).
      type: str
      sample: critical
    data:
      description: Text of the event, at most 8 KiB, without terminal escapes and control characters.
      type: str
      sample: sysrq triggered crash
    pattern:
      description: Name of the pattern that matched.
      returned: for events of type V(log)
      type: str
      sample: oops
    operation:
      description: Name of the module.
      returned: for events of type V(operation)
      type: str
      sample: device
    state:
      description: The option O(ignore:state) of the task.
      returned: for events of type V(operation)
      type: str
      sample: present
    changed:
      description: Whether the task changed something.
      returned: for events of type V(operation)
      type: bool
      sample: true
    failed:
      description: Whether the task failed.
      returned: for events of type V(operation)
      type: bool
      sample: false
    error:
      description: Kind of the failure, as of the attribute C(structured_errors).
      returned: for events of type V(operation)
      type: str
      sample: refused
    commands:
      description: Console commands that were sent, without the text of C(log). None for a task with C(no_log).
      returned: for events of type V(operation)
      type: list
      elements: str
      sample: ["config ubd1=/var/lib/uml/web1.cow"]
    commands_left_out:
      description: Number of commands for which the event had no room.
      returned: for events of type V(operation)
      type: int
      sample: 0
    no_log:
      description: Whether the task had C(no_log).
      returned: for events of type V(operation)
      type: bool
      sample: false
    user:
      description: User that the task ran as on the VM host.
      returned: for events of type V(operation)
      type: str
      sample: root
    login_user:
      description: User that logged in to the VM host, before become.
      returned: for events of type V(operation)
      type: str
      sample: alice
    controller_user:
      description: User on the controller, as the controller gives it, or null if it does not.
      returned: for events of type V(operation)
      type: str
      sample: bob
    controller_host:
      description: Name of the controller, as the controller gives it, or null if it does not.
      returned: for events of type V(operation)
      type: str
      sample: ctl1
    lost:
      description: Number of missing events, or null if it is unknown.
      returned: for events of type V(gap)
      type: int
      sample: 12
more:
  description: Whether more events match than were returned.
  returned: success
  type: bool
  sample: false
collecting:
  description: Whether a collector is writing the journal.
  returned: success
  type: bool
  sample: true
position:
  description: Position after the last event that was read, for O(after) of the next task.
  returned: success
  type: int
  sample: 4711
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import event_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(event_info)


if __name__ == "__main__":
    main()
