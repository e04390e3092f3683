# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that the forks of Ansible share beside their sockets: whose turn it is, and what failed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import time
from typing import IO

from ansible.errors import AnsibleConnectionFailure

_SLOW = 1.0  # seconds; a failure that took longer counts for all forks that waited for it


class Failures:
    """A failure that one fork shares with those that wait for it, in the file of their lock.

    So a VM host that does not answer costs the first fork its time-out, and not each of a hundred in turn.
    """

    def __init__(self, stream: IO[str], began: float) -> None:
        self._stream, self._began = stream, began

    def share(self) -> None:
        """Fail as another fork did, if that was after this one began to wait.

        :raises AnsibleConnectionFailure: in that case
        """
        self._stream.seek(0)
        with contextlib.suppress(ValueError):
            found = json.loads(self._stream.read())
            if self._began < found["at"] <= time.monotonic():  # the clock starts again with the machine
                raise AnsibleConnectionFailure(found["msg"])

    def __enter__(self) -> None:
        self._tried = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Record a failure that took a while; an immediate one may concern this fork alone."""
        self._stream.seek(0)
        self._stream.truncate()
        if isinstance(error, AnsibleConnectionFailure) and time.monotonic() - self._tried > _SLOW:
            json.dump({"at": time.monotonic(), "msg": str(error)}, self._stream)
            self._stream.flush()


def own_file(path: str) -> IO[str]:
    """Open a file of this user beside the sockets, made if missing; refuse a link and a file of another user.

    :raises AnsibleConnectionFailure: when it is one of these
    :raises OSError: when it cannot be made
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as err:
        if err.errno != errno.ELOOP:
            raise
        raise not_ours(path, "it is a link") from err
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise not_ours(path, f"it belongs to user {found.st_uid}")
    return os.fdopen(descriptor, "r+", encoding="utf-8")


def not_ours(path: str, why: str | None) -> AnsibleConnectionFailure:
    return AnsibleConnectionFailure(
        f"{path} cannot be used: {why}; let ansible_control_path_dir name a directory that only you can write to"
    )
