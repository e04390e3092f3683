# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Remove what a dead instance left, and never what a live one uses."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Optional

from .._mconsole import liveness, procfs
from .._mconsole.errors import NotAllowedError
from .._mconsole.instances import Place


def remove(where: Place, pid: Optional[int]) -> None:
    """Remove the directory that a dead instance left; links are never followed, files of others never removed.

    ``pid`` is what its pid file may say at most: when another instance has taken the place, nothing is done.

    :raises NotAllowedError: when this user may not, or when something else is in it
    """
    if procfs.read_pid(where.pid_file) not in (pid, None) or _is_live(where):
        return
    try:
        folder = os.open(where.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        _empty(folder)
        os.rmdir(where.directory)
    except OSError as err:
        raise NotAllowedError(
            f"what {where.umid} left in {where.directory} cannot be removed: {err.strerror}", path=where.directory
        ) from err
    finally:
        os.close(folder)


def _is_live(where: Place) -> bool:
    """Return whether a process has the console open, also one that cannot be seen here."""
    return liveness.has_listener(os.path.join(where.directory, "mconsole"))


def _empty(folder: int) -> None:
    for name, kind in (("mconsole", stat.S_ISSOCK), ("pid", stat.S_ISREG)):
        with contextlib.suppress(FileNotFoundError):
            if kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=folder)
