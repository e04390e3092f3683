# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A kernel that is given as a script: the process shows the program that the script executes, so we note the script."""

from __future__ import annotations

from typing import Dict, Mapping, Optional

from . import kernel_file

VARIABLE = "UML_MCONSOLE_KERNEL"  # in the kernel's environment on the VM host, which its guest does not see


def mark(environment: Mapping[str, str], program: str) -> Dict[str, str]:
    """Return an environment that names the script by which a kernel is started, and nothing where it is a program."""
    found = {name: value for name, value in environment.items() if name != VARIABLE}
    return {**found, VARIABLE: program} if kernel_file.is_script(program) else found


def of(environment: Mapping[str, str]) -> Optional[str]:
    """Return the script that the environment of a running kernel names, or None."""
    return environment.get(VARIABLE)
