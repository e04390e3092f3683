# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give core the options of a connection before it reads them from the documentation.

The process of each task that loads a connection parses its documentation, with all options of ssh. Core's loader keeps
where each text of it stands, which takes 40 ms; the C loader of PyYAML takes 5. Where this module defines nothing, core
reads the documentation itself. So a core that changes costs time and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml
from ansible import constants as C
from ansible.plugins.loader import fragment_loader

Options = dict[str, dict[str, Any]]


def register(name: str, documentation: str) -> None:
    """Define the options of the connection whose module has that name, as core calls it."""
    with contextlib.suppress(Exception):
        found = options(documentation)
        if "{{" not in str([keys.get("default") for keys in found.values()]):  # core alone can say that it is trusted
            C.config.initialize_plugin_configuration_definitions("connection", name, found)


def options(documentation: str) -> Options:
    """Return the options of a documentation and its fragments; an option's own keys win over those of a fragment."""
    found: Options = {}
    for text in reversed(list(_texts(documentation))):
        for option, keys in (_load(text).get("options") or {}).items():
            found[option] = {**found.get(option, {}), **keys}
    return found


def _texts(documentation: str) -> Iterator[str]:
    yield documentation
    for fragment in _load(documentation).get("extends_documentation_fragment", []):
        yield fragment_loader.get(fragment).DOCUMENTATION


def _load(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded
