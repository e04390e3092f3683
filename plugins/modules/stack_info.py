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
  - Returns what a running guest's kernel prints of the stacks of some of its processes.
  - Works while the guest's userspace, or the part of the console that runs other commands, hangs.
  - The kernel prints stacks to its system console, too, and at level C(info), so a guest that was booted with
    C(quiet) returns empty texts. Other lines that the kernel prints at the same moment are among them.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  pids:
    description: Process ids, as the guest counts them.
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
- name: See where init and its first child are
  uml.mconsole.stack_info:
    umid: web1
    pids: [1, 2]
"""

RETURN = r"""
stacks:
  description: One entry for each process, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: The process.
      type: int
    found:
      description: Whether the guest has that process.
      type: bool
    text:
      description: What the kernel printed.
      type: str
    lines:
      description: The lines of the text.
      type: list
      elements: str
    truncated:
      description: Whether lines may be missing.
      type: bool
    error:
      description: What the kernel said of a process that is not there.
      returned: when it is not there
      type: str
commands:
  description: The queries that were sent.
  returned: success
  type: list
  elements: str
  sample: [stack 1]
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
