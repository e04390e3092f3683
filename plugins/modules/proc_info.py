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
  - Returns the contents of files in the C(/proc) of a running guest or, seen from its first process, anywhere in it.
  - The kernel reads them as root, and follows links.
  - Not all of C(/proc) can be read this way. C(net/dev) and nearly all else in C(net), C(modules), C(swaps),
    C(1/status) and other files of single processes cannot, and directories cannot be listed.
  - A file that cannot be opened costs the guest a line in its kernel log.
  - Files that block or never end would wedge the console for good. Those that are known by their path are refused,
    and so is every file while the instance is paused, since reading one then can freeze it. A named pipe is not known
    by its path.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  paths:
    description:
      - Files. A path without a slash at its start is taken from C(/proc) on, so V(meminfo) and V(/proc/meminfo) are
        the same.
      - Any other path that starts with a slash is a file of the guest, as its first process sees it.
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
  description: What was read, under the path that was given.
  returned: success
  type: dict
  contains:
    meminfo:
      description: One file; the key is its path as it was given.
      type: dict
      contains:
        readable:
          description: Whether it could be read.
          type: bool
        text:
          description: Its text; null when it could not be read. Bytes that are no UTF-8 are replaced by U+FFFD.
          type: str
        truncated:
          description:
            - Whether parts may be missing. What follows a NUL is lost without being noticed, up to the next multiple
              of 4095 bytes.
          type: bool
        error:
          description: What the kernel said of a file that could not be read.
          returned: when it could not be read
          type: str
commands:
  description: The queries that were sent.
  returned: success
  type: list
  elements: str
  sample: [proc meminfo, proc 1/root/etc/hostname]
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
