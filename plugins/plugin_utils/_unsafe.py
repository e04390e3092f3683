# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mark the text of a guest as data, for the ansible-cores that would template it (before 2.19)."""

from __future__ import annotations

from typing import Any

from ansible.release import __version__

NEEDED = tuple(int(part) for part in __version__.split(".")[:2]) < (2, 19)


def mark(value: Any) -> Any:
    """Return value with every string that could be a template marked unsafe; unchanged where core trusts none.

    One brace is enough: a play may join a string that ends with a brace and one that begins with a brace.
    """
    return _mark(value) if NEEDED else value


def _mark(value: Any) -> Any:
    if isinstance(value, dict):
        return {_mark(key): _mark(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mark(item) for item in value]
    if isinstance(value, str) and "{" in value:
        from ansible.utils.unsafe_proxy import wrap_var

        return wrap_var(value)
    return value
