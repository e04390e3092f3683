# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_changes
author: The uml.mconsole contributors (@uml-mconsole)
version_added: 1.0.0
short_description: Say what instances that run otherwise than declared call for
description:
  - Takes the answers of M(uml.mconsole.instance) to the groups of a plan of P(uml.mconsole.fleet_plan#filter), and
    returns which instances to restart. The role P(uml.mconsole.instances#role) uses it.
  - Prints a warning for each instance that differs from its declaration and whose options do not allow a restart.
positional: _groups, _batch
options:
  _input:
    description: The answers, one for each group.
    type: list
    elements: dict
    required: true
  _groups:
    description: The groups of the plan.
    type: list
    elements: dict
    required: true
  _batch:
    description: How many instances restart at once.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Show what would be restarted
  ansible.builtin.debug:
    msg: "{{ (started.results | uml.mconsole.fleet_changes(plan.groups, 2)).restarts | map(attribute='umids') }}"
"""

RETURN = r"""
_value:
  description: The changes to make.
  type: dict
  contains:
    restarts:
      description: The instances to restart in batches, each with its C(umids) and the C(options) that they share.
      type: list
      elements: dict
    warnings:
      description: A sentence for each instance that differs from its declaration and is left as it is.
      type: list
      elements: str
    left_running:
      description: Umids of the instances that ran before and are not restarted.
      type: list
      elements: str
"""

from typing import Any

from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fleet_plan


def fleet_changes(results: Any, groups: Any, batch: int = 1) -> dict[str, Any]:
    """Return the changes to make."""
    found = _fleet_plan.changes(results, groups, batch)
    for text in found["warnings"]:
        Display().warning(text)
    return found


class FilterModule:
    """Makes the filter known."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"fleet_changes": fleet_changes}
