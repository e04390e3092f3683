# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A folder of the VM host that a guest sees by hostfs: what goes in and out of it does not take the line.

The guest is not trusted: what it leaves in the folder is read only where it is a plain file, and no link is followed.
A process beside us removes the folder when we die.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from typing import BinaryIO, Iterator

from .._mconsole.errors import Error

_PREFIX = ".uml-guest-"
_SETTLED = 60.0  # seconds after which a new folder is locked, if it is in use
_OLD_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Mailbox:
    """A private folder of the user that an instance runs as; ``token`` is in it, for a guest to find."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        _sweep()
        self.path = tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp")
        self._keeper = _keep(self.path)
        if os.geteuid() != uid:
            os.chown(self.path, uid, -1)
        self._folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(self._folder, fcntl.LOCK_SH)  # it is in use
        self.token = os.urandom(8).hex()
        self.put("token", self.token.encode())

    def close(self) -> None:
        """Remove the folder."""
        os.close(self._folder)
        shutil.rmtree(self.path, ignore_errors=True)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper.wait()

    def put(self, name: str, data: bytes) -> None:
        """Write a file that was not there."""
        with self.new(name) as stream:
            stream.write(data)

    @contextlib.contextmanager
    def new(self, name: str) -> Iterator[BinaryIO]:
        """Yield a new file to write to.

        :raises Error: when there is no room, or something is in its place
        """
        try:
            descriptor = os.open(name, _NEW_FLAGS, 0o600, dir_fd=self._folder)
            with os.fdopen(descriptor, "wb") as stream:
                if os.geteuid() != self._uid:
                    os.fchown(descriptor, self._uid, -1)
                yield stream
        except OSError as err:
            raise Error(f"{self.path}/{name} cannot be written on the VM host: {err.strerror}") from err

    def open(self, name: str) -> BinaryIO:
        """Open a file that the guest has written; what is not there is empty.

        :raises Error: when it is not a plain file of the instance's user
        """
        try:
            descriptor = os.open(name, _OLD_FLAGS, dir_fd=self._folder)
        except FileNotFoundError:
            descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            return os.fdopen(descriptor, "rb")
        except OSError as err:
            raise self._odd(name) from err
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != self._uid:
            os.close(descriptor)
            raise self._odd(name)
        return os.fdopen(descriptor, "rb")

    def text(self, name: str, most: int = 64) -> str:
        """Return the start of a short file."""
        with self.open(name) as stream:
            return stream.read(most).decode("ascii", "replace")

    def size(self, name: str) -> int:
        """Return how long a file is; 0 when it is not there."""
        with contextlib.suppress(OSError):
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_size
        return 0

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._folder)

    def _odd(self, name: str) -> Error:
        return Error(f"the guest has put something that is not a plain file of its user at {self.path}/{name}")


def is_left_behind(path: str) -> bool:
    """Return whether a path is that of a folder of this kind which nothing uses any more, there or removed."""
    if os.path.dirname(path) != "/tmp" or not os.path.basename(path).startswith(_PREFIX):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - os.fstat(descriptor).st_mtime > _SETTLED
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _sweep() -> None:
    """Remove folders that nothing uses any more, whose keepers were killed as well."""
    for path in glob.glob(f"/tmp/{_PREFIX}*"):
        if is_left_behind(path):
            shutil.rmtree(path, ignore_errors=True)


def _keep(path: str) -> subprocess.Popen[bytes]:
    """Start the process that removes a folder after our death, also after SIGKILL."""
    script = f"trap '' HUP INT TERM; cat >/dev/null; rm -rf -- {shlex.quote(path)}"
    return subprocess.Popen(  # pylint: disable=ansible-bad-function
        ["/bin/sh", "-c", script, "uml.mconsole keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
