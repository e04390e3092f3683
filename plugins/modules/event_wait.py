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
  - Waits until an event that fits comes, and returns it. See M(uml.mconsole.event_info) for what events there are.
  - An event that came before the task began counts only when O(after) or O(since) reaches back to it.
extends_documentation_fragment:
  - uml.mconsole.events
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - In check mode it looks once and does not wait, since what would cause the event is not done either. It does not
        fail then; RV(event) is null.
options:
  wait_timeout:
    description: Seconds to wait for the event, 0 to 1000000. The task fails when none has come by then.
    type: float
    default: 300.0
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.collector
  - module: uml.mconsole.event_info
"""

EXAMPLES = r"""
- name: Remember where the journal ends
  uml.mconsole.event_info:
    limit: 1
  register: before

- name: Restart the instance
  uml.mconsole.instance:
    umid: web1
    state: restarted

- name: Wait until its guest says that it is ready
  uml.mconsole.event_wait:
    umid: web1
    types: [message]
    search: ^ready
    after: "{{ before.position }}"
    wait_timeout: 60
"""

RETURN = r"""
event:
  description: The event, or null in check mode when there is none.
  returned: success
  type: dict
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
position:
  description: Position behind the last event that was looked at, for O(after) of the next task.
  returned: success
  type: int
  sample: 4711
elapsed:
  description: Seconds that it took.
  returned: success
  type: float
  sample: 1.72
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
