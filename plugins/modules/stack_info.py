#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_info
short_description: Read the kernel stacks of processes of a User-Mode Linux instance
version_added: 1.0.0
description:
  - Returns the kernel stacks of processes of a running guest, as its kernel prints them.
  - Works even if the userspace of the guest hangs, or if the part of the console that runs the other commands hangs.
  - The kernel also prints the stacks to its system console, at level C(info). A guest that was booted with C(quiet)
    therefore returns empty texts. Lines that the kernel prints at the same time may appear in the text.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  pids:
    description: Process ids in the guest.
    type: list
    elements: int
    default: [1]
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.proc_info
  - module: uml.mconsole.sysrq
"""

EXAMPLES = r"""
- name: Read the stacks of init and kthreadd
  uml.mconsole.stack_info:
    umid: web1
    pids: [1, 2]
"""

RETURN = r"""
stacks:
  description: One entry for each process, in the order of O(pids).
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: Process id.
      type: int
    found:
      description: Whether the process exists.
      type: bool
    text:
      description: Output of the kernel.
      type: str
    lines:
      description: The lines of the text.
      type: list
      elements: str
    truncated:
      description: Whether parts of the output may be missing.
      type: bool
    error:
      description: Message of the kernel.
      returned: if the process does not exist
      type: str
commands:
  description: Console commands that were sent. None of them changes anything.
  returned: success
  type: list
  elements: str
  sample: [stack 1]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import stack_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(stack_info)


if __name__ == "__main__":
    main()
