# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a kernel's file shows. It is read and never run, because it may belong to another user."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import struct
from typing import BinaryIO, NamedTuple, Optional, Tuple

_ELF = b"\x7fELF\x02"  # of 64 bits
_SCRIPT = b"#!"
_MACHINE_X86_64 = 62
_SEGMENT_INTERPRETER = 3
_BLOCK = 1 << 20
_MAX_PROGRAM = 256 << 20  # a kernel with all its debugging information
_LONGEST_BANNER = 512
# linux_banner (init/version.c); the number distinguishes it from a draft that is in the file as well.
_BANNER = re.compile(rb"Linux version ((\d+)\.(\d+)[^\s\0]{0,80}) [^\n\0]{0,300}?#\d+ ([ -~]{0,80})")


class KernelFile(NamedTuple):
    """A kernel's file: its release and (major, minor), None when it does not say; whether it was built for several
    CPUs; and whether it is dynamically linked, so that it can load a preload."""

    release: Optional[str] = None
    version: Optional[Tuple[int, int]] = None
    smp: Optional[bool] = None
    takes_preload: bool = True

    def is_before(self, major: int, minor: int) -> Optional[bool]:
        """Return whether the kernel is older than a release, or None when that is unknown."""
        return None if self.version is None else self.version < (major, minor)


def inspect(path: str) -> KernelFile:
    """Return what a file shows; of a script that starts a kernel, and of what cannot be read, nothing is known."""
    try:
        found = os.stat(path)
    except OSError:
        return KernelFile()
    return _inspect(path, found.st_ino, found.st_mtime_ns, found.st_size)


def is_program(path: str) -> bool:
    """Return whether the VM host can execute a file: a program or a script. One that cannot be read counts as such."""
    head = _head(path)
    return head is None or head.startswith((_ELF, _SCRIPT))


def is_script(path: str) -> bool:
    """Return whether a file is a script, which starts a kernel from another file."""
    return (_head(path) or b"").startswith(_SCRIPT)


def _head(path: str) -> Optional[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as stream:
            return stream.read(len(_ELF))
    except OSError:
        return None


@functools.lru_cache(maxsize=16)
def _inspect(path: str, *_version: int) -> KernelFile:
    with contextlib.suppress(OSError, struct.error):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as stream:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _read(stream)
    return KernelFile()


def _read(stream: BinaryIO) -> KernelFile:
    block = stream.read(_BLOCK)
    if not block.startswith(_ELF):
        return KernelFile()  # a script hands a preload on to the kernel that it starts
    takes = _is_dynamic(block)
    match = _BANNER.search(block)
    while match is None and block and stream.tell() < _MAX_PROGRAM:
        tail, block = block[-_LONGEST_BANNER:], stream.read(_BLOCK)
        match = _BANNER.search(tail + block)
    if match is None:
        return KernelFile(takes_preload=takes)
    release = match[1].decode("ascii", "replace")
    return KernelFile(release, (int(match[2]), int(match[3])), b"SMP" in match[4].split(), takes)


def _is_dynamic(data: bytes) -> bool:
    """Return whether an x86-64 program names the loader that reads LD_PRELOAD."""
    (machine,) = struct.unpack_from("<H", data, 18)
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = [data[start + index * size : start + index * size + 4] for index in range(count)]
    return machine == _MACHINE_X86_64 and struct.pack("<I", _SEGMENT_INTERPRETER) in kinds
