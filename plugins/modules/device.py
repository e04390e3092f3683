#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: device
short_description: Add, change, or remove one device of a running User-Mode Linux instance
version_added: 1.0.0
description:
  - Hot-plugs a device of a running instance through its mconsole, or changes or removes one.
  - What is there is read from the console, the guest's C(/proc) and C(/sys), and the VM host; the device is set only
    when it differs from what is wished.
  - What a device was set to is put back when the kernel refuses the new setting.
  - After a change the device is read again. What is not as wished then is a failure, whatever the kernel answered;
    what cannot be seen makes RV(verified) false, and RV(reason) says what and why.
  - A disk that is used otherwise than by a mount, as swap for example, is found out on kernels from 6.12 on only when
    the kernel refuses to remove it, so check mode does not foretell that.
  - Devices set at runtime are gone after a reboot of the instance; those of its command line come back.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  idempotent:
    details:
      - Options that cannot be seen, such as the output channel of a line that the guest has not open, are taken to be
        as wished on a device that exists; RV(verified) is then false.
options:
  name:
    description:
      - The device.
      - V(ubd0) to V(ubd15), or V(ubda) to V(ubdp), is a disk; by number and by letter it is the same disk. Flag letters
        may follow, as on the console, so V(ubd1r) is V(ubd1) with O(read_only=true).
      - V(con0) to V(con15) is a console line, C(/dev/tty0) to C(/dev/tty15) in the guest.
      - V(ssl0) to V(ssl63) is a serial line, C(/dev/ttyS0) to C(/dev/ttyS63) in the guest.
      - V(vec0) and so on is a network interface, on all kernels. V(eth0) and so on is one of the old kind, on kernels
        up to 6.12.
      - V(virtio_uml0) to V(virtio_uml255) is a virtio device behind a vhost-user socket, on kernels from 7.2 on. It can
        be added, and neither changed nor removed.
      - V(vfio_uml.0000:01:00.0) is a PCI device of the VM host, by its address there, on kernels that were built with
        CONFIG_UML_PCI_OVER_VFIO. It can be added, and neither changed nor removed.
    type: str
    required: true
  state:
    description: Whether the device shall be there.
    type: str
    choices: [present, absent]
    default: present
  config:
    description:
      - All that the device is set to, as the console takes it after C(=).
      - For a disk C(FILE[,BACKING_FILE[,SERIAL]]), for a line C(CHANNEL[,OUTPUT_CHANNEL]), for a C(vec) interface
        C(transport=TRANSPORT,KEY=VALUE,...), for an C(eth) interface C(TRANSPORT,VALUE,...), for a virtio device
        C(SOCKET:VIRTIO_ID).
      - Excludes the options that say the same one by one; a disk's flags may stand beside it.
    type: str
  file:
    description:
      - File or block device of the VM host that a disk's data is in. With O(backing_file) it is a copy-on-write file,
        made when it does not exist.
      - A relative path starts at the working directory of the instance. The kernel cannot take paths with a comma or
        a colon.
    type: str
  backing_file:
    description:
      - File that the copy-on-write file in O(file) is a copy of. It is read only, so many instances may share it.
      - A copy-on-write file without this option is attached with the backing file that it names itself.
    type: str
  read_only:
    description: Whether the disk is read-only.
    type: bool
  synchronous:
    description: Whether each write reaches the VM host's disk before the guest goes on.
    type: bool
  shared:
    description: Whether the file is attached without a lock, so that others can use it at the same time.
    type: bool
  discard:
    description: Whether blocks that the guest discards become holes in the file.
    type: bool
  raw:
    description: Attach a copy-on-write file as plain data, header and all. Excludes O(backing_file).
    type: bool
  serial:
    description: Serial number that the guest sees.
    type: str
  channel:
    description:
      - What a line is connected to on the VM host; one of V(null), V(pts), V(pty), V(xterm), or V(fd:N), V(port:N),
        V(tty:DEVICE), for which there are also the options O(fd), O(port) and O(tty).
      - The kernel makes a V(pts) when the guest opens the line, and then tells its name in RV(device.config).
    type: str
  fd:
    description: Number of a descriptor that the instance was started with, to connect a line to.
    type: int
  tty:
    description: Terminal device of the VM host to connect a line to.
    type: str
  port:
    description:
      - TCP port of the VM host to connect a line to.
      - The kernel listens on all interfaces, and goes on until the instance ends even when the line is removed.
    type: int
  output:
    description: Channel of a line's output where it is not that of its input.
    type: str
  transport:
    description:
      - How a network interface carries its packets.
      - For C(vec) one of V(tap), V(raw), V(hybrid), V(gre), V(l2tpv3), V(bess), V(fd), and from 6.12 on V(vde). For
        C(eth) one of V(tuntap), V(ethertap), V(daemon), V(slip), V(slirp), and on 6.1 V(mcast), V(ucast).
      - It is opened when the guest brings the interface up, and no kernel tells it before.
    type: str
  ifname:
    description:
      - Network interface of the VM host that a network interface is connected to.
      - An instance of root makes a tap that is not there, when its guest brings the interface up.
    type: str
  mac:
    description: Hardware address of a network interface. By default the kernel takes a random one each time.
    type: str
  settings:
    description:
      - What else a transport takes. For C(vec) the kernel's own keys, such as C(depth), C(gro), C(src), C(dst), C(fd).
      - For C(eth), C(socket) and C(socket_type) of V(daemon); C(address), C(port), C(ttl) of V(mcast); C(gateway) of
        V(tuntap), V(ethertap) and V(slip); C(command) of V(slirp).
      - Keys that the kernel would ignore are refused.
    type: dict
  socket:
    description: Socket of the VM host at which the vhost-user backend of a virtio device listens.
    type: str
  virtio_id:
    description: Kind of a virtio device, such as V(1) for a network card or V(2) for a disk.
    type: int
  force:
    description:
      - Try to remove a disk that the guest seems to use.
      - The kernel itself refuses to remove a disk that is open. A disk whose removal would panic the kernel is not
        removed even so.
    type: bool
    default: false
  resume:
    description:
      - Resume a paused instance for the moment of a change, and pause it again whatever happens.
      - Without this option a change of a paused instance is refused, since it can freeze it for good.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.devices
  - module: uml.mconsole.memory
"""

EXAMPLES = r"""
- name: Attach a disk
  uml.mconsole.device:
    umid: web1
    name: ubd1
    file: /srv/web1/data.img

- name: Attach a copy-on-write disk, as the console spells it
  uml.mconsole.device:
    umid: web1
    name: ubdc
    config: /srv/web1/root.cow,/srv/images/bookworm.img

- name: Give every web server a second console on a pseudo-terminal
  uml.mconsole.device:
    umids: ["web*"]
    name: con1
    channel: pts

- name: Connect the instance to a tap of the VM host
  uml.mconsole.device:
    umid: web1
    name: vec0
    transport: tap
    ifname: tap-web1
    mac: "52:54:00:12:34:56"
    settings:
      depth: 128

- name: Remove the disk
  uml.mconsole.device:
    umid: web1
    name: ubd1
    state: absent
"""

RETURN = r"""
commands:
  description: Console commands that were sent and change something; in check mode those that would be sent.
  returned: always
  type: list
  elements: str
  sample: ["config ubd1=/srv/web1/data.img"]
device:
  description: The device as it was read back; in check mode as it would be.
  returned: always
  type: dict
  contains:
    name:
      description: Canonical name.
      type: str
      sample: ubd1
    class:
      description: Class of the device.
      type: str
      sample: ubd
    state:
      description: V(present) or V(absent).
      type: str
    config:
      description: What the console says that the device is set to.
      type: str
    file:
      description: The disk's file.
      type: str
    backing_file:
      description: The file behind a copy-on-write disk, or an empty text.
      type: str
    read_only:
      description: Whether the guest sees the disk as read-only.
      type: bool
    size:
      description: Size of the disk in bytes.
      type: int
    serial:
      description: Serial number of the disk.
      type: str
    mounts:
      description: Where the guest has the disk or a partition of it mounted.
      type: list
      elements: str
    ghost:
      description:
        - Whether the disk was configured at boot and its set-up failed, so that the guest has no such device.
          Such a disk can be neither changed nor removed.
      type: bool
    replaced:
      description: Whether the VM host's file is no longer the one that the guest has open.
      type: bool
    mac:
      description: Hardware address of a network interface.
      type: str
    mtu:
      description: MTU of a network interface.
      type: str
    up:
      description: Whether the guest has a network interface up.
      type: bool
    renamed:
      description: Whether the guest gave a network interface another name.
      type: bool
    bound:
      description: Whether the guest's driver works with a virtio device.
      type: bool
    channel:
      description: Channel of a line's input.
      type: str
    output:
      description: Channel of a line's output; null where the kernel does not tell it.
      type: str
verified:
  description: Whether all that was asked for was seen to be so.
  returned: always
  type: bool
reason:
  description: Why there was a change or none, or what could not be verified.
  returned: always
  type: str
restored:
  description: Whether a refused change was taken back.
  returned: always
  type: bool
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
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import device
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(device)


if __name__ == "__main__":
    main()
