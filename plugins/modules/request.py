#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: request
short_description: Send raw commands to the mconsole of a User-Mode Linux instance
version_added: 1.0.0
description:
  - Sends console commands to a running instance, one after the other, and returns what its kernel answered.
  - All commands are looked at before the first is sent, so nothing is sent when one of them is none.
  - When the kernel refuses a command the task fails with the kernel's own words. The commands after it are not sent;
    the answers of those before it are in RV(replies).
  - A command that would kill or freeze the instance, as far as that is known, is not sent unless O(force=true).
  - After C(halt) and C(reboot) the task waits until the instance it talked to is gone, since the kernel says OK first.
    It does not wait for the next boot; M(uml.mconsole.instance) does.
  - The kernel says OK to much that did not happen; M(uml.mconsole.device) and M(uml.mconsole.instance) look whether
    it did.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Queries are sent and answered. A command that changes something is not sent; the task then is changed, names
        the command in RV(msg), and has an entry in RV(replies) with C(sent) false.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Commands are sent each time. A task whose commands only ask is never changed.
options:
  command:
    description:
      - One command.
      - The words of a console are C(version), C(help), C(halt), C(reboot), C(config), C(remove), C(sysrq), C(cad),
        C(stop), C(go), C(log), C(proc) and C(stack).
      - One of O(command) and O(commands) is required.
    type: str
  commands:
    description:
      - Commands in their order.
      - Use O(command) for a single command that holds a comma and is given as C(key=value) text, since Ansible splits
        the text of a list at commas.
    type: list
    elements: str
  force:
    description:
      - Sends even what is known to kill or freeze an instance in the state that it is in, such as C(sysrq c), or
        C(config) while it is paused.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.device
  - module: uml.mconsole.instance
  - module: uml.mconsole.proc_info
  - module: uml.mconsole.sysrq
"""

EXAMPLES = r"""
- name: Ask which kernel runs
  uml.mconsole.request:
    umid: web1
    command: version

- name: Ask all web servers what their first disks are
  uml.mconsole.request:
    umids: ["web*"]
    commands:
      - config ubd0
      - config ubd1

- name: Attach a copy-on-write disk
  uml.mconsole.request:
    umid: web1
    command: config ubd1=/srv/web1/root.cow,/srv/images/bookworm.img

- name: Restart the guest at once, without a sync
  uml.mconsole.request:
    umid: web1
    command: reboot
"""

RETURN = r"""
replies:
  description: One entry for each command that was sent or, in check mode, would have been.
  returned: when the commands could be sent
  type: list
  elements: dict
  contains:
    command:
      description: The command.
      type: str
      sample: config ubd0
    sent:
      description: Whether it was sent; false in check mode for a command that changes something.
      type: bool
    ok:
      description: Whether the kernel said OK; null when it was not sent.
      type: bool
    err:
      description: The kernel's error number, 0, 1 or a negative errno; null when it was not sent.
      type: int
    text:
      description: What the kernel answered, as it came. Bytes that are no UTF-8 are replaced by U+FFFD.
      type: str
      sample: /srv/web1/root.img
    packets:
      description: How many datagrams the answer had.
      type: int
    truncated:
      description: Whether parts of the answer may be missing.
      type: bool
stdout:
  description: The texts of all answers, each without the newlines around it, joined by newlines.
  returned: when the commands could be sent
  type: str
stdout_lines:
  description: The lines of RV(stdout).
  returned: when the commands could be sent
  type: list
  elements: str
commands:
  description: The commands that were sent or, in check mode, would have been.
  returned: always
  type: list
  elements: str
msg:
  description: Why the task failed, or what was not sent in check mode.
  returned: when it failed, or something was not sent
  type: str
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import request
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(request)


if __name__ == "__main__":
    main()
