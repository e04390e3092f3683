# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the arguments of a task before anything is sent, with the same messages over every connection."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.uml.mconsole.plugins.module_utils import _arguments
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from ansible_collections.uml.mconsole.plugins.module_utils._task.task import COMMON_ARGUMENTS

from . import _identity

TIMEOUT: float = COMMON_ARGUMENTS["timeout"]["default"]


def check(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse options that the module does not have, and umids that are not text.

    :raises AnsibleError: then
    """
    spec = _arguments.argument_spec(registry.load(name))["argument_spec"]
    aliases = {alias for option in spec.values() for alias in option.get("aliases", ())}
    for option in _given(arguments):
        if option not in spec and option not in aliases:
            raise AnsibleError(f"uml.mconsole.{name} has no option {option!r}; {_hint(option, [*spec, *aliases])}")
    _identity.check_named(arguments)


def validate(name: str, arguments: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Return the parameters of an operation from the arguments of its task; timeout is the default of its timeout.

    :raises AnsibleError: when the arguments do not fit
    """
    check(name, arguments)
    keywords = _arguments.argument_spec(registry.load(name))
    spec: dict[str, Any] = {key: _without_fallback(option) for key, option in keywords.pop("argument_spec").items()}
    if "timeout" not in registry.load(name).ARGUMENTS:
        spec["timeout"] = {"type": "float", "default": timeout}
    found = ArgumentSpecValidator(spec, **keywords).validate({key: arguments[key] for key in _given(arguments)})
    if found.error_messages:
        raise AnsibleError(found.error_messages[0])
    parameters: dict[str, Any] = found.validated_parameters
    return parameters


def _given(arguments: Mapping[str, Any]) -> list[str]:
    """Return the names of the options that a user gave; core adds its own."""
    return [option for option in arguments if not option.startswith("_ansible_")]


def _without_fallback(option: Mapping[str, Any]) -> dict[str, Any]:
    """Return an option that takes nothing from the environment, which on a controller is not the VM host's."""
    return {key: value for key, value in option.items() if key != "fallback"}


def _hint(option: str, known: Iterable[str]) -> str:
    options = sorted(known)
    close = difflib.get_close_matches(option, options, n=1)
    return f"did you mean {close[0]!r}?" if close else f"its options are {', '.join(options)}"
