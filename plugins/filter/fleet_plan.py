# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_plan
author: The uml.mconsole contributors (@uml-mconsole)
version_added: 1.0.0
short_description: Check declared instances and order their starts and stops
description:
  - Takes the declaration of the role P(uml.mconsole.instances#role), checks it, and returns the order in which the
    instances stop and start. The role uses it.
  - Instances that stop come first, in reverse of the declared order, because that frees memory and disks. The others
    follow in the declared order. Consecutive instances with the same options form a group and start at the same time.
  - An instance starts after those in its C(depends_on), and ends before them. Such instances are never in one group.
positional: _defaults
options:
  _input:
    description: The instances, as O(uml.mconsole.instances#role:main:instances_fleet).
    type: list
    elements: dict
    required: true
  _defaults:
    description: Options for all of them, as O(uml.mconsole.instances#role:main:instances_defaults).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show in which groups the instances start
  ansible.builtin.debug:
    msg: "{{ (instances_fleet | uml.mconsole.fleet_plan(instances_defaults)).groups | map(attribute='umids') }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    errors:
      description: The errors in the declaration, for example an instance without a name. If there are any, the rest is
        empty.
      type: list
      elements: str
    instances:
      description:
        - The instances in this order, each with its C(umid), its C(name) (with its directory, if it has a separate
          one), its C(depends_on) and all its other C(options).
      type: list
      elements: dict
    groups:
      description: The same instances in groups, each with its C(umids) and the C(options) that they share.
      type: list
      elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fleet_plan


def fleet_plan(fleet: Any, defaults: Any = None) -> dict[str, Any]:
    """Return the plan.

    :raises AnsibleFilterError: when the input is not a list of dictionaries
    """
    rows, options = fleet, defaults or {}
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        raise AnsibleFilterError("the fleet is not a list of dictionaries; expected one dictionary for each instance")
    if not isinstance(options, Mapping):
        raise AnsibleFilterError("the defaults are not a dictionary; expected options by their names")
    return _fleet_plan.plan(rows, options)


class FilterModule:
    """Makes the filter known."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"fleet_plan": fleet_plan}
