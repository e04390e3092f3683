# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls that Python has no name for, made on processes of the VM host."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import socket
import struct
from typing import Any, Iterator, Optional

from . import procfs

_PIDFD_OPEN = 434  # system calls: the same numbers on every architecture
_PIDFD_GETFD = 438
_SO_SNDBUFFORCE = 32
_PIDFD_INFO_SIZE = 64  # struct pidfd_info as it first was (linux/pidfd.h): mask, cgroup, twelve numbers, exit code last
_PIDFD_GET_INFO = 0xC000FF0B | _PIDFD_INFO_SIZE << 16
_PIDFD_INFO_EXIT = 1 << 3
_ADDR_NO_RANDOMIZE = 0x0040000  # linux/personality.h
_WHICH = 0xFFFFFFFF


def widen(pid: int, descriptor: int, size: int) -> Optional[int]:
    """Let a process's socket have ``size`` bytes under way; return what it may have, or None when it is not ours.

    A kernel's datagrams count against its own send buffer until they are read, and what does not fit is dropped.
    Root may set any size, its owner up to net.core.wmem_max; it holds until the instance makes its socket again.
    """
    try:
        with _borrowed(pid, descriptor) as sock:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < size:
                option = _SO_SNDBUFFORCE if os.geteuid() == 0 else socket.SO_SNDBUF
                sock.setsockopt(socket.SOL_SOCKET, option, size // 2)  # the host doubles it
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    except OSError:
        return None


@contextlib.contextmanager
def _borrowed(pid: int, descriptor: int) -> Iterator[socket.socket]:
    """Yield a duplicate of a process's own socket; os.pidfd_open exists from Python 3.9, pidfd_getfd in no Python.

    :raises OSError: when the host (before Linux 5.6) or its rules do not allow it
    """
    handle = _system_call(_PIDFD_OPEN, pid, 0)
    try:
        with socket.socket(fileno=_system_call(_PIDFD_GETFD, handle, descriptor, 0)) as sock:
            yield sock
    finally:
        os.close(handle)


def _system_call(number: int, *arguments: int) -> int:
    """Make a system call that Python has no name for; it returns a descriptor that no child inherits."""
    import ctypes

    result: int = _libc().syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


@functools.lru_cache(maxsize=None)
def _libc() -> Any:
    """Return the C library; to open it again each time took a fifth of the time of reading a guest's file."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def fixed_addresses() -> Iterator[bool]:
    """Give what this thread starts fixed addresses (personality(2)); yield whether the host allows that.

    A UML kernel counts the random gap before its heap as its own memory, up to 1 GB of it, and takes the page
    accounting for it from the memory that it has; 6.1 fails to make threads when it has little. Newer kernels do the
    same for themselves (arch/um/os-Linux/main.c, as of 7.2).
    """
    before = _libc().personality(_WHICH)
    allowed = before != -1 and _libc().personality(before | _ADDR_NO_RANDOMIZE) != -1
    try:
        yield allowed
    finally:
        if before != -1:
            _libc().personality(before)


def pidfd(pid: int) -> Optional[int]:
    """Return a descriptor that becomes readable when the process ends, or None when the host has no such descriptor."""
    try:
        return _system_call(_PIDFD_OPEN, pid, 0)
    except OSError:
        return None


def exit_status(handle: int, pid: int) -> Optional[int]:
    """Return how a process ended, by the descriptor that was open before: its status, or minus its signal.

    None where it is not available: before Linux 6.15 the host keeps no status of a process that was not our child.
    """
    info = bytearray(struct.pack("=Q", _PIDFD_INFO_EXIT) + bytes(_PIDFD_INFO_SIZE - 8))
    with contextlib.suppress(OSError):
        fcntl.ioctl(handle, _PIDFD_GET_INFO, info)
        if struct.unpack_from("=Q", info)[0] & _PIDFD_INFO_EXIT:
            return _ended(struct.unpack_from("=i", info, _PIDFD_INFO_SIZE - 4)[0])
    words = procfs.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return _ended(int(words[49])) if words and words[0] == "Z" else None


def _ended(code: int) -> int:
    """Return what a wait status means."""
    return -(code & 0x7F) if code & 0x7F else code >> 8
