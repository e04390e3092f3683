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
  - Sends a magic SysRq key to a running instance and returns what its kernel printed.
  - The kernel says OK to any key. Whether the guest obeyed is told by what was printed, and it is an error when its
    C(kernel.sysrq) does not allow the key, or its kernel has no such key.
  - Keys work while the guest's userspace, or the part of the console that runs other commands, hangs; V(o) is the
    way out then.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Keys that only print are sent. Other keys are not; whether the guest would have obeyed is not known then.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - The key is pressed each time.
options:
  key:
    description:
      - The key.
      - V(h), V(m), V(p), V(q), V(t), V(w) and V(R) only print, so they are never a change. V(R) prints the whole
        kernel log and is there from Linux 6.12 on.
      - V(s) syncs, V(u) remounts all file systems read-only, V(n) makes real-time processes ordinary ones, V(0) to
        V(9) set the level of the system console.
      - V(b) restarts and V(o) powers off at once, V(c) crashes, V(e) ends and V(i) kills all processes but init, V(f)
        kills the process that uses most memory, V(j) thaws file systems. These need O(force=true), and so does V(t)
        on Linux 6.x, whose kernels it crashes.
      - Linux 6.x mostly hangs after V(b), using a whole processor, until its process is killed. The command C(reboot)
        of M(uml.mconsole.request) restarts such a guest.
    type: str
    required: true
    choices: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", b, c, e, f, h, i, j, m, n, o, p, q, s, t, u, w, R]
  force:
    description: Sends even keys that kill processes or the guest itself.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.request
"""

EXAMPLES = r"""
- name: See what the guest uses its memory for
  uml.mconsole.sysrq:
    umid: web1
    key: m

- name: Write all that is not yet written
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
  description: What the kernel printed.
  returned: success
  type: str
  sample: "sysrq: Emergency Sync\n"
lines:
  description: The lines of RV(text).
  returned: success
  type: list
  elements: str
truncated:
  description: Whether lines may be missing.
  returned: success
  type: bool
commands:
  description: The command that was sent or, in check mode, would have been.
  returned: success
  type: list
  elements: str
  sample: [sysrq s]
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
