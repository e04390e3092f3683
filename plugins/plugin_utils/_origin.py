# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of an operation, and who gives it: what the journal of the VM host says of the controller."""

from __future__ import annotations

import functools
import os
import platform
import pwd
from typing import Any


def order(operation: str, params: dict[str, Any], check: bool, no_log: bool) -> dict[str, Any]:
    """Return the order to run an operation, for a channel."""
    origin = {**_controller(), "no_log": no_log}
    return {"kind": "operation", "operation": operation, "params": params, "check": check, "origin": origin}


@functools.cache
def _controller() -> dict[str, str]:
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return {"controller_user": user, "controller_host": platform.node()}
