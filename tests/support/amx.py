# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPUs with AMX: the register shim, a double of a host that needs it, and a program that watches its registers."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from support.paths import CACHE, CHECKOUT

SHIM = CHECKOUT / "roles" / "host" / "files" / "xstate_shim.c"
DOUBLE = Path(__file__).with_name("amx_double.c")
REGISTERS = Path(__file__).with_name("avx_registers.c")
INSTALLED = Path("/usr/local/lib/uml-mconsole/xstate_shim.so")  # by tools/setup, where the machine itself needs it
SHARED, STATIC = ("-shared", "-fPIC"), ("-static", "-mavx", "-fno-pie", "-no-pie", "-fno-stack-protector")
FOLDER = CACHE / "amx"


def by_hand() -> dict[str, str]:
    """Return the environment of a kernel that is started by hand on this machine."""
    return {"LD_PRELOAD": str(INSTALLED)} if INSTALLED.exists() else {}


def shim() -> Path:
    """Return the register shim."""
    return _built(SHIM, *SHARED)


def double() -> Path:
    """Return the preload that makes any VM host one whose CPU has AMX."""
    return _built(DOUBLE, *SHARED)


def registers() -> Path:
    """Return the guest program that watches its registers; see its source."""
    return _built(REGISTERS, *STATIC)


def _built(source: Path, *options: str) -> Path:
    """Compile once per content; a rename makes concurrent builders harmless."""
    target = FOLDER / f"{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-nostdlib", *options, "-o", draft, source], check=True)
        draft.rename(target)
    return target
