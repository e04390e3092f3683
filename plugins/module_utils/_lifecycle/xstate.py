# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The register shim: a preload without which kernels before 6.13 run no program on a CPU with AMX.

These kernels set a process's registers with 2,696 bytes, and such a host takes no less than its whole state. The shim
(xstate_shim.c of the role host) sets the whole in their place. A kernel needs it when the host says so, when its own
release is before 6.13, and it can take it when it is dynamically linked.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from typing import Any, Dict, List, NamedTuple, Optional

from .._mconsole import procfs
from .._mconsole.errors import NotThereError
from .kernel_file import inspect

SHIM = "xstate_shim.so"
SYSTEM_DIR = "/usr/local/lib/uml-mconsole"
USER_DIR = ".local/lib/uml-mconsole"  # in the home directory of the user that the instance runs as
_VARIABLE = "LD_PRELOAD"
_FIXED = (6, 13)  # commit 3f17fed21491
_PROBE_TIME = 10.0
# Prints what ptrace says to a buffer of the size that old kernels use: to the system call itself, and to the function
# of the C library, which a preload for all programs (/etc/ld.so.preload) may have mended already.
_PROBE = """
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = libc.syscall.restype = ctypes.c_long
class Buffer(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
state = ctypes.create_string_buffer(1 << 16)
def call(function, *words):
    result = function(*map(ctypes.c_long, words))
    return ctypes.get_errno() if result < 0 else 0
def transfer(function, number, request, length):
    buffer = Buffer(ctypes.addressof(state), length)
    failed = call(function, *number, request, child, 0x202, ctypes.addressof(buffer))
    return failed, buffer.length
child = os.fork()
if not child:
    failed = call(libc.syscall, 101, 0, 0, 0, 0)
    if not failed:
        os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(failed)
status = os.waitpid(child, 0)[1]
said = {"denied": 0 if os.WIFSTOPPED(status) else os.WEXITSTATUS(status) or 1}
if not said["denied"]:
    failed, said["size"] = transfer(libc.syscall, [101], 0x4204, len(state))
    said["refused"] = failed or transfer(libc.syscall, [101], 0x4205, 2696)[0]
    said["refused_by_library"] = failed or transfer(libc.ptrace, [], 0x4205, 2696)[0]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(json.dumps(said))
"""


class Host(NamedTuple):
    """What the VM host says: why it allows no ptrace (or nothing), the bytes of its register state, and whether
    kernels before 6.13 need the shim."""

    denied: str
    size: int
    needs_shim: bool


@functools.lru_cache(maxsize=1)
def probe() -> Host:
    """Return what the VM host says; it is asked once in the life of this process, which ends before the host does."""
    if os.uname().machine != "x86_64":
        return Host("", 0, False)
    said = _ask()
    denied = os.strerror(said["denied"]) if said.get("denied") else ""
    needed = said.get("refused") == errno.EFAULT and said.get("refused_by_library") == errno.EFAULT
    return Host(denied, said.get("size", 0), needed)


def _ask() -> Dict[str, Any]:
    """Return what the probe prints; nothing when it cannot be run."""
    command = [sys.executable or "python3", "-I", "-S", "-c", _PROBE]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValueError):
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIME, check=False
        )
        said: Dict[str, Any] = json.loads(done.stdout)
        return said
    return {}


def find(uid: int) -> Optional[str]:
    """Return the shim that an instance of a user may load: root's, or that user's own."""
    with contextlib.suppress(KeyError):
        paths = (SYSTEM_DIR, os.path.join(pwd.getpwuid(uid).pw_dir, USER_DIR))
        found = (os.path.join(path, SHIM) for path in paths)
        return next((path for path in found if _is_safe(path, uid)), None)
    return None


def _is_safe(path: str, uid: int) -> bool:
    """Return whether only root or the user can have written the file; a space or colon would end its name."""
    if re.search(r"[\s:]", path):
        return False
    try:
        found, folder = os.lstat(path), os.stat(os.path.dirname(path))
    except OSError:
        return False
    modes = (found.st_mode, folder.st_mode)
    owners = (found.st_uid, folder.st_uid)
    return (
        stat.S_ISREG(found.st_mode) and all(owner in (0, uid) for owner in owners) and not any(m & 0o022 for m in modes)
    )


def environment(program: str, given: Dict[str, str], uid: int) -> Dict[str, str]:
    """Return a kernel's environment: the given variables, with the shim exactly where that kernel needs it.

    :raises NotThereError: when it needs the shim, and can load none
    """
    entries, needed = _entries(given), _need(program)
    others = [entry for entry in entries if os.path.basename(entry) != SHIM]
    if needed is False:
        return _with_entries(given, others)
    shim = find(uid) if needed is None or inspect(program).takes_preload else None
    if shim is not None:
        return _with_entries(given, [shim, *others])
    if needed and not (inspect(program).takes_preload and any(map(os.path.exists, entries))):
        raise NotThereError(_missing(program), kernel=program, xstate_size=probe().size)
    return given


def _need(program: str) -> Optional[bool]:
    """Return whether a kernel needs the shim here, or None when its file does not say what kernel it is."""
    return inspect(program).is_before(*_FIXED) if probe().needs_shim else False


def _entries(given: Dict[str, str]) -> List[str]:
    return re.split(r"[\s:]+", given[_VARIABLE].strip()) if given.get(_VARIABLE, "").strip() else []


def _with_entries(given: Dict[str, str], entries: List[str]) -> Dict[str, str]:
    rest = {name: value for name, value in given.items() if name != _VARIABLE}
    return {**rest, _VARIABLE: ":".join(entries)} if entries else rest


def _missing(program: str) -> str:
    found = inspect(program)
    ways = "a kernel from 6.13 on, or another VM host"
    what = f"the kernel {program} ({found.release}) cannot run programs on this VM host, whose CPU state has"
    if not found.takes_preload:
        return f"{what} {probe().size} bytes, and it is statically linked, so no shim can help it; use {ways}"
    return f"{what} {probe().size} bytes; build the register shim with the role uml.mconsole.host, or use {ways}"


def is_used(pid: int) -> Optional[bool]:
    """Return whether a process has loaded a shim, ours or one of the same kind; None when that cannot be seen."""
    environ = procfs.environ(pid)
    if not environ:
        return None
    entries = [entry for entry in _entries(environ) if "\0ptrace\0" in procfs.read_text(entry)]
    mapped = procfs.read_text(f"/proc/{pid}/maps") if entries else ""
    return any(line.endswith(f" {os.path.realpath(entry)}") for line in mapped.splitlines() for entry in entries)


def describe() -> Dict[str, Any]:
    """Return what the role host asks for: whether kernels before 6.13 need the shim here, and whether it is there."""
    host = probe()
    return {"needed": host.needs_shim, "size": host.size, "shim": find(os.geteuid())}
