# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of one device as a user writes them in a dictionary, whose values Ansible does not convert."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from .._mconsole.errors import InputError

OPTIONS: Dict[str, Dict[str, Any]] = {
    "config": {"type": "str"},
    "file": {"type": "str"},
    "backing_file": {"type": "str"},
    "read_only": {"type": "bool"},
    "synchronous": {"type": "bool"},
    "shared": {"type": "bool"},
    "discard": {"type": "bool"},
    "raw": {"type": "bool"},
    "serial": {"type": "str"},
    "channel": {"type": "str"},
    "fd": {"type": "int"},
    "tty": {"type": "str"},
    "port": {"type": "int"},
    "output": {"type": "str"},
    "transport": {"type": "str"},
    "ifname": {"type": "str"},
    "mac": {"type": "str"},
    "settings": {"type": "dict"},
    "socket": {"type": "str"},
    "virtio_id": {"type": "int"},
}
STATE: Dict[str, Any] = {"type": "str", "choices": ["present", "absent"], "default": "present"}
# What ``config`` already sets; only the flags of a disk may stand beside it.
WHOLE = [
    option for option in OPTIONS if option not in ("config", "read_only", "synchronous", "shared", "discard", "raw")
]
_BOOLEANS = {  # as ansible.module_utils.parsing.convert_bool has them
    **dict.fromkeys(("y", "yes", "on", "1", "true", "t", "1.0"), True),
    **dict.fromkeys(("n", "no", "off", "0", "false", "f", "0.0"), False),
}


def convert(where: str, setting: Any) -> Dict[str, Any]:
    """Return the options of one device, each of its type; a text is its ``config``, null means no options.

    ``where`` names the place in the task, such as ``config.ubd1``.

    :raises InputError: when the setting is neither, or holds something that is not an option or not of its type
    """
    if setting is None or isinstance(setting, str):
        return {"config": setting}
    if not isinstance(setting, Mapping):
        raise InputError(f"{where} is {setting!r}; expected a text or a dictionary of options")
    known = {**OPTIONS, "state": STATE}
    unknown = sorted(set(setting) - set(known), key=str)
    if unknown:
        raise InputError(f"{where} has unknown options: {', '.join(map(str, unknown))}; expected {', '.join(known)}")
    given = {key: _typed(f"{where}.{key}", value, known[key]) for key, value in setting.items() if value is not None}
    both = [option for option in WHOLE if "config" in given and option in given]
    if both:
        raise InputError(f"{where} has config and {', '.join(both)}; config already sets all of it")
    return given


def _typed(where: str, value: Any, spec: Mapping[str, Any]) -> Any:
    """Return a value of the type that its option has.

    :raises InputError: when it is of another
    """
    kind = spec["type"]
    converted = _CONVERTERS[kind](value)
    if converted is None or converted not in spec.get("choices", [converted]):
        expected = f"one of {', '.join(spec['choices'])}" if "choices" in spec else _EXPECTED[kind]
        raise InputError(f"{where} is {value!r}; expected {expected}")
    return converted


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _number(value: Any) -> Any:
    text = str(value)
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) < 20 else None


def _flag(value: Any) -> Any:
    return _BOOLEANS.get(str(value).lower())


_CONVERTERS: Dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _number,
    "bool": _flag,
    "dict": lambda value: dict(value) if isinstance(value, Mapping) else None,
}
_EXPECTED = {"str": "a text", "int": "a number", "bool": "true or false", "dict": "a dictionary"}
