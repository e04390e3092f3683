# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the configuration file of the inventory plugin where ansible-core does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.module_utils.parsing.convert_bool import boolean

from ._inventory_hosts import check_globs, not_text

SUFFIXES = (".uml.yml", ".uml.yaml")
_TEXTS = ("uml_dir", "hostnames")
_LISTS_OF_TEXT = ("vm_host_groups", "states")
_GLOBS = ("umids", "exclude_umids")
_NUMBERS = ("forks", "timeout")
_PLUGIN = re.compile(rb"^plugin:\s*['\"]?uml\.mconsole\.instances\b", re.MULTILINE)
_ENOUGH = 65536  # bytes of a file, of which the plugin's name is at the start


def check_name(path: str) -> bool:
    """Return whether a file has a name of ours.

    :raises AnsibleParserError: when the file names this plugin, and its own name is another
    """
    if path.endswith(SUFFIXES):
        return True
    if _names_us(path):
        raise AnsibleParserError(
            f"the name of {path} ends in neither .uml.yml nor .uml.yaml, as uml.mconsole.instances expects;"
            " rename the file"
        )
    return False


def _names_us(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return _PLUGIN.search(stream.read(_ENOUGH)) is not None
    except OSError:
        return False


def check(config: Mapping[str, Any], known: Mapping[str, Any], value: Callable[[str], Any]) -> None:
    """Refuse what is wrong in a configuration; ``known`` are the options, ``value`` returns one as core reads it.

    :raises AnsibleParserError: when something is wrong
    """
    for name, given in config.items():
        if name not in known:
            raise AnsibleParserError(f"unknown option {name!r}; {_hint(str(name), known)}")
        if str(known[name].get("type")).startswith("bool") and not _is_boolean(given):
            raise AnsibleParserError(f"{name}: expected true or false, found {given!r}")  # core takes it for false
        if name in (*_TEXTS, *_LISTS_OF_TEXT, *_GLOBS):
            _check_text(name, given)
    for option in _GLOBS:
        check_globs(option, value(option))
    for option in _NUMBERS:
        if value(option) <= 0:
            raise AnsibleParserError(f"{option}: expected a number above 0, found {value(option)}")


def _check_text(name: str, given: Any) -> None:
    """Refuse what YAML did not read as text, before core makes other text of it."""
    for item in given if isinstance(given, list) else [given]:
        if not isinstance(item, (str, type(None))):
            raise AnsibleParserError(f"{name}: {not_text(item)}")


def _is_boolean(value: Any) -> bool:
    try:
        boolean(value)
    except TypeError:
        return False
    return True


def _hint(name: str, known: Iterable[str]) -> str:
    """Return which option was probably meant, or all of them."""
    near = get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"
