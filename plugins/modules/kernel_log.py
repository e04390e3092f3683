#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_log
short_description: Write lines into the kernel log of a User-Mode Linux instance
version_added: 1.0.0
description:
  - Writes lines into the kernel log of a running guest, for example to mark a maintenance task.
  - The kernel logs each line at level C(warning). Another level cannot be chosen.
  - The module does not verify that a line is in the log, because the console of older kernels cannot read it.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run writes the lines again.
options:
  text:
    description:
      - Text to write. Each line becomes one line of the log. Empty lines, and spaces before a line, are omitted.
      - A line can have at most 506 bytes.
    type: str
    required: true
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.request
"""

EXAMPLES = r"""
- name: Mark the backup in the guest's kernel log
  uml.mconsole.kernel_log:
    umid: web1
    text: "backup of ubd0 starts"
"""

RETURN = r"""
commands:
  description: Console commands that were sent or, in check mode, would be sent.
  returned: success
  type: list
  elements: str
  sample: [log backup of ubd0 starts]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import kernel_log
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(kernel_log)


if __name__ == "__main__":
    main()
