# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run an operation as its module would, in this process: arguments validated by Ansible, result as returned."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.uml.mconsole.plugins.module_utils._arguments import argument_spec
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from ansible_collections.uml.mconsole.plugins.module_utils._operations.perform import perform
from ansible_collections.uml.mconsole.plugins.module_utils._operations.registry import load


class BadArguments(AssertionError):
    """Ansible's own validation refused the arguments."""


def validated(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with defaults and types as the module would see them."""
    spec = dict(argument_spec(load(name)))
    arguments = spec.pop("argument_spec")
    result = ArgumentSpecValidator(arguments, **spec).validate(params)
    if result.error_messages:
        raise BadArguments("; ".join(result.error_messages))
    return result.validated_parameters


def operate(
    operation: str, check: bool = False, sockets: ReplySockets | None = None, /, **params: Any
) -> dict[str, Any]:
    """Return the result of an operation; many in a row are faster with shared sockets."""
    ours = sockets or ReplySockets()
    try:
        return perform(load(operation), validated(operation, params), check, ours)
    finally:
        if sockets is None:
            ours.close()
