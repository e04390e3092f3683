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
  - Writes into the kernel log of a running guest, for instance to mark there what is done to it from outside.
  - The kernel logs each line at level C(warning); no level can be chosen.
  - That a line is in the log is not verified, since a console cannot read the log of all kernels.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - The lines are written each time.
options:
  text:
    description:
      - What to write. Each line becomes a line of the log; empty lines and spaces before a line are left out.
      - A line has at most 506 bytes.
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
  description: The commands that were sent or, in check mode, would have been.
  returned: success
  type: list
  elements: str
  sample: [log backup of ubd0 starts]
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
