#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Make a disk image for User-Mode Linux from a file with a checksum
version_added: 1.0.0
description:
  - Makes a raw disk image on the VM host from a file that is on the VM host. The file can be a raw image, a qcow2 image
    or an archive of files (tar), and it can be compressed with gzip, xz or bzip2. Blocks of zeros become holes.
  - The role P(uml.mconsole.images#role) fetches the files, and uses this module.
  - The image is whole when it appears. A task that is killed leaves the file C(.NAME.part), which the next task
    removes.
  - An image that is in use is never replaced or removed. The module looks for instances that run with the image or on a
    COW file over it, for instances that systemd starts, for COW files in the directory of the image, and for processes
    that have the image open. It cannot see COW files that are in other directories and that no instance uses, or
    instances of other users unless it runs as root.
  - Beside the image is the file C(NAME.source), which holds the checksum of what the image was made from. So the module
    still recognizes an image that instances have written to.
extends_documentation_fragment:
  - uml.mconsole.instance.unused
  - uml.mconsole.attributes
options:
  path:
    description: Path of the image. Must be an absolute path, or start with C(~). Its directory must exist.
    type: str
    required: true
  state:
    description:
      - V(present) makes the image if it does not exist.
      - V(absent) removes the image and the file C(NAME.source).
    type: str
    choices: [present, absent]
    default: present
  src:
    description:
      - File on the VM host to make the image from. Required to make an image. An image that is already there does not
        need it, and a check run predicts the result without it.
    type: str
  checksum:
    description:
      - Checksum of O(src), such as V(sha256:0f3a...). Also V(sha384) and V(sha512). Required with O(state=present).
      - An image that was made from a file with this checksum is not changed.
    type: str
  format:
    description:
      - Format of O(src), without its compression, which is always detected.
      - V(raw) is an image as it is. It can hold partitions.
      - V(qcow2) needs the program C(qemu-img) of the package C(qemu-utils). An image that names a backing file or a
        data file is refused.
      - V(tar) makes an ext4 file system of O(size) with the files of the archive. It needs root, and the programs
        C(tar) and C(mke2fs).
      - V(auto) detects the format by the content.
    type: str
    choices: [auto, raw, qcow2, tar]
    default: auto
  size:
    description:
      - Minimum size of the image, such as V(10G). A smaller image is made larger with a hole at its end, and the file
        system in it is not changed. Required for an archive of files.
    type: str
  replace:
    description: Whether to replace an image that was made from another file, if it is not in use.
    type: bool
    default: false
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.cow
  - module: uml.mconsole.instance
"""

EXAMPLES = r"""
- name: Make a raw image of a compressed one
  uml.mconsole.image:
    path: /srv/images/debian.img
    src: /srv/downloads/debian.qcow2
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

- name: Make a file system of an archive of files
  uml.mconsole.image:
    path: /srv/images/rootfs.img
    src: /srv/downloads/rootfs.tar.xz
    checksum: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
    size: 2G

- name: Remove an image that is not in use
  uml.mconsole.image:
    path: /srv/images/old.img
    state: absent
"""

RETURN = r"""
image:
  description: The image. Null if it does not exist, also in check mode if it would be made.
  returned: success
  type: dict
  contains:
    path:
      description: Path of the image.
      type: str
      sample: /srv/images/debian.img
    size:
      description: Size in bytes.
      type: int
      sample: 2147483648
    allocated:
      description: Bytes that the image takes on the disk.
      type: int
      sample: 734003200
    checksum:
      description: Checksum of the file that the image was made from. Null if that is not known.
      type: str
      sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    format:
      description: Format of that file. Null if that is not known.
      type: str
      sample: qcow2
free:
  description: Bytes that are free in the directory of the image.
  returned: success with O(state=present)
  type: int
  sample: 53687091200
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import image
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(image)


if __name__ == "__main__":
    main()
