#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: devices
short_description: Bring the devices of a running User-Mode Linux instance to a state, all of them or none
version_added: 1.0.0
description:
  - Hot-plugs, changes and removes devices of a running instance in one transaction.
  - Everything is checked before the first command is sent. When a command is refused, or did not do what the kernel
    said, the commands before it are taken back, and the result tells what was done and undone.
  - A run that was interrupted leaves the instance usable, and the next one brings it to the state that is wished.
  - What holds for M(uml.mconsole.device) holds for each device.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  idempotent:
    details:
      - Options that cannot be seen, such as what a network interface was set to, are taken to be as wished on a device
        that exists; RV(verified) is then false.
options:
  config:
    description:
      - The devices by name, as in O(uml.mconsole.device#module:name).
      - Each is a text, as in O(uml.mconsole.device#module:config), or a dict of the other options of
        M(uml.mconsole.device), C(state) among them. A device without a value shall be there, whatever it is set to.
      - Devices are removed before others are set, so a file can move from one disk to another.
    type: dict
    required: true
  state:
    description:
      - V(merged) touches the devices that are named and no others.
      - V(overridden) also removes what is there and is not named. Never removed unless named are the root device, lines
        that the kernel logs to, lines that lead nowhere (V(null)), and ghosts, that is disks whose set-up failed at
        boot. What can only be added, such as virtio devices, stays as well. RV(kept) tells why each was kept.
      - A device that is in use and not named makes V(overridden) fail, and nothing is changed.
    type: str
    choices: [merged, overridden]
    default: merged
  classes:
    description:
      - The classes of devices that O(state=overridden) removes from.
      - By default all. Of network interfaces, which no file of the guest lists, units 0 to 15 are looked for.
    type: list
    elements: str
    choices: [ubd, con, ssl, vec, eth]
  force:
    description: As in M(uml.mconsole.device).
    type: bool
    default: false
  resume:
    description: As in M(uml.mconsole.device).
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

- name: These disks and no others, whatever lines and interfaces there are
  uml.mconsole.devices:
    umid: web1
    state: overridden
    classes: [ubd]
    config:
      ubd1: /srv/web1/data.img

- name: See what the second play would do
  uml.mconsole.devices:
    umids: ["web*"]
    state: overridden
    config: {}
  check_mode: true
  diff: true
"""

RETURN = r"""
commands:
  description: Console commands that were sent and change something; in check mode those that would be sent.
  returned: always
  type: list
  elements: str
plan:
  description: The commands that bring the devices to the state that is wished.
  returned: always
  type: list
  elements: str
done:
  description: Commands of the plan that were carried out.
  returned: always
  type: list
  elements: str
undone:
  description: Commands that took back what was done before one was refused.
  returned: always
  type: list
  elements: str
restored:
  description: Whether a refused transaction was taken back as a whole.
  returned: always
  type: bool
devices:
  description:
    - Each device as it was read back (in check mode as it would be), as in
      RV(uml.mconsole.device#module:device), with C(verified) and C(reason).
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
  description: With O(state=overridden) the devices that were not named and are kept, and why.
  returned: always
  type: dict
  sample: {ubd0: it is the root device}
verified:
  description: Whether all that was asked for was seen to be so.
  returned: always
  type: bool
reason:
  description: What could not be verified, and why.
  returned: always
  type: str
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
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
