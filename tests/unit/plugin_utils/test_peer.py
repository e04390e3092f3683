# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user at the other end of a socket, with and without what Linux has for it."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.plugin_utils import _peer
from support.run_as_user import SOMEBODY_ELSE


@pytest.fixture
def path() -> Iterator[Path]:
    """Provide the path of a listening socket of this user."""
    with tempfile.TemporaryDirectory(prefix="uml.peer.") as folder:
        found = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(found))
            listener.listen()
            yield found


def user_of(path: Path) -> int:
    """Return the user who listens at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(path))
        return _peer.user_of(sock, str(path))


def test_the_user_who_listens_is_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_of(path) == os.geteuid()
    monkeypatch.delattr(socket, "SO_PEERCRED")
    assert user_of(path) == os.geteuid()


def test_without_credentials_the_file_says_whose_socket_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(path, SOMEBODY_ELSE, -1)
    assert user_of(path) == os.geteuid()
    monkeypatch.delattr(socket, "SO_PEERCRED")
    assert user_of(path) == SOMEBODY_ELSE
