# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The operations: one file each, with ``SCOPE``, ``ARGUMENTS``, ``CONSTRAINTS`` and ``run(task)``.

``SCOPE`` says what one run is about: ``console``, an instance that must be there; ``name``, a umid that need not be;
``host``, the VM host as a whole.
"""

from __future__ import annotations

import importlib
from types import ModuleType

NAMES = (
    "collector",
    "cow",
    "device",
    "devices",
    "disk_backup",
    "event_info",
    "event_wait",
    "instance",
    "instance_facts",
    "instance_info",
    "kernel_log",
    "memory",
    "proc_info",
    "request",
    "stack_info",
    "sysrq",
)


def load(name: str) -> ModuleType:
    """Return the operation of that name.

    :raises KeyError: when there is none
    """
    if name not in NAMES:
        raise KeyError(name)
    return importlib.import_module(f".{name}", __package__)
