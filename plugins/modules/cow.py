#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cow
short_description: Create, inspect and merge copy-on-write files of User-Mode Linux
version_added: 1.0.0
description:
  - A copy-on-write (COW) file holds the data that an instance has written to a disk. All other data is in its backing
    file, so many instances can share one image. The pair is only valid while the backing file has the size and the
    modification time that the header of the COW file names.
  - Needs no running instance, and no tools on the VM host.
  - To remove a COW file, use M(ansible.builtin.file).
extends_documentation_fragment:
  - uml.mconsole.instance.unused
  - uml.mconsole.attributes
options:
  path:
    description: Path of the COW file. Must be an absolute path, or start with C(~).
    type: str
    required: true
  state:
    description:
      - V(present) creates the COW file if it does not exist. The task fails, and nothing is changed, if the existing
        file was created for another O(backing_file), or if the backing file has changed since.
      - V(merged) creates the disk image O(dest) with the contents of the pair. The pair is not changed.
    type: str
    choices: [present, merged]
    default: present
  backing_file:
    description: Path of the backing file. Required to create a COW file. The header of an existing COW file names it.
    type: str
  dest:
    description: Path of the image to create with O(state=merged). An image with the right contents is not changed.
    type: str
  overwrite:
    description: Whether to replace an existing O(dest) that has other contents.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.disk_backup
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: Create a disk for each of three instances on top of one image
  uml.mconsole.cow:
    path: "/srv/uml/{{ item }}.cow"
    backing_file: /srv/uml/debian.img
  loop: [web1, web2, web3]

- name: Show how much an instance has written
  uml.mconsole.cow:
    path: /srv/uml/web1.cow
  register: web1
  check_mode: true

- name: Merge it into a standalone image
  uml.mconsole.cow:
    path: /srv/uml/web1.cow
    state: merged
    dest: /srv/uml/web1.img
"""

RETURN = r"""
cow:
  description: The COW file. Null in check mode if the file would be created.
  returned: success
  type: dict
  contains:
    path:
      description: Path of the COW file.
      type: str
      sample: /srv/uml/web1.cow
    version:
      description: Version of the header.
      type: int
      sample: 3
    backing_file:
      description: Path of the backing file.
      type: str
      sample: /srv/uml/debian.img
    size:
      description: Size of the disk in bytes.
      type: int
      sample: 1073741824
    changed_bytes:
      description: Amount of data that the COW file holds, in bytes.
      type: int
      sample: 1327104
    valid:
      description: Whether the backing file is unchanged since the COW file was created for it.
      type: bool
      sample: true
    reason:
      description: Why the pair is not valid, or an empty string.
      type: str
      sample: ""
    in_use:
      description: Process that has the COW file open and locked, or null.
      type: int
      sample: 4711
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
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
