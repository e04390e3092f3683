# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a log says about an early death: the first cause, as kernels 6.1, 6.12 and 7.2 were seen to print it."""

from __future__ import annotations

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._guest import boot_failure

NO_ROOT = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(98,0)"
KILLED = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x"
OPEN = 'VFS: Cannot open root device "ubda" or unknown-block(98,0): error -6'
GHOST = "Failed to initialize ubd device 0 :Couldn't determine size of device's file"
BUS = "Bus error - the host /dev/shm or /tmp mount likely just ran out of space"
RUN = "Run /init as init process"

CAUSES: dict[str, tuple[list[str], str]] = {
    "a CPU with AMX": (
        [RUN, "userspace - ptrace set fp regs failed, errno = 14", f"{KILLED}0000000b", "CPU: 0"],
        "ptrace set fp regs failed, errno = 14 (a kernel before 6.13 on a CPU with AMX; build the register shim",
    ),
    "an initrd that is not there": (
        ['Couldn\'t stat "/i" : err = 2', GHOST, OPEN, NO_ROOT],
        'Couldn\'t stat "/i" : err = 2 (the initrd cannot be read)',
    ),
    "an initrd that is not one": (
        ["Initramfs unpacking failed: invalid magic at start of compressed archive", OPEN, NO_ROOT],
        "Initramfs unpacking failed: invalid magic",
    ),
    "an initrd without its program": (
        ["check access for rdinit=/nope failed: -2, ignoring", "/dev/root: Can't open blockdev", OPEN, NO_ROOT],
        "check access for rdinit=/nope failed: -2 (the initrd has no such program)",
    ),
    "a disk that is not there": ([GHOST, OPEN, NO_ROOT], GHOST),
    "a directory that is not there": ([OPEN.replace("-6", "-2"), NO_ROOT], OPEN.replace("-6", "-2")),
    "an image without a file system": ([" ext4", " xfs", NO_ROOT], NO_ROOT),
    "a missing library": (
        [RUN, "/x: error while loading shared libraries: libfoo.so: cannot open", f"{KILLED}00007f00"],
        "/x: error while loading shared libraries: libfoo.so: cannot open",
    ),
    "an init that ends": (
        ["old", RUN, "/init: no data disk", f"{KILLED}00000300"],
        f"{KILLED}00000300 (init ended with status 3; the line before: /init: no data disk)",
    ),
    "an init that crashes": ([RUN, f"{KILLED}0000000b"], f"{KILLED}0000000b (init ended with signal 11)"),
    "no room": (
        [RUN, BUS, "Kernel panic - not syncing: Kernel mode signal 7"],
        f"{BUS} (the file system of memory_dir is full)",
    ),
    "too little memory": (
        ["Out of memory and no killable processes...", "Kernel panic - not syncing: System is deadlocked on memory"],
        "Out of memory and no killable processes... (give the instance more memory)",
    ),
    "timestamps": (
        ["[    0.10] Initramfs unpacking failed: junk", f"[    0.20] {NO_ROOT}"],
        "Initramfs unpacking failed: junk",
    ),
    "what went on in an older panic's tail": (
        ["Kernel panic - first", "Initramfs unpacking failed: junk", NO_ROOT],
        "Kernel panic - first",
    ),
    "before there is a kernel": (
        ["ERROR: ld.so: object '/x.so' from LD_PRELOAD cannot be preloaded", "x.so: cannot open"],
        "ERROR: ld.so: object '/x.so' from LD_PRELOAD cannot be preloaded",
    ),
    "no ptrace": (["check_ptrace : expected SIGSTOP, got status = 9"], "check_ptrace : expected SIGSTOP"),
    "nothing": ([], "it printed nothing"),
}


@pytest.mark.parametrize(("lines", "said"), CAUSES.values(), ids=CAUSES)
def test_the_first_cause_wins(lines: list[str], said: str) -> None:
    assert boot_failure.explain(lines).startswith(said)
