#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: memory
short_description: Set how much memory a running User-Mode Linux instance has
version_added: 1.0.0
description:
  - Takes memory away from the guest of a running instance, and gives it back, by ballooning. Of what is taken, that
    which the guest had ever used goes back to the VM host; the rest was never taken from there.
  - The kernel tells nobody how much it has taken. This module finds it out from the guest's C(/proc/meminfo) and
    C(/proc/zoneinfo), as the memory that no counter of the guest accounts for, less what the kernel itself uses
    (measured on 6.1, 6.12 and 7.2). Pipes and network buffers are not accounted for either, so a busy guest seems to
    have a little less than it has; see O(tolerance).
  - The guest still shows its full size in C(MemTotal); what it lacks shows in C(MemFree) and C(MemAvailable).
  - A restart of the instance gives everything back.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  idempotent:
    details:
      - A size that is right within O(tolerance) is not changed.
options:
  size:
    description:
      - The memory that the guest shall have of what the instance was booted with (C(mem=)), as a number with C(K), C(M)
        or C(G), or V(max) for all of it.
      - No instance can have more than it was booted with.
    type: str
    required: true
  tolerance:
    description: The difference from O(size) that counts as none.
    type: str
    default: 4M
  reserve:
    description:
      - What must stay available in the guest, as in RV(memory.available). A size that would leave less is refused, and
        nothing is taken.
      - It is V(4M) or more, since some kernels with 2 MiB or less available panicked when their guests ran a command.
        With less than 6 MiB, guests of 6.12 and 7.2 killed processes.
    type: str
    default: 8M
  resume:
    description:
      - Resume a paused instance for the moment of a change, and pause it again whatever happens.
      - Without this option a paused instance is refused; in check mode in any case, since its memory cannot be read.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: Leave the instance 96 MiB of its 128
  uml.mconsole.memory:
    umid: web1
    size: 96M

- name: Give everything back
  uml.mconsole.memory:
    umid: web1
    size: max
"""

RETURN = r"""
commands:
  description:
    - Console commands that were sent and change something; in check mode those that would be sent.
    - Where the guest has to drop its caches first, the memory is taken in several commands instead of the one foretold.
  returned: always
  type: list
  elements: str
  sample: ["config mem=-32768K"]
size:
  description: Bytes that the guest has now; in check mode, that it has still.
  returned: when the memory could be read
  type: int
  sample: 100663296
memory:
  description: The guest's memory as it was read back, in bytes.
  returned: when the memory could be read
  type: dict
  contains:
    boot:
      description: What the instance was booted with.
      type: int
    size:
      description: What it has of that now.
      type: int
    taken:
      description: What was taken from it.
      type: int
    total:
      description: The guest's C(MemTotal), that is RV(memory.boot) less what the kernel keeps for itself.
      type: int
    free:
      description: Free memory in the guest, that on the lists of its processors included.
      type: int
    available:
      description: The guest's C(MemAvailable), and what is free on the lists of its processors.
      type: int
    resident:
      description: What the instance's memory holds of the VM host's, or null where this cannot be seen.
      type: int
verified:
  description: Whether the size read back is the one that was asked for.
  returned: when the memory could be read
  type: bool
reason:
  description: Why there was a change or none.
  returned: when the memory could be read
  type: str
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
