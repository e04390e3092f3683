# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look up the program of VM hosts, which can run there without a controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: program
short_description: Return the local client of this collection as one Python file
version_added: 1.0.0
author:
  - uml.mconsole contributors (@uml-mconsole)
description:
  - Returns the text of one file with the program that this collection runs on VM hosts. The file needs Python 3.8 or
    later and nothing else. Service managers can run it without a controller.
  - C(python3 FILE ORDER) carries out an order. An order is a JSON object, or the path of a file that contains one. Its
    key C(mode) selects what the program does.
  - With C(mode=collect) the program is a collector in the foreground until a signal ends it. The other keys are
    C(journal_dir), C(uml_dirs), C(patterns), C(event_rate), C(journal_size) and C(metrics_file), as of
    M(uml.mconsole.collector).
  - With C(mode=attach) the program is a terminal in the guest of the instance C(umid). With C(follow=true) it shows the
    console log of the instance instead. The optional keys C(uml_dir) and C(line) name the directory of the instance and
    the line of its guest.
  - With C(mode=xstate) the program prints as JSON whether kernels before 6.13 need the register shim on this VM host
    (C(needed)), and the file of the shim if it is installed (C(shim)).
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

from ansible_collections.uml.mconsole.plugins.plugin_utils import _program


class LookupModule(LookupBase):
    """Return the program as one text."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the program; it has no terms and no options."""
        if terms or kwargs:
            raise AnsibleLookupError("the lookup uml.mconsole.program takes no terms and no options")
        return [_program.program_file()]
