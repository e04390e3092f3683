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
  - Returns what the collector of a VM host has written down of panics, hangs, messages of guests, lines of console
    logs, and instances that came, went, crashed or were paused. See M(uml.mconsole.collector).
  - What a guest has said is data, never a template, in each of the results.
extends_documentation_fragment:
  - uml.mconsole.events
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  newest:
    description: Return at most so many, the newest (1 to 10000). Without O(newest) and O(oldest), 100.
    type: int
  oldest:
    description:
      - Return at most so many, the oldest (1 to 10000). RV(position) is then behind the last of them, so that the next
        task goes on from there.
    type: int
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.collector
  - module: uml.mconsole.event_wait
"""

EXAMPLES = r"""
- name: See what went wrong since midnight
  uml.mconsole.event_info:
    severity: error
    since: "{{ now(utc=true).strftime('%Y-%m-%dT00:00:00Z') }}"
  register: trouble

- name: Read on from where the last task ended
  uml.mconsole.event_info:
    umids: [web*]
    after: "{{ trouble.position }}"
"""

RETURN = r"""
events:
  description: The events, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    seq:
      description: Its number in the journal.
      type: int
      sample: 4711
    time:
      description: When it was seen, in seconds since 1970.
      type: float
      sample: 1767225600.25
    host:
      description: Name of the VM host.
      type: str
      sample: vm1
    umid:
      description: Name of the instance, or null when the event is about the VM host.
      type: str
      sample: web1
    uml_dir:
      description: Directory that holds the instance's own.
      type: str
      sample: /home/uml/.uml
    pid:
      description: Main process of the instance.
      type: int
      sample: 4242
    boot:
      description: How many times its kernel had booted in that process, as far as it was seen.
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
      description: What was said, without terminal escapes and control characters, and at most 8 KiB.
      type: str
      sample: Kernel panic - not syncing - sysrq triggered crash
    pattern:
      description: Name of the pattern that matched.
      returned: for events of type V(log)
      type: str
      sample: oops
    lost:
      description: How many events are missing; null when nobody can know.
      returned: for events of type V(gap)
      type: int
      sample: 12
more:
  description: Whether more events than these fit the filter.
  returned: success
  type: bool
  sample: false
collecting:
  description: Whether a collector is writing the journal.
  returned: success
  type: bool
  sample: true
position:
  description: Position behind the last event that was looked at, for O(after) of the next task.
  returned: success
  type: int
  sample: 4711
commands:
  description: Always empty, since no console is asked.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import event_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(event_info)


if __name__ == "__main__":
    main()
