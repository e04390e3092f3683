#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_info
short_description: List the snapshots of the disks of a User-Mode Linux instance
version_added: 1.0.0
description:
  - Lists the snapshots that M(uml.mconsole.snapshot) has taken. The instance does not have to run.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  files:
    description: Disk files of an instance that does not run, by device. The snapshots are beside the first.
    type: dict
  directory:
    description:
      - Directory that holds C(UMID.snapshots). By default that of the first disk. If the instance does not run, it must
        be set, unless O(files) is set.
    type: str
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.snapshot
"""

EXAMPLES = r"""
- name: List the snapshots of a running instance
  uml.mconsole.snapshot_info:
    umid: web1
  register: web1
"""

RETURN = r"""
snapshots:
  description: The snapshots, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the snapshot.
      type: str
      sample: before-upgrade
    umid:
      description: Name of the instance whose disks it holds.
      type: str
      sample: web1
    parent:
      description: Name of the snapshot that was current when this one was taken, or null.
      type: str
      sample: clean
    current:
      description: Whether the present disks are based on this snapshot, because it was the last that was taken or
        reverted.
      type: bool
      sample: true
    time:
      description: Seconds since 1970 when it was taken.
      type: float
      sample: 1796000000.0
    synced:
      description: Whether the guest had written out its disks. True if the instance did not run.
      type: bool
      sample: true
    path:
      description: Directory of the copies.
      type: str
      sample: /srv/uml/web1.snapshots/before-upgrade
    disks:
      description:
        - The copies, each with its C(device), the disk C(file), the name of the C(copy) in RV(snapshots[].path), its
          C(size) in bytes, and a C(fingerprint) of its content.
      type: list
      elements: dict
commands:
  description: Always empty.
  returned: always
  type: list
  elements: str
  sample: []
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import snapshot_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(snapshot_info)


if __name__ == "__main__":
    main()
