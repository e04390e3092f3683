# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The VM host itself: how much of it there is, and how busy it is."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Optional

from .._guest import parsers
from .._mconsole import procfs


def describe_vm_host() -> Dict[str, Any]:
    """Return the VM host's name, processors, memory in bytes, and load; None for what /proc does not show."""
    memory = procfs.read_text("/proc/meminfo")
    return {
        "name": os.uname().nodename,
        "cpus": os.cpu_count(),
        "memory": _bytes(memory, "MemTotal"),
        "memory_available": _bytes(memory, "MemAvailable"),
        "loadavg": parsers.loadavg(procfs.read_text("/proc/loadavg")).get("loadavg"),
    }


def _bytes(text: str, name: str) -> Optional[int]:
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) << 10 if match else None
