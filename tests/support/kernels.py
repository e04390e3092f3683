# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernels that the contract tests run on: all three, or the one in UML_KERNEL."""

from __future__ import annotations

import os
from pathlib import Path

from support.paths import CACHE

SERIES = ("6.1", "6.12", "7.2")
FOLDER = CACHE / "kernels"


def wanted() -> tuple[str, ...]:
    """Name the kernels to test: the series, or the path in UML_KERNEL."""
    return (os.environ["UML_KERNEL"],) if "UML_KERNEL" in os.environ else SERIES


def path(series: str) -> Path:
    """Return a kernel; a missing one is an error, because a skipped test proves nothing."""
    if series not in SERIES:
        return Path(series)
    found = FOLDER / series / "linux"
    if not found.exists():
        raise RuntimeError(f"no kernel {series} at {found}: run tests/kernels/fetch")
    return found
