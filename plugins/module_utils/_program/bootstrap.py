# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""First code of a program that runs from memory: makes its modules importable without writing a file.

``PACK`` (module name -> source) and ``ENTRY`` (the module whose ``main`` is run) stand before this text. The stub that
runs it sets the globals ``BLOB`` (this text, compressed) and ``STREAM`` (where one JSON line follows, the order).
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Dict, Optional

PACK: Dict[str, str] = globals().get("PACK", {})
BLOB = globals().get("BLOB", b"")
STREAM = globals().get("STREAM")
ENTRY: str = globals().get("ENTRY", "")


class Pack(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads the modules of the pack."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return the spec of a packed module, or None."""
        if fullname not in PACK:
            return None
        is_package = any(name.startswith(fullname + ".") for name in PACK)
        return importlib.util.spec_from_loader(fullname, self, origin=fullname, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        """Run a packed module."""
        exec(compile(PACK[module.__name__], f"<{module.__name__}>", "exec"), module.__dict__)  # noqa: S102 - this is an importer

    def get_source(self, fullname: str) -> Optional[str]:
        """Return a packed module's source, for tracebacks."""
        return PACK.get(fullname)


if PACK:
    sys.meta_path.insert(0, Pack())
    importlib.import_module(f"uml_mconsole.{ENTRY}").main(BLOB, STREAM)
