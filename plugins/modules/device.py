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
  - Adds, changes or removes a device of a running instance through its console.
  - The current state is read from the console, from C(/proc) and C(/sys) of the guest, and from the VM host. The device
    is only changed if it differs from the request.
  - If the kernel refuses the new setting, the previous setting is restored.
  - After a change the device is read again. The task fails if the device then differs from the request, even if the
    kernel reported success. Options that cannot be read set RV(verified) to false, and RV(reason) names them.
  - On kernels 6.12 and later, the module can see that a disk is mounted, but not other uses such as swap. They only
    show when the kernel refuses to remove the disk, so check mode cannot predict that failure.
  - Devices that were added at runtime are lost when the instance reboots. Those of its command line come back.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  idempotent:
    details:
      - Some options cannot be read, such as the output channel of a line that the guest has not opened. If the device
        exists, the module assumes that these options have the requested values, and RV(verified) is false.
options:
  name:
    description:
      - Name of the device.
      - V(ubd0) to V(ubd15), or V(ubda) to V(ubdp), is a disk. V(ubd1) and V(ubdb) are the same disk. Flag letters may
        follow, as on the console, so V(ubd1r) is V(ubd1) with O(read_only=true).
      - V(con0) to V(con15) is a console line, C(/dev/tty0) to C(/dev/tty15) in the guest.
      - V(ssl0) to V(ssl63) is a serial line, C(/dev/ttyS0) to C(/dev/ttyS63) in the guest.
      - V(vec0), V(vec1) and so on is a network interface, on all kernels. V(eth0), V(eth1) and so on is a network
        interface of the old kind, on kernels up to 6.12.
      - V(virtio_uml0) to V(virtio_uml255) is a virtio device behind a vhost-user socket, on kernels 7.2 and later. It
        can be added, but not changed or removed.
      - V(vfio_uml.0000:01:00.0) is the PCI device of the VM host with that address, on kernels that were built with
        C(CONFIG_UML_PCI_OVER_VFIO). It can be added, but not changed or removed.
    type: str
    required: true
  state:
    description:
      - V(present) adds the device, or changes it if it differs from the request.
      - V(absent) removes the device.
    type: str
    choices: [present, absent]
    default: present
  config:
    description:
      - The complete setting of the device, as the console accepts it after C(=).
      - For a disk C(FILE[,BACKING_FILE[,SERIAL]]), for a line C(CHANNEL[,OUTPUT_CHANNEL]), for a C(vec) interface
        C(transport=TRANSPORT,KEY=VALUE,...), for an C(eth) interface C(TRANSPORT,VALUE,...), for a virtio device
        C(SOCKET:VIRTIO_ID).
      - Mutually exclusive with the options for single parts of the setting, except the flags of a disk
        (O(read_only), O(synchronous), O(shared), O(discard), O(raw)).
    type: str
  file:
    description:
      - File or block device of the VM host that holds the data of a disk. With O(backing_file) it is a copy-on-write
        file, which is created if it does not exist.
      - A relative path starts at the working directory of the instance. The kernel does not accept paths with a comma
        or a colon.
    type: str
  backing_file:
    description:
      - Backing file of the copy-on-write file in O(file). It is never written to, so many instances can share it.
      - By default the backing file that the copy-on-write file names in its header.
    type: str
  read_only:
    description: Whether the disk is read-only. By default a new disk is writable.
    type: bool
  synchronous:
    description: Whether each write reaches the disk of the VM host before the guest continues. By default a new disk
      is not synchronous.
    type: bool
  shared:
    description: Whether to attach the file without a lock, so that other instances can use it at the same time. By
      default a new disk is locked.
    type: bool
  discard:
    description: Whether blocks that the guest discards become holes in the file. By default they do on a new disk.
    type: bool
  raw:
    description: Whether to attach a copy-on-write file as plain data, including its header. Cannot be combined with
      O(backing_file).
    type: bool
  serial:
    description: Serial number that the guest sees.
    type: str
  channel:
    description:
      - The channel of the VM host to which a line is connected. One of V(null), V(pts), V(pty), V(xterm), V(fd:N),
        V(port:N) and V(tty:DEVICE). The options O(fd), O(port) and O(tty) are another way to set the last three.
      - The kernel creates a V(pts) when the guest opens the line. RV(device.config) then shows its name.
    type: str
  fd:
    description: Connect a line to the file descriptor of this number, with which the instance was started.
    type: int
  tty:
    description: Connect a line to this terminal device of the VM host.
    type: str
  port:
    description:
      - Connect a line to this TCP port of the VM host.
      - The kernel listens on all network interfaces, and continues until the instance ends even if the line is removed.
    type: int
  output:
    description: Channel for the output of a line, in the format of O(channel). By default the output uses O(channel).
    type: str
  transport:
    description:
      - Transport of a network interface.
      - For C(vec), one of V(tap), V(raw), V(hybrid), V(gre), V(l2tpv3), V(bess), V(fd), and on kernels 6.12 and later
        V(vde). For C(eth), one of V(tuntap), V(ethertap), V(daemon), V(slip), V(slirp), and on kernel 6.1 V(mcast) and
        V(ucast).
      - The kernel opens the transport when the guest brings the interface up, and does not report it before.
    type: str
  ifname:
    description:
      - Network interface of the VM host to which the guest's interface is connected.
      - If an instance runs as root, its kernel creates a missing tap when the guest brings the interface up.
    type: str
  mac:
    description: Hardware address of a network interface. By default the kernel chooses a random address each time.
    type: str
  settings:
    description:
      - Further parameters of the transport.
      - For C(vec), the kernel's own keys, such as C(depth), C(gro), C(src), C(dst) and C(fd).
      - For C(eth), C(socket) and C(socket_type) of V(daemon); C(address), C(port) and C(ttl) of V(mcast); C(gateway) of
        V(tuntap), V(ethertap) and V(slip); C(command) of V(slirp).
      - The module refuses keys that the kernel would ignore.
    type: dict
  socket:
    description: Socket of the VM host on which the vhost-user backend of a virtio device listens.
    type: str
  virtio_id:
    description: Virtio device type, such as V(1) for a network card or V(2) for a disk.
    type: int
  force:
    description:
      - Whether to try to remove a disk that the guest seems to use.
      - The kernel itself refuses to remove a disk that is open. Even with this option, the module does not remove a
        disk whose removal would panic the kernel.
    type: bool
    default: false
  resume:
    description:
      - Whether to resume a paused instance during the change and pause it again afterwards, also if the change fails.
      - By default the module refuses to change a paused instance, because the change can freeze it permanently.
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

- name: Attach a copy-on-write disk in the format of the console
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
  description: Console commands that were sent and change something. In check mode, those that would be sent.
  returned: always
  type: list
  elements: str
  sample: ["config ubd1=/srv/web1/data.img"]
device:
  description: The device as it was read back. In check mode, as predicted.
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
      description: Setting of the device, as the console reports it.
      type: str
    file:
      description: The disk's file.
      type: str
    backing_file:
      description: Backing file of a copy-on-write disk, or an empty string.
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
        - Whether the disk was configured at boot but its setup failed, so that the guest does not have it. Such a disk
          cannot be changed or removed.
      type: bool
    replaced:
      description: Whether the file on the VM host was replaced after the guest opened it.
      type: bool
    mac:
      description: Hardware address of a network interface.
      type: str
    mtu:
      description: MTU of a network interface.
      type: str
    up:
      description: Whether the network interface is up in the guest.
      type: bool
    renamed:
      description: Whether the guest renamed the network interface.
      type: bool
    bound:
      description: Whether a driver of the guest is bound to the virtio device.
      type: bool
    channel:
      description: Channel for the input of a line.
      type: str
    output:
      description: Channel for the output of a line, or null if the kernel does not report it.
      type: str
verified:
  description: Whether the module read all requested options back and found them as requested.
  returned: always
  type: bool
reason:
  description: Why something was changed or not, or which options could not be verified.
  returned: always
  type: str
restored:
  description: Whether a refused change was undone.
  returned: always
  type: bool
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
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
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
