# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pack the layers of the local client as the program that runs on a VM host."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import json
import os
import pathlib
from types import ModuleType
from typing import Any

LAYERS = (
    "_mconsole",
    "_program",
    "_task",
    "_files",
    "_journal",
    "_guest",
    "_guest_shell",
    "_devices",
    "_facts",
    "_lifecycle",
    "_backup",
    "_metrics",
    "_collector",
    "_operations",
    "_client",
)
_ENTRY = "_client.main"
_SOURCE = pathlib.Path(__file__).resolve().parent.parent / "module_utils"


def _load_bundle() -> ModuleType:
    """Return `_program/bundle.py`, loaded by its path: a rulebook cannot import the collection's packages."""
    spec = importlib.util.spec_from_file_location("uml_mconsole_bundle", _SOURCE / "_program" / "bundle.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load bundle.py from {_SOURCE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bundle = _load_bundle()
PACKAGE: str = bundle.PACKAGE
_OLD = "sys.version_info<(3,8) and sys.exit('Python 3.8 or later is needed, this is '+sys.version.split()[0])"

# The first words on a VM host, for sh -c: one takes the program from its stdin, the other from the first connection
# to the listening socket that is its stdin, and checks that the user who made it listen has made the connection.
STUB = f"import sys,zlib;{_OLD};s=sys.stdin.buffer;{bundle.RUN}"
LISTENING_STUB = (
    f"import socket,sys,zlib;{_OLD};u=lambda x:x.getsockopt(socket.SOL_SOCKET,socket.SO_PEERCRED,12)[4:8];"
    f"l=socket.socket(fileno=0);c=l.accept()[0];u(c)==u(l) or sys.exit('a stranger came');"
    f"s=c.makefile('rb');l.detach();{bundle.RUN}"
)
_FILE = """\
#!/usr/bin/env python3
# The local client of the Ansible collection uml.mconsole, as one file. Written by Ansible; changes are lost.
# Usage: python3 FILE ORDER, where ORDER is a JSON object or the path of a file that holds one.
import base64, io, sys, zlib
{old}
order = sys.argv[1] if sys.argv[1].startswith("{{") else open(sys.argv[1], encoding="utf-8").read()
stream = io.BytesIO(order.replace(chr(10), " ").encode("utf-8") + b"\\n")
blob = base64.b64decode("{blob}")
exec(compile(zlib.decompress(blob), "boot", "exec"), dict(BLOB=blob, STREAM=stream))
"""


def sources() -> dict[str, str]:
    """Return {module name: source} of all that travels."""
    found = {PACKAGE: ""}
    for layer in LAYERS:
        for path in sorted((_SOURCE / layer).glob("*.py")):
            name = f"{PACKAGE}.{layer}" if path.stem == "__init__" else f"{PACKAGE}.{layer}.{path.stem}"
            found[name] = path.read_text(encoding="utf-8")
    return found


@functools.cache
def blob() -> bytes:
    """Return the program: the bootstrap code with all sources in front of it, compressed."""
    return bundle.program(sources(), _ENTRY)


@functools.cache
def code() -> str:
    """Return the hash of the program, which its sockets carry in their names."""
    return bundle.digest_of(sources())


@functools.cache
def signature() -> str:
    """Return a digest that changes with the program, without reading it: of names, sizes and times of its files."""
    digest = hashlib.sha256(str(_SOURCE).encode())
    for layer in LAYERS:
        with os.scandir(_SOURCE / layer) as entries:
            for entry in sorted(entries, key=lambda found: found.name):
                if entry.name.endswith(".py"):
                    found = entry.stat()
                    digest.update(f"{entry.name} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def program_file() -> str:
    """Return the program as the text of one Python file, for a VM host that runs it without a controller.

    ``python3 FILE ORDER`` carries out an order, which is a JSON object or the path of a file that holds one.
    """
    return _FILE.format(old=_OLD, blob=base64.b64encode(blob()).decode("ascii"))


def program(order: dict[str, Any]) -> bytes:
    """Return the input of the stub: the program and its order."""
    return b"%d\n" % len(blob()) + blob() + json.dumps(order).encode("ascii") + b"\n"
