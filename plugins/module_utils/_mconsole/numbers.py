# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Numbers in texts that a guest may have written."""

from __future__ import annotations

import math
from typing import Optional

_LONGEST = 24  # characters; a kernel's numbers have 20 digits at most, and Python itself refuses thousands


def whole(text: Optional[str], base: int = 10) -> Optional[int]:
    """Return the whole number that a text is, or None."""
    if text is None or len(text) > _LONGEST:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None


def real(text: str) -> Optional[float]:
    """Return the number that a text is, or None; neither infinity nor what is no number, which JSON does not know."""
    try:
        found = float(text[:_LONGEST])
    except ValueError:
        return None
    return found if math.isfinite(found) else None
