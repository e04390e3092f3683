# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Words in options that stand for something of the instance, so that one task can start many: ``{umid}`` and others.

All follow from the umid alone, so that an instance keeps them wherever and whenever it is started.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Mapping, Match

_WORD = re.compile(r"\{(umid|machine_id|mac(\d{0,2}))\}")


def filled(value: Any, umid: str) -> Any:
    """Return a value with what is of the instance in its place, however deep."""
    if isinstance(value, str):
        return _WORD.sub(lambda found: _meaning(found, umid), value)
    if isinstance(value, Mapping):
        return {key: filled(item, umid) for key, item in value.items()}
    return [filled(item, umid) for item in value] if isinstance(value, list) else value


def machine_id(umid: str) -> str:
    """Return the 32 digits that systemd takes as a machine's identity."""
    return _digits("machine_id", umid)[:32]


def mac(umid: str, number: int = 0) -> str:
    """Return a unicast address that is administered locally, for one of the interfaces of an instance."""
    digits = _digits(f"mac{number}", umid)
    return ":".join(["02", *(digits[start : start + 2] for start in range(0, 10, 2))])


def _meaning(found: Match[str], umid: str) -> str:
    if found[1].startswith("mac") and found[2] is not None:
        return mac(umid, int(found[2] or 0))
    return umid if found[1] == "umid" else machine_id(umid)


def _digits(what: str, umid: str) -> str:
    return hashlib.sha256(f"uml.mconsole {what} {umid}".encode("utf-8", "surrogateescape")).hexdigest()
