# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load once what every task needs.

ansible-core runs each task of each host in a new process. Before it starts these, a strategy loads the class of the
task's action, so all that is loaded here is there in each of them. The inventory plugin runs early enough as well. A
process that has to load it itself does so. Core keeps no compiled code of collections, so a connection costs it 50 ms.
"""

from __future__ import annotations

import contextlib
import functools

from ansible.plugins.loader import connection_loader, shell_loader

from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry

from . import _program

CONNECTION = "uml.mconsole.mconsole"


def preload(operation: str) -> None:
    """Load an operation and what :func:`preload_connection` does."""
    with contextlib.suppress(Exception):
        registry.load(operation)
    preload_connection(CONNECTION)


@functools.cache
def preload_connection(name: str) -> None:
    """Load a connection with the documentation of its options, and the signature of the program."""
    with contextlib.suppress(Exception):
        _program.signature()
        connection_loader.get(name, class_only=True)
        shell_loader.get("sh", class_only=True)
