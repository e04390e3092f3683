# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What an operation is handed: its parameters, its instance, and the one way to each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional

from .._mconsole.errors import NotThereError, UnansweredError
from .._mconsole.wire import TIMEOUT

if TYPE_CHECKING:  # a controller loads this file for the arguments alone, and a console is most of what it would load
    from .._mconsole.console import Console
    from .._mconsole.instances import Place
    from .._mconsole.reply_sockets import ReplySockets

COMMON_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "umid": {"type": "str"},
    "umids": {"type": "list", "elements": "str"},
    "uml_dir": {"type": "str"},
    "timeout": {"type": "float", "default": TIMEOUT},
}
_POLL = 0.02


class Task:
    """One operation on one instance (or, with an empty place, on the VM host).

    ``params`` are validated; ``check`` forbids every change, and the console of a check run cannot send one. ``origin``
    says who wants it, for the journal: controller_user, controller_host, login_uid, no_log.
    """

    def __init__(
        self,
        params: Dict[str, Any],
        check: bool = False,
        place: Optional[Place] = None,
        sockets: Optional[ReplySockets] = None,
        origin: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.params = params
        self.origin: Mapping[str, Any] = origin or {}
        self.check = check
        from .._mconsole.instances import Place

        self.place = place or Place("", "")
        self.sockets = sockets
        self.warnings: List[str] = []
        self._console: Optional[Console] = None

    @property
    def umid(self) -> str:
        """Return the instance's name."""
        return self.place.umid

    @property
    def timeout(self) -> float:
        """Return the seconds that one console exchange may take."""
        return float(self.params.get("timeout") or TIMEOUT)

    @property
    def console(self) -> Console:
        """Return the instance's console; it is opened by the first command, not here."""
        if self._console is None:
            from .._mconsole.console import Console

            self._console = Console(
                self.place.console, self.umid, self.timeout, sockets=self.sockets, read_only=self.check
            )
        return self._console

    @property
    def sent(self) -> List[str]:
        """Return the commands that were sent so far; none where there is no console to send them to."""
        return self._console.sent if self._console is not None else []

    def warn(self, text: str) -> None:
        """Add a warning to the result."""
        self.warnings.append(text)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other clients of ours on this VM host from changing the instance meanwhile.

        The lock is on the kernel's own pid file, or on its directory where a cleaner removed that file, so it leaves
        nothing behind and is gone with its holder.

        :raises UnansweredError: when another client holds it for longer than the time-out
        :raises NotThereError: when there is no such file, or something else in its place
        """
        has_file = os.path.lexists(self.place.pid_file) or not os.path.lexists(self.place.console)
        descriptor = _open_regular(self.place.pid_file, self.umid) if has_file else _open_folder(self.place.directory)
        try:
            _lock(descriptor, time.monotonic() + max(self.timeout, 30.0), self.umid)
            yield
        finally:
            os.close(descriptor)


def _open_folder(path: str) -> int:
    """Return a descriptor of an instance's directory.

    :raises NotThereError: when there is no such directory
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as err:
        raise NotThereError(f"the directory {path} cannot be opened: {err.strerror}", path=path) from err


def _open_regular(path: str, umid: str) -> int:
    """Return a descriptor of a file; a pipe or a link in its place, which another user may put there, is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as err:
        raise NotThereError(f"the instance {umid!r} has no pid file {path}: {err.strerror}", umid=umid) from err
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotThereError(f"the pid file of {umid!r}, {path}, is not a regular file", umid=umid)
    return descriptor


def _lock(descriptor: int, deadline: float, umid: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UnansweredError(
                    f"another task has been changing {umid} for too long; nothing was sent", umid=umid
                ) from None
            time.sleep(_POLL)
