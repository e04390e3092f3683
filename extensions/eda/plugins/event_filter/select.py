# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Event-Driven Ansible: drop events of User-Mode Linux instances that the rules of one source do not need."""

from __future__ import annotations

import fnmatch
from typing import Any

DOCUMENTATION = r"""
---
short_description: Keep some events of User-Mode Linux instances
description:
  - Passes on the events of the event source C(uml.mconsole.events) that fit all options, and drops the others.
    An event without a severity is of another source, and is passed on.
  - The events C(source_lost) and C(source_restored) are of the whole VM host. O(umids) does not drop them.
  - The options of the event source of the same names are cheaper, because the VM hosts then do not send the event. Use
    the filter where several sources share one definition, or to select VM hosts.
options:
  severity:
    description: Keep events of this severity or worse.
    type: str
    choices: [debug, info, warning, error, critical]
    default: debug
  types:
    description: Keep events of these types.
    type: list
  vm_hosts:
    description: Keep events of these VM hosts. Names or globs, as in C(vm_host) of the event.
    type: list
  umids:
    description: Keep events of these instances. Names or globs.
    type: list
"""

EXAMPLES = r"""
- name: React to errors on the production hosts
  hosts: all
  sources:
    - uml.mconsole.events:
        hosts: [vm1.example.org, test1.example.org]
      filters:
        - uml.mconsole.select:
            severity: error
            vm_hosts: ["vm*.example.org"]
  rules:
    - name: An error
      condition: event.umid is defined
      action:
        debug:
"""

_SEVERITIES = ("debug", "info", "warning", "error", "critical")
_OF_HOSTS = ("source_lost", "source_restored")
Event = dict[str, Any]


def main(
    event: Event,
    severity: str = "debug",
    types: list[str] | None = None,
    vm_hosts: list[str] | None = None,
    umids: list[str] | None = None,
) -> Event | list[Event]:
    """Return the event, or no event.

    :raises ValueError: when an argument cannot be used
    """
    if severity not in _SEVERITIES:
        raise ValueError(f"severity is {severity!r}; expected one of {', '.join(_SEVERITIES)}")
    for name, value in (("types", types), ("vm_hosts", vm_hosts), ("umids", umids)):
        if value is not None and not isinstance(value, list):
            raise ValueError(f"{name} is {value!r}; expected a list")
    if event.get("severity") not in _SEVERITIES:
        return event
    is_wanted = (
        _SEVERITIES.index(event["severity"]) >= _SEVERITIES.index(severity)
        and (types is None or event.get("type") in types)
        and _matches(event.get("vm_host"), vm_hosts)
        and (event.get("type") in _OF_HOSTS or _matches(event.get("umid"), umids))
    )
    return event if is_wanted else []


def _matches(name: Any, globs: list[str] | None) -> bool:
    return globs is None or any(fnmatch.fnmatchcase(str(name), str(glob)) for glob in globs)
