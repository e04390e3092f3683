#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Start, pause, resume, stop, and restart a User-Mode Linux instance
version_added: 1.0.0
description:
  - Brings an instance into a state, whether this collection or somebody else started it. No record is kept; what there
    is comes from the VM host's C(/proc) and from the instance's own directory.
  - An instance is started detached. It outlives the task, the ssh session and Ansible.
  - Before anything is started or stopped, what would make the start fail is looked for, such as a missing kernel or
    image, a disk that another instance has locked, a path too long for a socket, or too little memory.
  - A kernel that ends while it boots is a failure that says why, with the last lines of its console log.
  - An instance is stopped by increasingly forceful methods; see O(stop_methods). The disks are written out and made
    read-only before it is halted or ended, because the kernel's own C(halt) does neither.
  - Two tasks that want the same instance at once start one; the second finds it there.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Starts, stops and sends nothing that changes something. What is looked for before a start is looked for in check
        mode too.
  idempotent:
    support: partial
    details:
      - With O(state=restarted) the instance is restarted each time.
  diff_mode:
    details:
      - Shows the state, and of the boot line what the task asks for.
options:
  uml_dir:
    description:
      - Directory on the VM host that holds C(UMID/mconsole) and C(UMID/pid). It is made if its parent directory exists.
      - By default C(~/.uml) of the user that the task runs as on the VM host. If there is nothing of that name, and
        that user runs one instance of that name elsewhere, that is meant.
    type: str
  state:
    description:
      - V(running) starts the instance if it is not there, and resumes it if it is paused.
      - V(paused) stops its processor and leaves everything in memory; an instance that is not there is started first.
      - V(stopped) ends it, and what is left of its processes after a crash.
      - V(absent) also removes the directory that a crash left. An instance that ended by itself leaves nothing. Console
        logs and disks are kept.
      - V(restarted) stops it and starts a new process. What the task does not say stays as it was, boot line,
        environment and working directory, also when the instance was started by hand; it runs as the same user. Devices
        that were added while it ran are gone.
    type: str
    choices: [running, paused, stopped, restarted, absent]
    default: running
  kernel:
    description:
      - The kernel's program on the VM host, as a path or as a name to be found there.
      - By default C(linux.uml), or what the instance runs with if it is restarted.
    type: str
  memory:
    description:
      - Memory of the guest, such as V(256M).
      - By default the kernel takes 64 MB, and less is refused without O(force), since kernels die with it now and then.
      - Debian's kernels make up to 750 tasks while they boot, one for each device, to call C(/sbin/hotplug). They may
        have as many at a time as their memory allows, which is about 410 with V(64M) and 660 with V(96M). When they
        pile up beyond that, the guest cannot fork. From V(112M) on there are enough, and below it a warning.
    type: str
  ncpus:
    description:
      - Processors of the guest.
      - A kernel without SMP always has one, so a larger number is a warning. Debian's 6.1, 6.12 and 7.2 are such
        kernels. The fact C(ansible_processor_nproc) of M(uml.mconsole.instance_facts) is the number that the guest has.
    type: int
  seccomp:
    description:
      - Whether the kernel catches the system calls of its guest by seccomp and not by ptrace. That takes about half the
        time, and needs a kernel from 6.16 on; an older one is refused.
      - With V(auto) the kernel uses seccomp where the VM host allows it.
      - A kernel does not use it by default.
    type: str
    choices: ["off", "on", auto]
  memory_budget:
    description:
      - What to do when the VM host cannot hold the instance beside those that run, if all use the memory that they were
        given. The VM host can give its available memory and its free swap space.
      - With V(warn) the task warns and starts the instance. With V(enforce) it fails before anything is started.
    type: str
    choices: [ignore, warn, enforce]
    default: warn
  root:
    description: The guest's root file system.
    type: dict
    suboptions:
      image:
        description: File or block device of the VM host that holds it. It becomes the disk V(ubd0).
        type: str
      cow:
        description: Copy-on-write file on top of O(root.image), which is not written to then. It is made when missing.
        type: str
      hostfs:
        description: Directory of the VM host that is used in place of an image.
        type: str
      initrd:
        description: Initial RAM disk; the root file system itself when there is neither image nor directory.
        type: str
      init:
        description: The first program, as a path in the guest.
        type: str
      fstype:
        description: Type of the file system in the image, where the kernel does not find it out.
        type: str
      read_only:
        description: Whether the guest may not write to it.
        type: bool
        default: false
  devices:
    description:
      - Devices that are there from the start, by name. A value is the text that the console takes, or a dictionary of
        the options of M(uml.mconsole.device).
      - Lines that are not named are V(null), except V(ssl1), which is V(pts), so that tasks can get into the guest
        (P(uml.mconsole.guest#connection)). The console V(con0) goes to O(console_log). Without a first disk
        V(ubd0) is C(/dev/null) without a lock, since the kernel's default for it cannot be removed without a panic.
    type: dict
  kernel_args:
    description:
      - Further words on the kernel's command line, as a list of words or as a dictionary. In a dictionary, null and
        V(true) stand for the word alone, and V(false) leaves it out.
      - What the kernel does not know is passed on to init.
    type: raw
  notify:
    description:
      - Socket on the VM host to which the kernel sends its notifications. An empty text stands for none.
      - By default C(UML_DIR/.notify), which the instances of a directory share and at which M(uml.mconsole.collector)
        listens, or what it was if the instance is restarted. A kernel that finds nobody there goes on, and says so in
        its log.
    type: str
  memory_dir:
    description:
      - Directory for the file that is the guest's memory. It must not be mounted C(noexec).
      - By default C(/dev/shm).
    type: str
  console_log:
    description:
      - File to which the kernel's output and the guest's console are appended, made for its owner alone.
      - By default C(UML_DIR/UMID.log), or what it was if the instance is restarted.
    type: str
  supervisor:
    description:
      - What keeps the instance. V(none) is nothing but itself, a detached process.
      - V(systemd) has the unit C(uml-mconsole@UMID.service) start it, also when the VM host boots, until it is stopped
        by a task. This needs root, and the template that the role P(uml.mconsole.instances#role) writes.
      - By default it stays what it is, and what was stopped by a task is started without a unit. What runs otherwise
        than said here is among RV(differences).
    type: str
    choices: [none, systemd]
  cpu_quota:
    description:
      - The part of one processor that the unit of the instance may use, such as V(50%) or V(150%). V(infinity) removes
        the limit.
      - This and the next two need O(supervisor=systemd). They hold at once, without a restart, and are read back from
        systemd; see RV(limits).
    type: str
  memory_max:
    description:
      - The most memory that all processes of the instance may use together, such as V(512M), or V(infinity). It must
        leave room beside O(memory), because the VM host ends an instance that needs more.
    type: str
  tasks_max:
    description: The most processes that the instance may have on the VM host, or V(infinity).
    type: str
  restart:
    description:
      - Whether an instance that runs with another kernel, or with other boot options than the task says, is restarted.
      - Of O(kernel), O(memory), O(ncpus), O(seccomp), O(root), O(devices), O(kernel_args), O(notify) and O(supervisor),
        those that the task gives are compared, each as a whole. A kernel whose file was replaced is another one.
      - With V(never) the differences are returned, and nothing is done about them.
    type: str
    choices: [never, when_required]
    default: never
  wait_for:
    description:
      - When a started instance counts as running.
      - V(init) waits until the console answers and the guest runs processes. A kernel without a usable root or init
        answers first and panics then. With C(quiet) on the boot line this takes a second more.
      - V(console) waits until the console answers.
      - V(message) waits for a message that the guest writes to C(/proc/mconsole). It needs a O(notify) of the
        instance's own, to which nothing else may listen meanwhile.
      - V(log) waits for O(wait_pattern) in the console log.
      - V(login) waits until the guest has a login prompt or a shell at a line, as P(uml.mconsole.guest#connection)
        uses. A guest with systemd has that much later than its init. Nobody is logged in.
      - V(command) waits until O(wait_command) ends with status 0 in the guest. It runs as root, so a line of the guest
        must have a shell of root that asks for no password.
      - V(none) waits until the kernel has taken its name.
      - One that is found booting, after a reboot say, is waited for as well. That is until its console answers and,
        unless this is V(console) or V(none), its init runs.
    type: str
    choices: [init, console, message, log, login, command, none]
    default: init
  wait_pattern:
    description: Regular expression that is searched for in a message or in the console log.
    type: str
  wait_command:
    description: Command of the guest's shell for O(wait_for=command), such as V(systemctl is-active sshd).
    type: str
  wait_timeout:
    description:
      - Seconds to wait for that. An instance that is late is left running, and the task fails.
    type: float
    default: 60.0
  stop_methods:
    description:
      - The ways by which an instance may be stopped; those that are listed are tried in this order, whatever theirs.
        It is resumed first if it is paused.
      - V(shutdown) has the guest's init act on ctrl-alt-del, if it handles that. If the guest restarts then, as many
        do, it is halted when it comes up again.
      - V(halt) writes out all disks, makes them read-only, and halts the kernel.
      - V(terminate) does the same, and ends the kernel by a signal.
      - V(kill) kills all its processes and removes what they leave.
    type: list
    elements: str
    choices: [shutdown, halt, terminate, kill]
    default: [shutdown, halt, terminate, kill]
  stop_timeout:
    description: Seconds that the guest's own shutdown may take.
    type: float
    default: 30.0
  force:
    description: Start with less memory than kernels need, or more than O(memory_dir) can hold.
    type: bool
    default: false
notes:
  - Every C({umid}) in the values of O(kernel), O(root), O(devices), O(kernel_args), O(notify), O(console_log) and
    O(memory_dir) is the name of the instance, so that a task with O(umids) can start many.
  - Where users' processes are killed when they log out, as C(systemd-logind) can be told to do, that is the end of
    instances too.
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance_info
  - module: uml.mconsole.collector
  - module: uml.mconsole.device
"""

EXAMPLES = r"""
- name: Start an instance from a copy-on-write file
  uml.mconsole.instance:
    umid: web1
    memory: 256M
    root:
      image: /srv/images/bookworm.img
      cow: /srv/web1/root.cow

- name: Start three, each with its own disk and name
  uml.mconsole.instance:
    umids: [web1, web2, web3]
    memory: 256M
    root:
      image: /srv/images/bookworm.img
      cow: /srv/{umid}/root.cow
    devices:
      ubd1:
        file: /srv/{umid}/data.img
    kernel_args:
      systemd.hostname: "{umid}"

- name: Give it more memory, with a restart if it has less
  uml.mconsole.instance:
    umid: web1
    memory: 512M
    restart: when_required

- name: Pause all web servers
  uml.mconsole.instance:
    umids: ["web*"]
    state: paused

- name: Stop one that does not matter, at once
  uml.mconsole.instance:
    umid: scratch
    state: absent
    stop_methods: [kill]
"""

RETURN = r"""
state:
  description:
    - The run state as it was read back, as in M(uml.mconsole.instance_info); in check mode as it would be.
    - V(absent) when nothing of the instance is there, also after O(state=stopped).
  returned: always
  type: str
  sample: running
state_reason:
  description: Why it is in that state, where there is more to say.
  returned: when the instance could be looked at
  type: str
uml_dir:
  description: The directory that was meant.
  returned: when the instance could be looked at
  type: str
pid:
  description: The main process on the VM host.
  returned: when the instance could be looked at
  type: int
console_log:
  description: File that the console goes to, or null when there is none or it cannot be seen.
  returned: when the instance could be looked at
  type: str
commands:
  description:
    - Console commands that were sent and change something.
    - In check mode those that would be sent first; which ones follow depends on what they bring about.
  returned: always
  type: list
  elements: str
  sample: ["sysrq s", "sysrq u", "halt"]
steps:
  description: What was done, or in check mode would be, of V(resume), V(pause), V(stop), V(clear), V(start),
      V(enable), V(disable) and V(limit). V(enable) and V(disable) say whether it starts when the VM host boots, and
      V(limit) sets the limits of its unit.
  returned: when the instance could be looked at
  type: list
  elements: str
stopped_by:
  description: The way that ended the instance; see O(stop_methods).
  returned: when it was stopped
  type: str
synced:
  description:
    - Whether it was seen that the guest had written out its disks; all were read-only and nothing was left to write, or
      the guest had shut down by itself.
  returned: when it was stopped
  type: bool
xstate_shim:
  description:
    - Whether the instance runs with the register shim, which kernels before 6.13 need on a VM host whose CPU has AMX.
    - V(null) when the instance does not run, or belongs to another user.
  returned: when the instance could be looked at
  type: bool
limits:
  description:
    - The limits of the unit that the task asks for, as systemd has them. C(memory_max) is in bytes; null is no limit.
  returned: when the task asks for limits and systemd keeps the instance
  type: dict
  sample: {"cpu_quota": "50%", "memory_max": 536870912}
differences:
  description: What the instance runs with otherwise than the task says, by option.
  returned: when the instance could be looked at
  type: dict
  sample: {"memory": {"running": ["mem=64M"], "wanted": ["mem=256M"]}}
reason:
  description: Why there was a change or none.
  returned: when the instance could be looked at
  type: str
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import instance
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(instance)


if __name__ == "__main__":
    main()
