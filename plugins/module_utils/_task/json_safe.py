# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Results as JSON can carry them."""

from __future__ import annotations

from typing import Any


def json_safe(value: Any) -> Any:
    """Return a result in which bytes that are not UTF-8 have become U+FFFD.

    Inside, they travel as surrogates, so that a command or a path goes back to the kernel as it came; ansible-core
    2.19 and later fail the whole task for one surrogate.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {json_safe(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value
