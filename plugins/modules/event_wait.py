#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: event_wait
short_description: Wait for an event of a User-Mode Linux instance
version_added: 1.0.0
description:
  - Waits until an event matches all given options, and returns it. See M(uml.mconsole.event_info) for the events.
  - An event of type V(operation) only matches if O(types) names it, because an earlier task may have caused it.
  - Events from before the task only match if O(after) or O(since) includes them.
extends_documentation_fragment:
  - uml.mconsole.events
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - In check mode the module reads the journal once and does not wait, because the cause of the event may not happen
        in check mode. If no event matches, RV(event) is null and the task does not fail.
options:
  wait_timeout:
    description: Seconds to wait for a matching event, from 0 to 1000000. The task fails if no event matches in time.
    type: float
    default: 300.0
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.collector
  - module: uml.mconsole.event_info
"""

EXAMPLES = r"""
- name: Read the end of the journal
  uml.mconsole.event_info:
    limit: 1
  register: before

- name: Restart the instance
  uml.mconsole.instance:
    umid: web1
    state: restarted

- name: Wait until the guest reports that it is ready
  uml.mconsole.event_wait:
    umid: web1
    types: [message]
    search: ^ready
    after: "{{ before.position }}"
    wait_timeout: 60
"""

RETURN = r"""
event:
  description: The event. Null in check mode if no event matches.
  returned: success
  type: dict
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
    lost:
      description: Number of missing events, or null if it is unknown.
      returned: for events of type V(gap)
      type: int
      sample: 12
position:
  description: Position after the last event that was read, for O(after) of the next task.
  returned: success
  type: int
  sample: 4711
elapsed:
  description: Seconds that the task waited.
  returned: success
  type: float
  sample: 1.72
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import event_wait
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(event_wait)


if __name__ == "__main__":
    main()
