# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The program that this process is, as text: what a process of ours that outlives us is started from.

A module is run from a temporary archive, the local client from memory; both go before a collector does, so it takes its
code along.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import zlib
from typing import Any, Dict, Iterator, List, Set

_PACKAGE = "uml_mconsole"  # as it calls itself when it is carried
# As it is called here. Python 3.8 and 3.9 give a module of an archive its __package__ after it was imported.
_ROOT = __name__.rpartition(".")[0].rpartition(".")[0]
_FIRST = ("_client.boot", "_client.main", "_client.collect")
STUB = (
    "import sys,zlib;s=sys.stdin.buffer;b=s.read(int(s.readline()));"
    "exec(compile(zlib.decompress(b),'boot','exec'),dict(BLOB=b,STREAM=s))"
)


@functools.lru_cache(maxsize=None)
def sources() -> Dict[str, str]:
    """Return {module name: source} of the program and all that it imports of ours."""
    found: Dict[str, str] = {}
    waiting: List[str] = list(_FIRST)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source(name)
            waiting += [*_parents(name), *_imports(name, found[name])]
    return {f"{_PACKAGE}.{name}" if name else _PACKAGE: found[name] for name in sorted(found)}


@functools.lru_cache(maxsize=None)
def code() -> str:
    """Return the hash of the program, by which a newer one is told from an older one."""
    return hashlib.sha256(repr(sources()).encode("utf-8")).hexdigest()[:16]


def blob() -> bytes:
    """Return the program as the stub takes it: the boot code with all sources in front of it, compressed."""
    pack = sources()
    marker = "from __future__ import annotations\n"
    boot = pack[f"{_PACKAGE}._client.boot"].replace(marker, f"{marker}PACK = {pack!r}\n", 1)
    return zlib.compress(boot.encode("utf-8"), 6)


def _source(name: str) -> str:
    """Return a module's source from whatever has loaded it: a file, an archive, the pack, or Ansible (as bytes)."""
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
            modules = [each for each in inside if _is_module(each)]
            found.update(modules or [base])
    return found


def _is_module(name: str) -> bool:
    """Tell whether a name is a module of ours, and not something in one."""
    try:
        return importlib.util.find_spec(f"{_ROOT}.{name}") is not None
    except ModuleNotFoundError:
        return False
