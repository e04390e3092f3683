#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
short_description: Take, revert and remove named snapshots of the disks of a User-Mode Linux instance
version_added: 1.0.0
description:
  - A snapshot is a copy of the disks of an instance at one moment. For a disk with a copy-on-write file, it contains
    only a copy of that file, so it is small. On a file system that can share blocks, a copy takes no room.
  - While the instance runs, the copies are made as M(uml.mconsole.disk_backup) makes them, with a short pause. If it
    does not run, set O(files).
  - The snapshots of an instance are in the directory C(UMID.snapshots) beside its first disk. Each is a directory with
    the copies and the file C(snapshot.json), which names the disks and the parent. The parent is the snapshot that was
    taken or reverted last before this one. There is no other record, so you can copy the directory together with the
    disks.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Copies nothing, and sends no command that changes anything.
  diff_mode:
    details:
      - Shows the names of the snapshots, and which disk files would be replaced.
options:
  name:
    description: Name of the snapshot, at most 63 letters, digits, dots, dashes and underscores.
    type: str
    required: true
  state:
    description:
      - V(present) takes the snapshot if it does not exist.
      - V(reverted) puts the disks back to the snapshot. Later data is lost unless another snapshot holds it. All disks
        are put back, or none. A disk that already has the contents of its copy is not replaced. If a disk must be
        replaced, the instance must not run.
      - V(absent) removes the snapshot. The snapshots that have it as their parent get its parent instead. They stay
        complete, because each holds full copies.
    type: str
    choices: [present, absent, reverted]
    default: present
  disks:
    description: Disks of a running instance, such as V(ubd0). By default all that the guest may write to.
    type: list
    elements: str
  files:
    description: Disk files of an instance that does not run, by device. Required to take a snapshot of it.
    type: dict
  directory:
    description:
      - Directory that holds C(UMID.snapshots). By default that of the first disk. If the instance does not run, it must
        be set, unless O(files) is set.
    type: str
  max_pause:
    description:
      - Maximum number of seconds that a running instance is paused, as O(uml.mconsole.disk_backup#module:max_pause).
    type: float
    default: 60.0
  sync_timeout:
    description:
      - Maximum number of seconds for the guest to write out its data, as
        O(uml.mconsole.disk_backup#module:sync_timeout).
    type: float
    default: 10.0
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.snapshot_info
  - module: uml.mconsole.disk_backup
"""

EXAMPLES = r"""
- name: Take a snapshot of a running instance
  uml.mconsole.snapshot:
    umid: web1
    name: before-upgrade

- name: Stop the instance
  uml.mconsole.instance:
    umid: web1
    state: stopped

- name: Put its disks back
  uml.mconsole.snapshot:
    umid: web1
    name: before-upgrade
    state: reverted
    directory: /srv/uml

- name: Take a snapshot of an instance that does not run
  uml.mconsole.snapshot:
    umid: web1
    name: clean
    files:
      ubd0: /srv/uml/web1.cow

- name: Remove a snapshot
  uml.mconsole.snapshot:
    umid: web1
    name: before-upgrade
    state: absent
    directory: /srv/uml
"""

RETURN = r"""
snapshot:
  description: The snapshot, as in RV(uml.mconsole.snapshot_info#module:snapshots). Null if it does not exist, also in
    check mode if it would be taken.
  returned: success
  type: dict
pause:
  description: Seconds that the instance was paused. Null in check mode.
  returned: if a snapshot was taken
  type: float
  sample: 0.031
commands:
  description: Console commands that were sent and change something, or that would be sent in check mode.
  returned: always
  type: list
  elements: str
  sample: ["sysrq s", "stop", "go"]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import snapshot
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(snapshot)


if __name__ == "__main__":
    main()
