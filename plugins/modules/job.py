#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job
short_description: Run one command in a User-Mode Linux instance that is started for it and removed afterwards
version_added: 1.0.0
description:
  - Starts an instance, runs a command in its guest, returns its result, and removes the instance and everything that
    it needed. Use it for tests of kernels, and for commands that must not touch the VM host.
  - The task fails unless the command ended by itself with status 0. RV(verdict) says how it ended.
  - The module sends the command through a line of the guest, as P(uml.mconsole.guest#connection) does. So the guest
    needs a shell of root on C(ttyS1), as the role P(uml.mconsole.guest#role) builds it, or O(shell_as_init).
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - The options are checked, and nothing is started.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - The command is run each time.
options:
  umid:
    description: Name of the instance. By default it is C(job-) and random digits.
    type: str
  umids:
    description: A job has one instance, so this is not used.
    type: list
    elements: str
  uml_dir:
    description: A job has a separate directory, so this is not used.
    type: str
  command:
    description: Text for the guest's shell, which runs it as root.
    type: str
    required: true
  shell_as_init:
    description:
      - Whether a shell takes the place of the guest's init and runs the command, for a root file system that has no
        login on a line. Nothing is mounted then except what the kernel mounts.
    type: bool
    default: false
  boot_timeout:
    description: Seconds until the guest must have a login.
    type: float
    default: 60.0
  time_limit:
    description: Seconds that the command may take.
    type: float
    default: 600.0
  collect:
    description: Files of the guest that are copied to O(collect_to) when the command has ended.
    type: list
    elements: str
  collect_to:
    description: Directory on the VM host for these files. It is created if it does not exist. Required with O(collect).
    type: str
  max_output:
    description: Maximum number of bytes of the output, and of the error output. Of a longer output, the end is
      returned.
    type: int
    default: 4194304
  kernel:
    description: Kernel to run, as for M(uml.mconsole.instance).
    type: str
  memory:
    description: Memory of the instance, as for M(uml.mconsole.instance).
    type: str
  ncpus:
    description: Processors of the instance, as for M(uml.mconsole.instance).
    type: int
  root:
    description: Root file system, as for M(uml.mconsole.instance).
    type: dict
    suboptions:
      image:
        description: File or block device of the VM host that holds it.
        type: str
      partition:
        description: Partition of O(root.image) that holds the root file system. By default it is the whole image.
        type: int
      cow:
        description:
          - Copy-on-write file on top of O(root.image), which is then not written to. By default it is a file that is
            removed with the instance, unless O(root.read_only), so a job does not change the image. A file that you
            name stays.
        type: str
      hostfs:
        description: Directory of the VM host to use instead of an image.
        type: str
      initrd:
        description: Initial RAM disk.
        type: str
      init:
        description: The first program, as a path in the guest.
        type: str
      fstype:
        description: Type of the file system in the image. By default the kernel detects it.
        type: str
      read_only:
        description: Whether the guest may not write to it.
        type: bool
        default: false
  devices:
    description: Devices of the instance, as for M(uml.mconsole.instance).
    type: dict
  kernel_args:
    description:
      - Further arguments for the kernel command line, as for M(uml.mconsole.instance). With O(shell_as_init), a list.
    type: raw
  memory_dir:
    description: Directory for the file that is the guest's memory, as for M(uml.mconsole.instance).
    type: str
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance
  - plugin: uml.mconsole.guest
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Run a test on two kernels
  uml.mconsole.job:
    kernel: "{{ item }}"
    root: {initrd: ~/.uml-guest/initrd.gz}
    memory: 128M
    command: uname -r && cat /proc/filesystems
    time_limit: 60
  loop: [linux.uml, /srv/kernels/linux-next]
  register: jobs
  failed_when: jobs.verdict == 'no_boot'

- name: Show how they ended
  ansible.builtin.debug:
    msg: "{{ item.item }}: {{ item.verdict }} {{ item.rc }} {{ item.console | last }}"
  loop: "{{ jobs.results }}"
  loop_control:
    label: "{{ item.item }}"
"""

RETURN = r"""
verdict:
  description:
    - How the job ended.
    - V(ended) means that the command ended by itself, with any status.
    - V(timeout) means that O(time_limit) ended it. V(hang) means the same, and that the kernel does not answer any
      more.
    - V(panic) means that the kernel panicked. V(out_of_memory) means that the kernel lacked memory, and ended a process
      or panicked.
    - V(no_boot) means that the job ended before there was a login.
    - V(lost) means that the line was hung up, and the console does not show why.
    - It is null in check mode.
  returned: always
  type: str
  sample: ended
rc:
  description: Exit status of the command, or null when it has none.
  returned: always
  type: int
  sample: 0
stdout:
  description: Output of the command, as the guest wrote it, including terminal escapes.
  returned: always
  type: str
  sample: 6.1.176
stderr:
  description: Error output of the command, or why it did not run.
  returned: always
  type: str
  sample: ""
duration:
  description: Seconds that the whole job took.
  returned: always
  type: float
  sample: 4.2
boot_time:
  description: Seconds until the guest had a login, or null when it had none.
  returned: always
  type: float
  sample: 2.5
console:
  description: The last lines of the console, up to the first panic.
  returned: always
  type: list
  elements: str
  sample: ["Kernel panic - not syncing: sysrq triggered crash"]
files:
  description: The files that were collected, as paths of the VM host.
  returned: always
  type: list
  elements: str
  sample: [/srv/results/report.xml]
ktap:
  description: Results of the tests in the output, if it is in the format KTAP or TAP, otherwise null.
  returned: always
  type: dict
  sample: {passed: 12, failed: 0, skipped: 1, tests: [{name: futex, result: passed}]}
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import job
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(job)


if __name__ == "__main__":
    main()
