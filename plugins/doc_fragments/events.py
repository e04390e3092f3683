# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which events are chosen."""

from __future__ import annotations


class ModuleDocFragment:
    """Which events of which instances."""

    DOCUMENTATION = r"""
options:
  umid:
    description:
      - Name of the instance whose events are returned. By default the events of all instances and of the VM host are.
      - If the instance itself is the inventory host, the connection sets this option.
      - Mutually exclusive with O(umids).
    type: str
  umids:
    description: Names of instances, or patterns such as V(web*).
    type: list
    elements: str
  uml_dir:
    description: Only return events of instances in this directory. Needed if two directories hold the same name.
    type: str
  timeout:
    description: Accepted so that defaults of the action group apply to every module. This module does not use it.
    type: float
    default: 5.0
  types:
    description:
      - Only return events of these types. By default events of all types match.
      - V(boot), V(panic), V(hang) and V(message) are notifications of a kernel. Text that a guest writes to
        C(/proc/mconsole) is a V(message).
      - V(log) is a line of a console log that matches a pattern of the collector.
      - V(appeared), V(exited), V(crashed), V(stale), V(paused) and V(resumed) are observed on the VM host.
      - V(operation) is a task of this collection that changed something, or that failed. See the guide
        R(Events, ansible_collections.uml.mconsole.docsite.guide_events).
      - V(gap) means that other events are missing, and why. V(unknown) is a datagram that is not a notification.
    type: list
    elements: str
    choices: [appeared, boot, collector_started, collector_stopped, crashed, exited, gap, hang, log, message, operation,
      panic, paused, resumed, stale, unknown]
  severity:
    description: Only return events of this severity or a higher one.
    type: str
    choices: [debug, info, warning, error, critical]
    default: debug
  search:
    description: Only return events whose text contains a match of this Python regular expression.
    type: str
  since:
    description:
      - Only return events from this time on. A number is seconds since 1970; anything else is an ISO 8601 time, which
        is in UTC unless it names a time zone.
    type: str
  after:
    description:
      - Only return events after this position, which is RV(ignore:position) of an earlier task. No event is missed
        between the two tasks.
      - If events were removed in between, an event of type V(gap) says so.
    type: int
  journal_dir:
    description:
      - Directory of the journal on the VM host. Must be an absolute path, or start with C(~).
      - By default the directory of the user that the task runs as, which is C(/var/lib/uml-mconsole) for root and
        C(~/.local/state/uml-mconsole) for other users.
    type: str
"""
