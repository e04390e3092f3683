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
  - Sends console commands to a running instance, one after the other, and returns the answers of its kernel.
  - All commands are validated first. If one is invalid, nothing is sent.
  - If the kernel refuses a command, the task fails with the message of the kernel. Later commands are not sent, and
    RV(replies) has the answers to earlier commands.
  - A command that is known to kill or freeze the instance is only sent with O(force=true).
  - The kernel answers C(halt) and C(reboot) before it ends. So the task waits after them until the instance has ended.
    It does not wait for the next boot; M(uml.mconsole.instance) does.
  - The kernel often reports success for a command that had no effect. M(uml.mconsole.device) and
    M(uml.mconsole.instance) check the effect.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Queries are sent. Commands that change something are not sent. For these, the task reports a change, names the
        command in RV(msg), and adds an entry to RV(replies) whose C(sent) is false.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Commands are sent each time. A task that only sends queries never reports a change.
options:
  command:
    description:
      - One console command.
      - The commands are C(version), C(help), C(halt), C(reboot), C(config), C(remove), C(sysrq), C(cad),
        C(stop), C(go), C(log), C(proc) and C(stack).
      - One of O(command) and O(commands) is required.
    type: str
  commands:
    description:
      - Console commands, in the order in which they are sent.
      - In C(key=value) format, use O(command) for a command that contains a comma, because Ansible splits the text of a
        list at commas.
    type: list
    elements: str
  force:
    description:
      - Whether to send commands that are known to kill or freeze an instance in its current state, such as C(sysrq c),
        or C(config) while it is paused.
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

- name: Query the first disks of all web servers
  uml.mconsole.request:
    umids: ["web*"]
    commands:
      - config ubd0
      - config ubd1

- name: Attach a copy-on-write disk
  uml.mconsole.request:
    umid: web1
    command: config ubd1=/srv/web1/root.cow,/srv/images/bookworm.img

- name: Restart the guest immediately, without a sync
  uml.mconsole.request:
    umid: web1
    command: reboot
"""

RETURN = r"""
replies:
  description: One entry for each command that was sent or, in check mode, would be sent.
  returned: if the commands could be sent
  type: list
  elements: dict
  contains:
    command:
      description: The command.
      type: str
      sample: config ubd0
    sent:
      description: Whether the command was sent. False in check mode for a command that changes something.
      type: bool
    ok:
      description: Whether the kernel reported success. Null if the command was not sent.
      type: bool
    err:
      description: Error number of the kernel, which is 0, 1 or a negative errno. Null if the command was not sent.
      type: int
    text:
      description: Unchanged answer of the kernel. Bytes that are not valid UTF-8 are replaced with U+FFFD.
      type: str
      sample: /srv/web1/root.img
    packets:
      description: Number of datagrams of the answer.
      type: int
    truncated:
      description: Whether parts of the answer may be missing.
      type: bool
stdout:
  description: The texts of all answers, joined with newlines.
  returned: if the commands could be sent
  type: str
stdout_lines:
  description: The lines of RV(stdout).
  returned: if the commands could be sent
  type: list
  elements: str
commands:
  description: Console commands that were sent or, in check mode, would be sent.
  returned: always
  type: list
  elements: str
msg:
  description: Why the task failed, or which commands were not sent in check mode.
  returned: if the task failed, or a command was not sent
  type: str
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
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
