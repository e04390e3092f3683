#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: proc_info
short_description: Read files of a User-Mode Linux instance through its kernel
version_added: 1.0.0
description:
  - Returns the contents of files of a running guest, from its C(/proc) or from the root file system of its first
    process.
  - The kernel reads the files as root, and follows symbolic links.
  - Some files of C(/proc) cannot be read. These are C(net/dev) and nearly all other files of C(net), C(modules),
    C(swaps), and files of single processes such as C(1/status). Directories cannot be listed.
  - If a file cannot be opened, the kernel of the guest writes a line to its log.
  - A file that blocks or never ends would block the console permanently. The module refuses paths that are known to do
    so. It also refuses every path while the instance is paused, because reading a file can then freeze it. The module
    cannot recognize a named pipe by its path.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  paths:
    description:
      - Files to read. A path that does not start with a slash is relative to C(/proc), so V(meminfo) and
        V(/proc/meminfo) are the same file.
      - Other paths that start with a slash are files of the guest, as its first process sees them.
    type: list
    elements: str
    required: true
    aliases: [path]
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance_facts
  - module: uml.mconsole.request
"""

EXAMPLES = r"""
- name: Read two files of the guest
  uml.mconsole.proc_info:
    umid: web1
    paths:
      - meminfo
      - /etc/hostname
"""

RETURN = r"""
contents:
  description: The contents of each file. The key is the path from O(paths).
  returned: success
  type: dict
  contains:
    meminfo:
      description: An example of a file.
      type: dict
      contains:
        readable:
          description: Whether the file could be read.
          type: bool
        text:
          description: Text of the file, or null if it could not be read. Bytes that are not valid UTF-8 are replaced
            with U+FFFD.
          type: str
        truncated:
          description:
            - Whether parts may be missing. Text after a NUL, up to the next multiple of 4095 bytes, is lost without
              notice.
          type: bool
        error:
          description: Message of the kernel.
          returned: if the file could not be read
          type: str
commands:
  description: Console commands that were sent. None of them changes anything.
  returned: success
  type: list
  elements: str
  sample: [proc meminfo, proc 1/root/etc/hostname]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import proc_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(proc_info)


if __name__ == "__main__":
    main()
