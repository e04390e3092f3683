# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The argument spec of each module: the operation's own arguments beside those that all share."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ansible.module_utils.basic import env_fallback

from ._task.task import COMMON_ARGUMENTS

ENVIRONMENT = {"umid": "UML_MCONSOLE_UMID", "uml_dir": "UML_MCONSOLE_DIR", "timeout": "UML_MCONSOLE_TIMEOUT"}


def argument_spec(operation: ModuleType) -> dict[str, Any]:
    """Return the keyword arguments of AnsibleModule for an operation.

    A variable of the environment stands in for the instance when gather_facts runs a module on an instance host.
    """
    shared = {
        name: {**spec, "fallback": (env_fallback, [ENVIRONMENT[name]])} if name in ENVIRONMENT else dict(spec)
        for name, spec in COMMON_ARGUMENTS.items()
    }
    constraints = dict(operation.CONSTRAINTS)
    constraints["mutually_exclusive"] = [("umid", "umids"), *constraints.get("mutually_exclusive", ())]
    return {"argument_spec": {**shared, **operation.ARGUMENTS}, **constraints}
