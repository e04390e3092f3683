# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The open descriptors that an instance was started with, and loses when it is restarted."""

from __future__ import annotations

import os
import re
import stat
from typing import Dict, Iterator, List, Sequence, Tuple

from .._mconsole.errors import InputError
from .._mconsole.instances import Instance
from . import kernel_arg_groups

_DEFAULT_CONSOLE = "fd:0,fd:1"  # CONFIG_CON_ZERO_CHAN
_LINE = re.compile(r"((?:con|ssl)\d*)=(.*)")
_INTERFACE = re.compile(r"(vec\d+):(.*)")


def check(found: Instance, argv: Sequence[str], force: bool = False) -> List[str]:
    """Return what a restart takes from an instance that runs, where the new command line still uses it.

    :raises InputError: when it takes something, and ``force`` is not given
    """
    if not found.alive or not os.access(f"/proc/{found.pid}/fd", os.R_OK | os.X_OK):
        return []
    lost = [
        f"{device} uses {kind}, which {found.place.umid} was started with and a restart cannot give it"
        for device, number in sorted(_used(argv))
        for kind in _lost(found.pid or 0, number)
    ]
    if lost and not force:
        raise InputError(
            f"{'; '.join(lost)}; set force=true to restart it without, or set another channel in devices",
            umid=found.place.umid,
        )
    return lost


def _used(argv: Sequence[str]) -> Iterator[Tuple[str, int]]:
    """Yield (device, descriptor) of the lines and interfaces that use descriptors."""
    words = kernel_arg_groups.split(argv[1:])["devices"]
    lines: Dict[str, str] = {match[1]: match[2] for match in map(_LINE.fullmatch, words) if match}
    if "con" not in lines:
        lines.setdefault("con0", _DEFAULT_CONSOLE)
    lines.update({match[1]: match[2] for match in map(_INTERFACE.fullmatch, words) if match})
    for device, setting in lines.items():
        for number in re.findall(r"(?:^|,)fd[:=](\d+)(?=,|$)", setting):
            yield device, int(number)


def _lost(pid: int, number: int) -> Iterator[str]:
    """Yield what a descriptor is, if a new process does not get the same: it has /dev/null, and a log file twice."""
    path = f"/proc/{pid}/fd/{number}"
    try:
        status, target = os.stat(path), os.readlink(path)
    except OSError:
        return
    if number > 2:
        yield f"the descriptor {number} ({target})"
    elif not stat.S_ISREG(status.st_mode) and target != os.devnull:
        yield f"{_kind(status.st_mode)} ({target})"


def _kind(mode: int) -> str:
    if stat.S_ISCHR(mode):
        return "a terminal"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "an open file"
