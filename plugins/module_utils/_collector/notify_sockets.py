# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""All notify sockets that the collector holds, bound again when they are stolen or their directory comes back."""

from __future__ import annotations

import selectors
import time
from typing import Collection, Dict, Iterator, Optional

from .._mconsole.errors import Error
from .._mconsole.notify import Datagram, Listener

_BATCH = 512  # datagrams taken from one socket before the others have their turn
_RETRY = 2.0  # seconds between tries to get a path that another process holds


class NotifySockets:
    """Paths that kernels send to, each with the socket that is bound there, or why no socket is."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._listeners: Dict[str, Listener] = {}
        self._owners: Dict[str, Optional[int]] = {}
        self._reasons: Dict[str, str] = {}
        self._retry_at = 0.0

    def cover(self, path: str, owner: Optional[int]) -> None:
        """Listen at a path from now on, if that can be; else try again later."""
        if path not in self._owners:
            self._owners[path] = owner
            self._bind(path)

    def reason(self, path: str) -> str:
        """Return why the collector does not listen at a path, or "" when it does."""
        return self._reasons.get(
            path, "" if path in self._listeners else "the collector was not set up to listen there"
        )

    def drain(self) -> Iterator[Datagram]:
        """Yield what has come to all sockets, some of each in turn, and do not wait."""
        for listener in list(self._listeners.values()):
            yield from listener.drain(_BATCH)

    def check(self, used: Collection[str]) -> int:
        """Bind again what is not reached any more, let go of what is not used; return how many were bound again."""
        lost = [path for path, listener in self._listeners.items() if not listener.is_reached()]
        for path in lost:
            self._release(path)
        for path in [path for path in self._owners if path not in used]:
            self._release(path)
            del self._owners[path]
            self._reasons.pop(path, None)
        if lost or time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _RETRY
            for path in [path for path in self._owners if path not in self._listeners]:
                self._bind(path)
        return sum(path in self._listeners for path in lost)

    def close(self) -> None:
        """Let go of all."""
        for path in list(self._listeners):
            self._release(path)

    def _bind(self, path: str) -> None:
        try:
            listener = Listener(path, self._owners[path])
        except Error as err:
            self._reasons[path] = str(err)
            return
        self._reasons.pop(path, None)
        self._listeners[path] = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _release(self, path: str) -> None:
        listener = self._listeners.pop(path, None)
        if listener is not None:
            self._selector.unregister(listener)
            listener.close()
