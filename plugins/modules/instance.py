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
  - Brings an instance into a state, no matter how it was started. The module keeps no records; it reads the state from
    C(/proc) of the VM host and from the directory of the instance.
  - Instances are started detached, so they outlive the task, the ssh session and Ansible.
  - The module first checks everything that would make a start fail, such as a missing kernel or image, a disk that
    another instance has locked, a path that is too long for a socket, or too little memory.
    It checks interfaces and lines as M(uml.mconsole.device) does.
  - If something else keeps an instance, such as a systemd unit with C(Restart=), the module checks again after the
    stop. It fails if the instance runs again, and names what started it.
  - If a kernel ends while it boots, the task fails. The message gives the reason, and RV(error) holds the last lines of
    the console log.
  - An instance is stopped by increasingly forceful methods; see O(stop_methods). The disks are written out and made
    read-only before the instance is halted or ended, because the kernel's own C(halt) does neither.
  - If two tasks start the same instance at the same time, the second task waits and finds the instance running.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Starts and stops nothing, and sends no command that changes anything. All checks before a start are made in
        check mode as well.
  idempotent:
    support: partial
    details:
      - With O(state=restarted) the instance is restarted each time.
  diff_mode:
    details:
      - Shows the state, and those parts of the kernel command line that the task sets.
options:
  uml_dir:
    description:
      - Directory on the VM host that holds C(UMID/mconsole) and C(UMID/pid). Must be an absolute path, or start with
        C(~). It is created if its parent directory exists.
      - By default C(~/.uml) of the user that the task runs as on the VM host. If this user runs an instance of that
        name in another directory, the task fails, and the message names that directory.
    type: str
  state:
    description:
      - V(running) starts the instance if it does not exist, and resumes it if it is paused.
      - V(paused) stops the processor of the instance and keeps everything in memory. An instance that does not exist is
        started first.
      - V(stopped) ends the instance, and all processes that a crash left.
      - V(absent) also removes the directory that a crash left. An instance that ends normally leaves no directory.
        Console logs and disks are never removed.
      - V(restarted) stops the instance and starts a new process. Options that the task does not set keep their values,
        including kernel command line, environment, working directory and user, even if the instance was started by
        hand. Devices that were added while it ran are lost.
    type: str
    choices: [running, paused, stopped, restarted, absent]
    default: running
  kernel:
    description:
      - Kernel of the instance on the VM host, as an absolute path or as the name of a program in
        C(/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin). It can be a script that executes a kernel.
      - By default C(linux.uml), which the package C(user-mode-linux) provides, or the kernel that the instance runs if
        it is restarted.
    type: str
  memory:
    description:
      - Memory of the guest, such as V(256M). Units are powers of 1024; V(256MB), V(256MiB) and V(0.25G) mean the same.
      - By default V(128M), or the memory that the instance has if it is restarted.
      - With less than V(64M) some kernels die while they boot, so less is refused unless O(force=true).
      - With less than V(112M) the module warns, because a guest may then be unable to fork. Debian's kernels create up
        to 750 tasks while they boot, one for each device, to call C(/sbin/hotplug). The memory limits how many can
        exist at the same time, which is about 410 with V(64M) and 660 with V(96M).
    type: str
  ncpus:
    description:
      - Processors of the guest.
      - A kernel without SMP always has one, so a larger number is a warning. Debian's 6.1, 6.12 and 7.2 are such
        kernels. The fact C(ansible_processor_nproc) of M(uml.mconsole.instance_facts) is the number that the guest has.
    type: int
  seccomp:
    description:
      - Whether the kernel catches the system calls of its guest by seccomp instead of ptrace. With seccomp a system
        call takes about half the time. It needs a kernel from 6.16 on; the module refuses it for an older one.
      - With V(auto) the kernel uses seccomp where the VM host allows it.
      - By default a kernel does not use seccomp.
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
    description:
      - The root file system of the guest. Set one of O(root.image), O(root.hostfs) and O(root.initrd), or
        O(root.initrd) with one of the others.
      - Required to start an instance, unless O(kernel_args) or O(devices) set the root file system.
    type: dict
    suboptions:
      image:
        description: Image file or block device of the VM host. It becomes the disk V(ubd0).
        type: str
      partition:
        description:
          - The partition of O(root.image) that holds the root file system, for example V(1) for C(/dev/ubda1).
          - By default the file system is the whole image, C(/dev/ubda).
        type: int
      cow:
        description:
          - Copy-on-write file on top of O(root.image), which is then not written to. It is created if it does not
            exist.
        type: str
      hostfs:
        description: Directory of the VM host to use instead of an image.
        type: str
      initrd:
        description: Initial RAM disk. It is the root file system itself if there is no image and no directory.
        type: str
      init:
        description: Path in the guest of the first program.
        type: str
      fstype:
        description: Type of the file system in the image. By default the kernel detects it.
        type: str
      read_only:
        description: Whether the root file system is read-only for the guest.
        type: bool
        default: false
  devices:
    description:
      - Devices that exist from the start, by name. A value is the text that the console accepts, or a dictionary of the
        options of M(uml.mconsole.device).
      - By default all lines are V(null), except V(ssl1), which is V(pts), so that tasks can get into the guest
        (P(uml.mconsole.guest#connection)), and the console V(con0), which goes to O(console_log). If there is no disk
        V(ubd0), it is C(/dev/null) without a lock, because the kernel's own default for it cannot be removed without a
        panic.
    type: dict
  kernel_args:
    description:
      - Further arguments for the kernel command line, as a list or as a dictionary. In a dictionary, a value of null or
        V(true) stands for the argument without a value, and V(false) omits the argument.
      - The kernel passes arguments that it does not know to init.
    type: raw
  notify:
    description:
      - Socket on the VM host to which the kernel sends its notifications. An empty string means no socket.
      - By default C(UML_DIR/.notify), which all instances of a directory share and where M(uml.mconsole.collector)
        listens, or the socket that the instance has if it is restarted. If nothing listens there, the kernel writes a
        message to its log and continues.
    type: str
  memory_dir:
    description:
      - Directory for the file that holds the memory of the guest. Its file system must not be mounted C(noexec).
      - By default C(/dev/shm).
    type: str
  console_log:
    description:
      - File to which the output of the kernel and of the guest's console is appended. Only its owner can read it.
      - By default C(UML_DIR/UMID.log), or the file that the instance has if it is restarted.
    type: str
  supervisor:
    description:
      - V(none) starts the instance as a detached process without a supervisor.
      - V(systemd) lets the unit C(uml-mconsole@UMID.service) run the instance. The unit also starts it when the VM host
        boots, until a task stops it. This needs root, and the template that the role P(uml.mconsole.instances#role)
        installs.
      - By default the current supervisor is kept, and an instance that a task stopped is started without a unit. If a
        running instance has another supervisor, RV(differences) reports it.
    type: str
    choices: [none, systemd]
  cpu_quota:
    description:
      - The part of one processor that the unit of the instance may use, such as V(50%) or V(150%). V(infinity) removes
        the limit.
      - This option, O(memory_max) and O(tasks_max) need O(supervisor=systemd). They take effect at once, without a
        restart. The module reads them back from systemd; see RV(limits).
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
      - V(when_required) restarts an instance that runs with another kernel or other boot options than the task sets.
      - V(never) returns the differences in RV(differences) and does not restart the instance.
      - The module compares O(kernel), O(memory), O(ncpus), O(seccomp), O(root), O(devices), O(kernel_args), O(notify)
        and O(supervisor), but only those that the task sets, each as a whole. A kernel whose file was replaced counts
        as another kernel.
    type: str
    choices: [never, when_required]
    default: never
  rollback:
    description:
      - Whether an instance that ran, and does not come up again after a restart, is started once more as it ran before,
        with its previous kernel, arguments and environment. The task fails also then. RV(rolled_back) is true, and the
        message has the reason.
      - Before it stops the instance, the module checks that the way back exists, such as the previous disks. If it does
        not, the task fails and nothing is stopped.
      - If the file of the running kernel was replaced, the module keeps a copy of the old kernel as
        C(UML_DIR/UMID.kernel) until the instance has come up with another kernel.
      - Devices that were set while the instance ran are lost, as with every restart. The disks keep what the new kernel
        wrote to them. Limits of the unit are not set back.
    type: bool
    default: false
  wait_for:
    description:
      - When a started instance counts as running.
      - V(init) waits until the console answers and the guest runs processes. A kernel without a usable root file system
        or init answers first and panics afterwards. With C(quiet) on the kernel command line this takes a second
        longer.
      - V(console) waits until the console answers.
      - V(message) waits for a message that the guest writes to C(/proc/mconsole). This needs a O(notify) socket that no
        other instance uses and where no other process listens.
      - V(log) waits for O(wait_pattern) in the console log.
      - V(login) waits until a line of the guest has a login prompt or a shell, as P(uml.mconsole.guest#connection)
        needs it. On a guest with systemd, this is much later than V(init). The module does not log in.
      - V(command) waits until O(wait_command) ends with status 0 in the guest. It runs as root, so a line of the guest
        must have a shell of root that asks for no password.
      - V(none) only waits until the kernel has created its directory.
      - The module also waits for an instance that is already booting, for example after a reboot. In that case it waits
        for the console and, unless this option is V(console) or V(none), for init.
    type: str
    choices: [init, console, message, log, login, command, none]
    default: init
  wait_pattern:
    description:
      - Python regular expression to search for in messages or in the console log. Required if O(wait_for=log).
    type: str
  wait_command:
    description: Command of the guest's shell for O(wait_for=command), such as V(systemctl is-active sshd).
    type: str
  wait_timeout:
    description: Seconds to wait. After that time the task fails, and the instance is left running.
    type: float
    default: 60.0
  stop_methods:
    description:
      - Methods that may be used to stop the instance. They are always tried in the order shown here, regardless of
        their order in the list. A paused instance is resumed first.
      - V(shutdown) sends ctrl-alt-del to the guest's init, if init handles it. If the guest then restarts, as many do,
        it is halted when it comes up again.
      - V(halt) writes out all disks, makes them read-only, and halts the kernel.
      - V(terminate) does the same, and ends the kernel with a signal.
      - V(kill) kills all processes of the instance and removes its directory.
    type: list
    elements: str
    choices: [shutdown, halt, terminate, kill]
    default: [shutdown, halt, terminate, kill]
  stop_timeout:
    description: Seconds that the guest's own shutdown may take.
    type: float
    default: 30.0
  force:
    description:
      - Start with less memory than kernels need, or more than O(memory_dir) can hold.
      - Start although a device cannot work, such as an interface whose switch or tap is not there.
      - Restart an instance without the descriptors or the terminal that it was started with.
      - Start an instance whose directory is left over and is on a file system that other VM hosts share, such as NFS.
        The instance may still run on another VM host.
    type: bool
    default: false
notes:
  - In the values of O(kernel), O(root), O(devices), O(kernel_args), O(notify), O(console_log) and O(memory_dir), the
    module replaces C({umid}) with the name of the instance. So one task with O(umids) can start many instances.
  - C({machine_id}) there stands for the 32 digits of a machine ID of systemd, and C({mac}) for an Ethernet address that
    is administered locally; C({mac1}) to C({mac99}) are further ones, for more interfaces. They follow from the umid
    alone. So clones of one image differ, and each keeps its own wherever and whenever it starts. Two instances with the
    same umid on two VM hosts have the same.
  - If the VM host kills the processes of users who log out, as C(systemd-logind) can, it also ends their instances.
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

- name: Start three instances, each with its own disk and name
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
      systemd.machine_id: "{machine_id}"

- name: Set its memory, and restart it if the memory differs
  uml.mconsole.instance:
    umid: web1
    memory: 512M
    restart: when_required

- name: Give it another kernel, and go back to the present one if it does not come up
  uml.mconsole.instance:
    umid: web1
    kernel: /srv/uml/linux-next
    restart: when_required
    rollback: true

- name: Pause all web servers
  uml.mconsole.instance:
    umids: ["web*"]
    state: paused

- name: End a scratch instance at once
  uml.mconsole.instance:
    umid: scratch
    state: absent
    stop_methods: [kill]
"""

RETURN = r"""
state:
  description:
    - The state that was read back, as in M(uml.mconsole.instance_info). In check mode, the predicted state.
    - V(absent) if nothing of the instance exists, also after O(state=stopped).
  returned: always
  type: str
  sample: running
state_reason:
  description: Details about the state, or an empty string.
  returned: if the state of the instance could be read
  type: str
uml_dir:
  description: Directory of the VM host that holds the directory of the instance.
  returned: if the state of the instance could be read
  type: str
pid:
  description: Main process on the VM host, or null if it does not run.
  returned: if the state of the instance could be read
  type: int
console_log:
  description: File of the console log, or null if it does not exist or cannot be read.
  returned: if the state of the instance could be read
  type: str
commands:
  description:
    - Console commands that were sent and change something.
    - In check mode, the commands that would be sent first. Which commands follow depends on their effect.
  returned: always
  type: list
  elements: str
  sample: ["sysrq s", "sysrq u", "halt"]
steps:
  description:
    - Steps that were done or, in check mode, would be done. Possible steps are V(resume), V(pause), V(stop), V(clear),
      V(start), V(enable), V(disable), V(limit) and V(rollback).
    - V(enable) and V(disable) change whether the instance starts when the VM host boots. V(limit) sets the limits
        of its unit.
  returned: if the state of the instance could be read
  type: list
  elements: str
rolled_back:
  description: Whether the instance did not come up with the new options and runs again with the previous ones.
  returned: if that is so
  type: bool
stopped_by:
  description: Method that ended the instance; see O(stop_methods).
  returned: if the instance was stopped
  type: str
synced:
  description:
    - Whether the module saw that the guest had written out its disks. The module asks the guest to write them out
      before it asks for the shutdown, and looks until the guest ends.
    - It is also V(false) in two other cases. The guest wrote to its disks while it shut down, and ended before the
      module saw these writes on the disk. Or it left an ext2, ext3 or ext4 file system mounted for writing. In these
      cases writes can be lost.
  returned: if the instance was stopped
  type: bool
xstate_shim:
  description:
    - Whether the instance runs with the register shim, which kernels before 6.13 need on a VM host whose CPU has AMX.
    - V(null) if the instance does not run, or belongs to another user.
  returned: if the state of the instance could be read
  type: bool
limits:
  description:
    - The limits that the task sets for the unit, as systemd reports them. C(memory_max) is in bytes. V(null) means no
      limit.
  returned: when the task asks for limits and systemd keeps the instance
  type: dict
  sample: {"cpu_quota": "50%", "memory_max": 536870912}
differences:
  description: Options whose value in the running instance differs from the value that the task sets.
  returned: if the state of the instance could be read
  type: dict
  sample: {"memory": {"running": ["mem=64M"], "wanted": ["mem=256M"]}}
reason:
  description: Why something was changed, or why not.
  returned: if the state of the instance could be read
  type: str
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
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
