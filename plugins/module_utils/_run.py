# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The edge between an operation and Ansible's module machinery: the only target code that knows AnsibleModule."""

from __future__ import annotations

from types import ModuleType

from ansible.module_utils.basic import AnsibleModule

from ._arguments import argument_spec
from ._operations.perform import perform


def run_module(operation: ModuleType) -> None:
    """Run the module of an operation: parse, run, report."""
    module = AnsibleModule(supports_check_mode=True, **argument_spec(operation))
    result = perform(operation, module.params, module.check_mode, origin={"no_log": bool(module.no_log)})
    for text in result.pop("warnings", ()):
        module.warn(text)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
