#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_backup
short_description: Copy the disks of a running User-Mode Linux instance consistently
version_added: 1.0.0
description:
  - Makes the guest write out its data, pauses the instance, copies the files of its disks on the VM host, and resumes
    the instance, also if the copy fails. All disks of an instance are copied in one pause, so the copies are consistent
    with each other.
  - The pause takes at most O(max_pause). A second process enforces the limit even if the copying process is killed or
    hangs. Incomplete copies are removed.
  - On a file system that can share blocks (btrfs, xfs), a copy takes almost no time and no space. On other file
    systems, copies are sparse like the original.
  - A copy of a guest that is writing looks as if the power had failed at that moment, except that the data was written
    out shortly before. A journaling file system is consistent after its journal was replayed. An ext4 file system with
    blocks smaller than 4096 bytes may also need C(fsck -f), as after any power failure.
  - A paused instance is copied as it is, and stays paused.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run makes a new copy.
options:
  dest:
    description:
      - Directory on the VM host for the copies. Must be an absolute path, or start with C(~). It is created if it does
        not exist, and only its owner can access it.
      - Each copy is named C(UMID-DISK) with the suffix of the original file, such as C(web1-ubd0.img). Only its owner
        can read it.
    type: str
    required: true
  disks:
    description:
      - Disks to copy, by number or by letter. By default all disks that have a file and that the guest may write to.
    type: list
    elements: str
  backing:
    description:
      - What to do with the backing file of a copy-on-write disk.
      - V(keep) does not copy the backing file. The copy is only usable while the backing file exists and is unchanged.
      - V(copy) also copies the backing file under its own name, once for all instances, and makes the copy use it. The
        backing file is copied while the guest runs, because it does not change.
    type: str
    choices: [keep, copy]
    default: keep
  max_pause:
    description: Seconds that the instance may be paused. If the copy takes longer, it is removed and the task fails.
    type: float
    default: 60.0
  sync_timeout:
    description:
      - Seconds that the guest may take to write out its data before the pause. A guest that still has data to write
        after that time is paused anyway, and RV(synced) is V(false).
    type: float
    default: 10.0
  overwrite:
    description: Whether to replace existing copies. The old copies are kept until the new copies are complete.
    type: bool
    default: false
  diskless:
    description:
      - What to do with an instance that has no disk to copy, when O(disks) is not given.
      - With V(skip) the task succeeds, changes nothing, and returns no RV(copies).
    type: str
    choices: [fail, skip]
    default: fail
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.cow
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: Copy all disks of an instance
  uml.mconsole.disk_backup:
    umid: web1
    dest: /srv/backup

- name: Copy the root disks of all web servers with their backing files
  uml.mconsole.disk_backup:
    umids: [web*]
    disks: [ubd0]
    backing: copy
    dest: /srv/backup/roots
    max_pause: 5
"""

RETURN = r"""
copies:
  description: The copies. In check mode, those that would be made, with C(device), C(file) and C(path).
  returned: success
  type: list
  elements: dict
  contains:
    device:
      description: The disk.
      type: str
      sample: ubd0
    file:
      description: File of the disk, as the instance names it.
      type: str
      sample: web1.cow
    source:
      description: Absolute path of this file on the VM host. Not in check mode.
      type: str
      sample: /srv/uml/web1.cow
    path:
      description: Path of the copy.
      type: str
      sample: /srv/backup/web1-ubd0.cow
    backing_file:
      description: The backing file that the copy needs, or null.
      type: str
      sample: /srv/uml/base.img
    method:
      description: V(reflink) if the copy shares blocks with the original, V(sparse) if the data was copied.
      type: str
      sample: sparse
    size:
      description: Size of the copy in bytes.
      type: int
      sample: 33554432
    allocated:
      description: Disk space that the copy takes, in bytes.
      type: int
      sample: 2125824
pause:
  description: Seconds that the instance was paused. 0 if it was already paused, and null in check mode.
  returned: success
  type: float
  sample: 0.041
synced:
  description:
    - Whether the guest had no data left to write right before the pause. V(null) in check mode. The lines that the
      kernel logs about the sync itself do not count.
  returned: success
  type: bool
  sample: true
commands:
  description: Console commands that were sent or, in check mode, would be sent.
  returned: success
  type: list
  elements: str
  sample: [sysrq s, stop, go]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import disk_backup
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(disk_backup)


if __name__ == "__main__":
    main()
