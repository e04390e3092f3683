# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The metrics as a file that node_exporter reads."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Callable

from .._mconsole.errors import InputError
from .sampler import INTERVAL


class MetricsFile:
    """The file; ``text`` returns the metrics."""

    def __init__(self, path: str, text: Callable[[], str]) -> None:
        self._path = path
        self._text = text
        self._due = 0.0

    def open(self) -> None:
        """Write it for the first time.

        :raises InputError: when that is not possible
        """
        try:
            self._write()
        except OSError as err:
            raise InputError(f"metrics_file {self._path} cannot be written: {err.strerror}", path=self._path) from err

    def tick(self) -> None:
        """Write it when its time has come; one that cannot be written stays as it is, and its age shows that."""
        if time.monotonic() >= self._due:
            with contextlib.suppress(OSError):
                self._write()

    def close(self) -> None:
        """Remove it, because its values are no longer true."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _write(self) -> None:
        """Replace the file as a whole; node_exporter, another user, reads files that end in .prom."""
        self._due = time.monotonic() + INTERVAL
        text = self._text()
        directory, name = os.path.split(self._path)
        temporary = os.path.join(directory, f".{name}.new")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o644), "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(text)
        os.replace(temporary, self._path)
