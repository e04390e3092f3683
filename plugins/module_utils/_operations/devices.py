# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The devices of an instance in one transaction: all of them, or none."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

from .._devices import transaction, unlisted
from .._devices.classes import find
from .._devices.spec import DeviceSpec, parse_spec, report
from .._mconsole.errors import InputError
from .._task.task import Task
from .device import ARGUMENTS as ARGUMENTS_OF_ONE
from .device import OPTIONS, WHOLE

SCOPE = "console"

ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "config": {"type": "dict", "required": True},
    "state": {"type": "str", "choices": ["merged", "overridden"], "default": "merged"},
    "classes": {"type": "list", "elements": "str", "choices": list(unlisted.REMOVABLE)},
    "force": {"type": "bool", "default": False},
    "resume": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def run(task: Task) -> Dict[str, Any]:
    """Bring all devices to their states; see the module's documentation."""
    params = task.params
    specs = parse(params["config"])
    more = None
    if params["state"] == "overridden":
        more = unlisted.UnlistedDevices(specs, params["classes"] or unlisted.REMOVABLE)
    result = transaction.run(task, specs, force=params["force"], resume=params["resume"], more=more)
    after, outcomes = result["diff"]["after"], result.pop("devices")
    doubts = [f"{name}: {each['reason']}" for name, each in outcomes.items() if not each["verified"]]
    return {
        **result,
        "plan": result["commands"],
        "verified": not doubts,
        "reason": "; ".join(doubts),
        "devices": {name: {**report(find(name), after[name]), **each} for name, each in outcomes.items()},
        "kept": more.kept if more is not None else {},
    }


def parse(config: Mapping[str, Any]) -> List[DeviceSpec]:
    """Return the wishes in ``{name: setting or options}``.

    :raises InputError: when a device is named twice, or an option is unknown or of a wrong type
    """
    specs: Dict[str, DeviceSpec] = {}
    for name, spec in config.items():
        each = parse_spec(str(name), options(str(name), spec))
        if each.name.text in specs:
            raise InputError(f"{each.name.text} is named twice in config, the second time as {name!r}")
        specs[each.name.text] = each
    return list(specs.values())


def options(name: str, spec: Any) -> Dict[str, Any]:
    """Return the options of one device: a text is its ``config``, nothing means that it shall be there as it is.

    :raises InputError: when it is neither that nor a dict of known options
    """
    if spec is None or isinstance(spec, str):
        return {"config": spec}
    if not isinstance(spec, Mapping):
        raise InputError(f"config.{name} is {spec!r}; expected a text or a dict of options")
    known = {**OPTIONS, "state": ARGUMENTS_OF_ONE["state"]}
    unknown = sorted(set(spec) - set(known), key=str)
    if unknown:
        raise InputError(
            f"config.{name} has unknown options: {', '.join(map(str, unknown))}; known: {', '.join(known)}"
        )
    given = {key: typed(f"config.{name}.{key}", value, known[key]) for key, value in spec.items() if value is not None}
    both = [option for option in WHOLE if "config" in given and option in given]
    if both:
        raise InputError(f"config.{name} has both config and {', '.join(both)}; config says all of it")
    return given


def typed(where: str, value: Any, spec: Mapping[str, Any]) -> Any:
    """Return a value of the type that its option has; a dict within a dict is not checked by Ansible.

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
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() else None


def _flag(value: Any) -> Any:
    return _WORDS.get(str(value).lower())


_CONVERTERS: Dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _number,
    "bool": _flag,
    "dict": lambda value: dict(value) if isinstance(value, Mapping) else None,
}
_EXPECTED = {"str": "a text", "int": "a number", "bool": "true or false", "dict": "a dict"}
