# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Collect this program's own source, to start a process that outlives this one.

A module runs from a temporary archive and the local client from memory. Both are gone before a collector ends, so a
collector is given its code.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import zlib
from typing import Any, Dict, Iterator, List, Set

PACKAGE = "uml_mconsole"  # its name where it runs from memory
# Its name here. Python 3.8 and 3.9 give a module of an archive its __package__ after it was imported.
_ROOT = __name__.rpartition(".")[0].rpartition(".")[0]
_BOOTSTRAP = "_program.bootstrap"
_MARKER = "from __future__ import annotations\n"
# What runs the program: with the stream that it comes from in `s`, or with that being the stdin.
RUN = "b=s.read(int(s.readline()));exec(compile(zlib.decompress(b),'boot','exec'),dict(BLOB=b,STREAM=s))"
STUB = f"import sys,zlib;s=sys.stdin.buffer;{RUN}"


@functools.lru_cache(maxsize=None)
def sources(entry: str) -> Dict[str, str]:
    """Return {module name: source} of a program and of all that it imports of this collection.

    ``entry`` is the module whose ``main`` is run, as `_client.main`.
    """
    found: Dict[str, str] = {}
    waiting: List[str] = [_BOOTSTRAP, entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source(name)
            waiting += [*_parents(name), *_imports(name, found[name])]
    return {f"{PACKAGE}.{name}" if name else PACKAGE: found[name] for name in sorted(found)}


@functools.lru_cache(maxsize=None)
def digest(entry: str) -> str:
    """Return the hash of a program, which differs between versions."""
    return digest_of(sources(entry))


def digest_of(pack: Dict[str, str]) -> str:
    """Return the hash of sources, 16 hexadecimal digits."""
    return hashlib.sha256(repr(pack).encode("utf-8")).hexdigest()[:16]


def program(pack: Dict[str, str], entry: str) -> bytes:
    """Return a program as the stub takes it: the bootstrap code with all sources in front of it, compressed."""
    globals_of_program = f"PACK = {pack!r}\nENTRY = {entry!r}\n"
    boot = pack[f"{PACKAGE}.{_BOOTSTRAP}"].replace(_MARKER, f"{_MARKER}{globals_of_program}", 1)
    return zlib.compress(boot.encode("utf-8"), 6)


def _source(name: str) -> str:
    """Return a module's source from its loader: a file, an archive, the pack, or Ansible (as bytes)."""
    spec = importlib.util.find_spec(f"{_ROOT}.{name}" if name else _ROOT)
    get: Any = getattr(spec.loader, "get_source", None) if spec is not None else None
    found = get(spec.name) if get is not None and spec is not None else None
    return found.decode("utf-8") if isinstance(found, bytes) else found or ""


def _parents(name: str) -> Iterator[str]:
    while name:
        name = name.rpartition(".")[0]
        yield name


def _imports(name: str, source: str) -> Set[str]:
    """Return the modules that a source names in relative imports."""
    found: Set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join([*name.split(".")[: -node.level], *(node.module or "").split(".")]).strip(".")
            inside = [f"{base}.{alias.name}".strip(".") for alias in node.names]
            modules = [name for name in inside if _is_module(name)]
            found.update(modules or [base])
    return found


def _is_module(name: str) -> bool:
    """Return whether a name is a module of ours, and not something in one."""
    try:
        return importlib.util.find_spec(f"{_ROOT}.{name}") is not None
    except ModuleNotFoundError:
        return False
