# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pack floors 0 to 3 as the program that runs on a VM host."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import pathlib
import zlib
from typing import Any

PACKAGE = "uml_mconsole"
FLOORS = ("_mconsole", "_model", "_lifecycle", "_events", "_operations", "_client")
_SOURCE = pathlib.Path(__file__).resolve().parent.parent / "module_utils"
_OLD = "sys.version_info<(3,8) and sys.exit('Python 3.8 or later is needed, this is '+sys.version.split()[0])"
_RUN = "b=s.read(int(s.readline()));exec(compile(zlib.decompress(b),'boot','exec'),dict(BLOB=b,STREAM=s))"

# The first words on a VM host, for sh -c: one takes the program from its stdin, the other from the first connection
# to the listening socket that is its stdin, which is to be of the user who made that listen.
STUB = f"import sys,zlib;{_OLD};s=sys.stdin.buffer;{_RUN}"
LISTENING_STUB = (
    f"import socket,sys,zlib;{_OLD};u=lambda x:x.getsockopt(socket.SOL_SOCKET,socket.SO_PEERCRED,12)[4:8];"
    f"l=socket.socket(fileno=0);c=l.accept()[0];u(c)==u(l) or sys.exit('a stranger came');"
    f"s=c.makefile('rb');l.detach();{_RUN}"
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
    for floor in FLOORS:
        for path in sorted((_SOURCE / floor).glob("*.py")):
            name = f"{PACKAGE}.{floor}" if path.stem == "__init__" else f"{PACKAGE}.{floor}.{path.stem}"
            found[name] = path.read_text(encoding="utf-8")
    return found


@functools.cache
def blob() -> bytes:
    """Return the program: the boot code with all sources in front of it, compressed."""
    pack = sources()
    boot = pack[f"{PACKAGE}._client.boot"].replace(
        "from __future__ import annotations\n", f"from __future__ import annotations\nPACK = {pack!r}\n", 1
    )
    return zlib.compress(boot.encode("utf-8"), 6)


@functools.cache
def code() -> str:
    """Return the hash of the program, which its sockets carry in their names."""
    return hashlib.sha256(repr(sources()).encode("utf-8")).hexdigest()[:16]


def signature() -> str:
    """Return what changes whenever the program does, without reading it: names, sizes and times of its files."""
    digest = hashlib.sha256(str(_SOURCE).encode())
    for floor in FLOORS:
        with os.scandir(_SOURCE / floor) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.name.endswith(".py"):
                    found = entry.stat()
                    digest.update(f"{entry.name} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def program_file() -> str:
    """Return the program as the text of one Python file, for a VM host that runs it without a controller.

    ``python3 FILE ORDER`` does an order, which is a JSON object or the path of a file that holds one.
    """
    return _FILE.format(old=_OLD, blob=base64.b64encode(blob()).decode("ascii"))


def program(order: dict[str, Any]) -> bytes:
    """Return what goes to the stub's stdin: the program and the order that it is to do."""
    return b"%d\n" % len(blob()) + blob() + json.dumps(order).encode("ascii") + b"\n"
