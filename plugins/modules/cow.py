#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cow
short_description: Make, look at and merge copy-on-write files of User-Mode Linux
version_added: 1.0.0
description:
  - A copy-on-write (COW) file holds what an instance has written to a disk, and its backing file all else, so that many
    instances share one image. The pair is valid only while the backing file has the size and the time of modification
    that the COW file's header names.
  - Needs no instance and no tools on the VM host.
  - To remove a COW file, use M(ansible.builtin.file).
extends_documentation_fragment:
  - uml.mconsole.instance.unused
  - uml.mconsole.attributes
options:
  path:
    description: The COW file.
    type: str
    required: true
  state:
    description:
      - With V(present) the file is made if it is not there, and looked at if it is. One that was made for another
        O(backing_file), or for one that has changed since, is an error and is not touched.
      - With V(merged) a disk image is made in O(dest) that holds what the pair holds. The pair stays as it is.
    type: str
    choices: [present, merged]
    default: present
  backing_file:
    description: The backing file. Not needed for a COW file that is there, since its header names it.
    type: str
  dest:
    description: The image to make, with O(state=merged). One that holds just that already is left alone.
    type: str
  overwrite:
    description: Whether O(dest) may replace a file that holds something else.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.disk_backup
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: A disk for each of three instances over one image
  uml.mconsole.cow:
    path: "/srv/uml/{{ item }}.cow"
    backing_file: /srv/uml/debian.img
  loop: [web1, web2, web3]

- name: See how much an instance has written
  uml.mconsole.cow:
    path: /srv/uml/web1.cow
  register: web1
  check_mode: true

- name: Make an image of its own of it
  uml.mconsole.cow:
    path: /srv/uml/web1.cow
    state: merged
    dest: /srv/uml/web1.img
"""

RETURN = r"""
cow:
  description: The COW file; null when check mode would make it.
  returned: success
  type: dict
  contains:
    path:
      description: Where it is.
      type: str
      sample: /srv/uml/web1.cow
    version:
      description: Version of its header.
      type: int
      sample: 3
    backing_file:
      description: The backing file.
      type: str
      sample: /srv/uml/debian.img
    size:
      description: Size of the disk in bytes.
      type: int
      sample: 1073741824
    changed_bytes:
      description: How much of the disk the COW file holds.
      type: int
      sample: 1327104
    valid:
      description: Whether the backing file is the one that it was made for, and unchanged.
      type: bool
      sample: true
    reason:
      description: Why it is not valid.
      type: str
      sample: ""
    in_use:
      description: Process that has it open and locked, or null.
      type: int
      sample: 4711
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import cow
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(cow)


if __name__ == "__main__":
    main()
