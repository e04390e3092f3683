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
      - Name of the instance whose events are wanted. By default those of all instances are, and those of the VM host.
      - Given by the connection where the instance itself is the inventory host.
    type: str
  umids:
    description: Names of instances, or globs such as V(web*).
    type: list
    elements: str
  uml_dir:
    description: Only events of instances in this directory, where two directories hold the same name.
    type: str
  timeout:
    description: Accepted so that defaults of the action group apply to every module. This module does not use it.
    type: float
    default: 5.0
  types:
    description:
      - Only events of these types. By default all are wanted.
      - V(boot), V(panic), V(hang) and V(message) are notifications of a kernel; what a guest writes to
        C(/proc/mconsole) is a V(message).
      - V(log) is a line of a console's log that a pattern of the collector matches.
      - V(appeared), V(exited), V(crashed), V(stale), V(paused) and V(resumed) are seen on the VM host.
      - V(gap) tells that events are missing, and why; V(unknown) of a datagram that is no notification.
    type: list
    elements: str
    choices: [appeared, boot, collector_started, collector_stopped, crashed, exited, gap, hang, log, message, panic,
      paused, resumed, stale, unknown]
  severity:
    description: Only events that are at least so severe.
    type: str
    choices: [debug, info, warning, error, critical]
    default: debug
  search:
    description: Only events whose text matches this regular expression (of Python) somewhere.
    type: str
  since:
    description:
      - Only events that came at this time or later, in seconds since 1970 or as ISO 8601 (in UTC unless it has a zone).
    type: str
  after:
    description:
      - Only events behind this position, as RV(ignore:position) of an earlier task told it.
      - So nothing is missed between two tasks; what was removed meanwhile is told as an event of type V(gap).
    type: int
  journal_dir:
    description:
      - Directory of the journal on the VM host. By default that of the user that the task runs as,
        C(/var/lib/uml-mconsole) for root and C(~/.local/state/uml-mconsole) for others.
    type: str
"""
