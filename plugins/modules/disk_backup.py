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
  - Has the guest write out what it has, pauses the instance, copies the files of its disks on the VM host, and resumes
    it, whatever happens meanwhile. All disks of an instance are copied in one pause, so they are of one moment.
  - The pause is bounded by O(max_pause), also when the process that copies is killed or hangs, for a second process
    watches it. What is unfinished is removed.
  - Where the file system can share blocks (btrfs, xfs), the copy takes no time and no room; elsewhere holes stay holes.
  - A guest that writes at that moment is copied as if its power had failed then, with the difference that all was
    written out shortly before. A file system with a journal is whole after the journal was replayed; ext4 with blocks
    smaller than 4096 bytes may need C(fsck -f) too, as it does after any loss of power.
  - An instance that is paused already is copied as it is, and stays paused.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - A copy is made each time.
options:
  dest:
    description:
      - Directory on the VM host for the copies, made for its owner alone if it is not there.
      - Each copy is called C(UMID-DISK) with the suffix of the file it was made of, such as C(web1-ubd0.img), and is
        for its owner alone.
    type: str
    required: true
  disks:
    description:
      - Disks to copy, by number or by letter. By default all that the guest may write to and that have a file.
    type: list
    elements: str
  backing:
    description:
      - What becomes of the backing file of a copy-on-write disk.
      - With V(keep) the copy goes on using it, and is of use only while it is there and unchanged.
      - With V(copy) it is copied as well, under its own name and once for all instances, and the copy is made to use
        that. It is copied while the guest runs, since it does not change.
    type: str
    choices: [keep, copy]
    default: keep
  max_pause:
    description: Seconds that the instance may be paused. A copy that takes longer is given up, and the task fails.
    type: float
    default: 60.0
  sync_timeout:
    description:
      - Seconds that the guest may take to write out what it has before it is paused. One that writes all the time is
        paused after them, and RV(synced) is V(false).
    type: float
    default: 10.0
  overwrite:
    description: Whether to replace copies that are there. The old ones stay until the new ones are whole.
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

- name: Copy the root disks of all web servers, each pair of files usable by itself
  uml.mconsole.disk_backup:
    umids: [web*]
    disks: [ubd0]
    backing: copy
    dest: /srv/backup/roots
    max_pause: 5
"""

RETURN = r"""
copies:
  description: The copies; in check mode those that would be made, with C(device), C(file) and C(path).
  returned: success
  type: list
  elements: dict
  contains:
    device:
      description: The disk.
      type: str
      sample: ubd0
    file:
      description: Its file, as the instance calls it.
      type: str
      sample: /srv/uml/web1.cow
    path:
      description: The copy.
      type: str
      sample: /srv/backup/web1-ubd0.cow
    backing_file:
      description: The backing file that the copy needs, or null.
      type: str
      sample: /srv/uml/base.img
    method:
      description: V(reflink) when it shares blocks with the file, V(sparse) when its data was copied.
      type: str
      sample: sparse
    size:
      description: Its size in bytes.
      type: int
      sample: 33554432
    allocated:
      description: Bytes that it takes on the disk.
      type: int
      sample: 2125824
pause:
  description: Seconds that the instance was paused, 0 when it had been paused before, and null in check mode.
  returned: success
  type: float
  sample: 0.041
synced:
  description:
    - Whether nothing waited to be written in the guest right before the pause; null in check mode.
  returned: success
  type: bool
  sample: true
commands:
  description: The commands that were sent or, in check mode, would have been.
  returned: success
  type: list
  elements: str
  sample: [sysrq s, stop, go]
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
