# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The private directory of this user's sockets."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Callable, List, TypeVar

from .errors import Error, NotAllowedError

Made = TypeVar("Made")
_TRIES = 20


def private_directory(base: str = "") -> str:
    """Return the directory of this user's sockets, made when it is not there.

    It lies in ``base``, or in the first of :func:`bases` that no other user took before.
    Other users may traverse root's (0711), so that the instances of other users reach the one socket made for them.

    :raises NotAllowedError: when another user made it, or others may write there
    :raises Error: when it cannot be made
    """
    first, *others = [base] if base else bases()
    try:
        return _own_directory(first)
    except NotAllowedError:
        for path in others:
            with contextlib.suppress(NotAllowedError):
                return _own_directory(path)
        raise


def bases() -> List[str]:
    """Return where this user's directory may lie: for root in /run, where only root can create it, for others in /tmp.

    In /tmp any user can take the name first, and so lock a user out; that user's own directory in /run comes next,
    where it exists. It does not come first, because it is removed with the user's last session, and some users lack it.
    """
    uid = os.geteuid()
    if uid == 0:
        return ["/run" if os.path.isdir("/run") else "/tmp"]
    own = f"/run/user/{uid}"
    with contextlib.suppress(OSError):
        found = os.lstat(own)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022:
            return ["/tmp", own]
    return ["/tmp"]


def _own_directory(base: str) -> str:
    uid = os.geteuid()
    mode = 0o711 if uid == 0 else 0o700
    path = os.path.join(base, f".uml-mconsole-{uid}")
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass
    except OSError as err:
        raise Error(f"this host cannot make {path}, the directory of the client's sockets: {err.strerror}") from err
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o066:
        raise NotAllowedError(
            f"{path} is not a directory of user {uid} that is closed to all other users"
            f" (found owner {found.st_uid}, mode {found.st_mode:07o}); remove it",
            path=path,
        )
    if stat.S_IMODE(found.st_mode) != mode:
        os.chmod(path, mode)
    return path


def inside_private_directory(make: Callable[[str], Made]) -> Made:
    """Return what ``make`` makes in the private directory, which another client's end may remove in between.

    :raises FileNotFoundError: when the directory is removed again and again
    """
    for _try in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            return make(private_directory())
    return make(private_directory())
