# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lookup of the program that runs on a VM host, for those who want it there without a controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: program
short_description: The local client of this collection as one Python file
version_added: 1.0.0
author:
  - uml.mconsole contributors (@uml-mconsole)
description:
  - Returns the program that this collection runs on VM hosts as the text of one file, which needs Python 3.8 or later
    and nothing else. Service managers can run it without a controller.
  - C(python3 FILE ORDER) does an order, which is a JSON object or the path of a file that holds one. With C(mode) of
    V(collect) it is the collector of events in the foreground, until a signal ends it; the other keys are
    C(directory), C(uml_dirs), C(patterns), C(rate) and C(size), as of M(uml.mconsole.collector), with C(size) in bytes.
options: {}
"""

EXAMPLES = r"""
- name: Put the program on the VM host
  ansible.builtin.copy:
    content: "{{ lookup('uml.mconsole.program') }}"
    dest: /usr/local/lib/uml-mconsole.py
    mode: "0644"
"""

RETURN = r"""
_raw:
  description: The text of the file.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.uml.mconsole.plugins.plugin_utils import _pack


class LookupModule(LookupBase):
    """Returns the one text there is."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the program; it has no terms and no options."""
        if terms or kwargs:
            raise AnsibleLookupError("the lookup uml.mconsole.program takes nothing")
        return [_pack.program_file()]
