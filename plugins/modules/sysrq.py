#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sysrq
short_description: Press a magic SysRq key of a User-Mode Linux instance
version_added: 1.0.0
description:
  - Sends a magic SysRq key to a running instance and returns the output of its kernel.
  - The kernel reports success for every key. The module reads from the output whether the guest obeyed. The task fails
    if C(kernel.sysrq) of the guest does not allow the key, or its kernel does not have the key.
  - A key works even if the userspace of the guest hangs, or if the part of the console that runs the other commands
    hangs. So O(key=o) can power off such a guest.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Keys that only print are sent. Other keys are not sent, so check mode cannot predict whether the guest would
        obey.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run sends the key again.
options:
  key:
    description:
      - The key to send.
      - V(h), V(m), V(p), V(q), V(t), V(w) and V(R) only print, so the task never reports a change. V(R) prints the
        whole kernel log, and exists in Linux 6.12 and later.
      - V(s) syncs, V(u) remounts all file systems read-only, V(n) makes real-time processes normal processes, and V(0)
        to V(9) set the level of the system console.
      - V(b) restarts and V(o) powers off immediately. V(c) crashes the kernel. V(e) terminates and V(i) kills all
        processes except init. V(f) kills the process that uses most memory. V(j) thaws file systems. These keys need
        O(force=true). So does V(t) on Linux 6.x, because it crashes these kernels.
      - Linux 6.x usually hangs after V(b) and uses a whole processor until its process is killed. To restart such a
        guest, use the command C(reboot) of M(uml.mconsole.request).
    type: str
    required: true
    choices: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", b, c, e, f, h, i, j, m, n, o, p, q, s, t, u, w, R]
  force:
    description: Whether to send keys that kill processes or the guest itself.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.request
"""

EXAMPLES = r"""
- name: Show how the guest uses its memory
  uml.mconsole.sysrq:
    umid: web1
    key: m

- name: Write all cached data to the disks
  uml.mconsole.sysrq:
    umids: ["web*"]
    key: s

- name: Power off a guest that hangs
  uml.mconsole.sysrq:
    umid: web1
    key: o
    force: true
"""

RETURN = r"""
text:
  description: Output of the kernel.
  returned: success
  type: str
  sample: "sysrq: Emergency Sync\n"
lines:
  description: The lines of RV(text).
  returned: success
  type: list
  elements: str
truncated:
  description: Whether parts of the output may be missing.
  returned: success
  type: bool
commands:
  description: The console command that was sent or, in check mode, would be sent.
  returned: success
  type: list
  elements: str
  sample: [sysrq s]
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import sysrq
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(sysrq)


if __name__ == "__main__":
    main()
