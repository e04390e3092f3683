#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: memory
short_description: Change the memory of a running User-Mode Linux instance
version_added: 1.0.0
description:
  - Takes memory from the guest of a running instance, or gives it back, by ballooning. Memory that the guest had
    touched is returned to the VM host. Untouched memory was never allocated there.
  - The kernel does not report how much memory it has taken. The module computes it from C(/proc/meminfo) and
    C(/proc/zoneinfo) of the guest, as the memory that no counter accounts for, less what the kernel itself uses
    (measured on 6.1, 6.12 and 7.2). Pipes and network buffers are not counted, so a busy guest seems to have slightly
    less memory than it has; see O(tolerance).
  - The guest still shows its full size in C(MemTotal). Memory that was taken is missing from C(MemFree) and
    C(MemAvailable).
  - A restart of the instance gives all memory back.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  idempotent:
    details:
      - A size that differs by at most O(tolerance) is not changed.
options:
  size:
    description:
      - Memory of the guest, such as V(96M), or V(max) for all memory that the instance was booted with (C(mem=)). Units
        are powers of 1024.
      - An instance cannot get more memory than it was booted with.
    type: str
    required: true
  tolerance:
    description: The size is not changed if it differs from O(size) by at most this much.
    type: str
    default: 4M
  reserve:
    description:
      - Memory that must stay available in the guest, as in RV(memory.available). If O(size) would leave less, the task
        fails and no memory is taken.
      - At least V(4M), because some kernels with 2 MiB or less available panicked when their guest ran a command. With
        less than 6 MiB, guests of 6.12 and 7.2 killed processes.
    type: str
    default: 8M
  resume:
    description:
      - Whether to resume a paused instance during the change and pause it again afterwards, also if the change fails.
      - By default the module refuses a paused instance. In check mode it always does, because the memory of a paused
        instance cannot be read.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: Reduce the memory of the instance to 96 MiB
  uml.mconsole.memory:
    umid: web1
    size: 96M

- name: Give all memory back
  uml.mconsole.memory:
    umid: web1
    size: max
"""

RETURN = r"""
commands:
  description:
    - Console commands that were sent and change something. In check mode, those that would be sent.
    - If the guest must drop its caches first, the memory is taken with several commands instead of the predicted one.
  returned: always
  type: list
  elements: str
  sample: ["config mem=-32768K"]
size:
  description: Memory of the guest in bytes, as read back. In check mode, the unchanged size.
  returned: if the memory could be read
  type: int
  sample: 100663296
memory:
  description: Details about the memory of the guest in bytes, as read back.
  returned: if the memory could be read
  type: dict
  contains:
    boot:
      description: Memory that the instance was booted with.
      type: int
    size:
      description: Memory that the guest has now.
      type: int
    taken:
      description: Memory that was taken from the guest.
      type: int
    total:
      description: C(MemTotal) of the guest, which is RV(memory.boot) less the memory that the kernel reserves.
      type: int
    free:
      description: Free memory in the guest, including the free lists of its processors.
      type: int
    available:
      description: C(MemAvailable) of the guest, plus the free lists of its processors.
      type: int
    resident:
      description: Memory of the VM host that the guest's memory takes, or null if it cannot be read.
      type: int
verified:
  description: Whether the size that was read back is the requested one.
  returned: if the memory could be read
  type: bool
reason:
  description: Why something was changed, or why not.
  returned: if the memory could be read
  type: str
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import memory
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(memory)


if __name__ == "__main__":
    main()
