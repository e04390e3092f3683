# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The operations: one file each, with ``SCOPE``, ``ARGUMENTS``, ``CONSTRAINTS`` and ``run(task)``.

``SCOPE`` is what one run is about: ``console``, an instance that must exist; ``name``, a umid that need not exist;
``fleet``, all instances of the VM host; ``host``, the VM host alone, without any console and so without ``commands``.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Dict

NAMES = (
    "collector",
    "console_log_info",
    "cow",
    "device",
    "devices",
    "disk_backup",
    "event_info",
    "event_wait",
    "image",
    "instance",
    "instance_facts",
    "instance_info",
    "job",
    "kernel_log",
    "memory",
    "proc_info",
    "request",
    "snapshot",
    "snapshot_info",
    "stack_info",
    "sysrq",
)


def load(name: str) -> ModuleType:
    """Return the operation of that name.

    :raises KeyError: when there is no such operation
    """
    if name not in NAMES:
        raise KeyError(name)
    return importlib.import_module(f".{name}", __package__)


def changes(operation: ModuleType, params: Dict[str, Any]) -> bool:
    """Return whether an operation may change its instance; one without a function ``changes`` only reads."""
    return bool(getattr(operation, "changes", lambda _params: False)(params))
