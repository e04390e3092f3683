#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: devices
short_description: Configure several devices of a running User-Mode Linux instance in one transaction
version_added: 1.0.0
description:
  - Adds, changes and removes devices of a running instance in one transaction. Either all devices are changed or none.
  - Everything is checked before the first command is sent. If a command is refused or has no effect, the commands
    before it are undone, and the result lists what was done and undone.
  - An interrupted run leaves the instance usable. The next run completes the change.
  - Each device is handled as described for M(uml.mconsole.device).
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  idempotent:
    details:
      - Some options cannot be read, such as the transport of a network interface that is down. If the device exists,
        the module assumes that these options have the requested values, and RV(verified) is false.
options:
  config:
    description:
      - The devices by name, as in O(uml.mconsole.device#module:name).
      - A value is a string, as in O(uml.mconsole.device#module:config), or a dictionary of the other options of
        M(uml.mconsole.device), including C(state). A device whose value is null must exist, with any setting.
      - Devices are removed before others are added, so a file can move from one disk to another.
    type: dict
    required: true
  state:
    description:
      - V(merged) changes only the devices in O(config).
      - V(overridden) also removes all devices that are not in O(config). It keeps the root device, lines that the
        kernel logs to, lines that are V(null), disks whose setup failed at boot, and devices that cannot be removed,
        such as virtio devices. RV(kept) gives the reason for each.
      - If a device that would be removed is in use, V(overridden) fails and changes nothing.
    type: str
    choices: [merged, overridden]
    default: merged
  classes:
    description:
      - The classes of devices that O(state=overridden) removes. By default all classes.
      - No file of the guest lists the network interfaces, so the module looks for units 0 to 15.
    type: list
    elements: str
    choices: [ubd, con, ssl, vec, eth]
  force:
    description:
      - Whether to try to remove disks that the guest seems to use. See O(uml.mconsole.device#module:force).
    type: bool
    default: false
  resume:
    description:
      - Whether to resume a paused instance during the change. See O(uml.mconsole.device#module:resume).
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: Two disks and a console
  uml.mconsole.devices:
    umid: web1
    config:
      ubd1: /srv/web1/data.img
      ubd2:
        file: /srv/web1/scratch.img
        synchronous: false
        discard: true
      con1: pts

- name: Exactly these disks, without changes to lines and interfaces
  uml.mconsole.devices:
    umid: web1
    state: overridden
    classes: [ubd]
    config:
      ubd1: /srv/web1/data.img

- name: Show which devices of all web servers would be removed
  uml.mconsole.devices:
    umids: ["web*"]
    state: overridden
    config: {}
  check_mode: true
  diff: true
"""

RETURN = r"""
commands:
  description: Console commands that were sent and change something. In check mode, those that would be sent.
  returned: always
  type: list
  elements: str
plan:
  description: The commands that bring the devices into the requested state.
  returned: always
  type: list
  elements: str
done:
  description: Commands of the plan that were sent successfully.
  returned: always
  type: list
  elements: str
undone:
  description: Commands that undid the change after a command was refused.
  returned: always
  type: list
  elements: str
restored:
  description: Whether a refused transaction was undone completely.
  returned: always
  type: bool
devices:
  description:
    - Each device as it was read back or, in check mode, as predicted. The values are those of
      RV(uml.mconsole.device#module:device), with C(verified) and C(reason) in addition.
  returned: always
  type: dict
  sample:
    ubd1:
      name: ubd1
      class: ubd
      state: present
      config: /srv/web1/data.img
      verified: true
      reason: it was not there
kept:
  description: With O(state=overridden), the devices that are not in O(config) and were kept, with the reason.
  returned: always
  type: dict
  sample: {ubd0: it is the root device}
verified:
  description: Whether the module read all requested options back and found them as requested.
  returned: always
  type: bool
reason:
  description: Which options could not be verified, and why.
  returned: always
  type: str
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import devices
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(devices)


if __name__ == "__main__":
    main()
