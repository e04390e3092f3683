# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Find or start the local client that stays, as the login user, who alone can reach it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import socket
import subprocess
import time
from typing import Any, Dict, Iterator, List, Optional

from .._mconsole.errors import NotThereError
from .._mconsole.sockets import private_directory

_HELLO_TIME = 2.0
_START_TIME = 20.0
_POLL = 0.02


def start(blob: bytes, key: str, code: str, command: str, idle: float) -> str:
    """Return the socket of a local client that answers, started when there is none.

    ``key`` tells clients apart (code, become), ``command`` is the shell text that becomes the other user and
    runs the stub with the listening socket as its stdin.

    :raises NotThereError: when it could not be started, with what the command said
    """
    directory = private_directory()
    with _locked(os.path.join(directory, "lock")):
        for path in _sockets(directory, key):
            if hello(path) is not None:
                return path
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        path = os.path.join(directory, f"{key}-{secrets.token_hex(4)}")
        _spawn(path, blob, {"mode": "serve", "code": code, "idle": idle}, command)
        return path


def hello(path: str, timeout: float = _HELLO_TIME) -> Optional[Dict[str, Any]]:
    """Return a client's greeting, or None when nobody greets."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(path)
            line = sock.makefile("rb").readline()
            greeting: Optional[Dict[str, Any]] = json.loads(line) if line else None
            return greeting
    except (OSError, ValueError):
        return None


def _sockets(directory: str, key: str) -> List[str]:
    return [os.path.join(directory, name) for name in os.listdir(directory) if name.startswith(f"{key}-")]


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Let one starter at a time look and start."""
    with open(path, "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _spawn(path: str, blob: bytes, order: Dict[str, Any], command: str) -> None:
    """Start a client with the listening socket as its stdin and hand it its code through that socket.

    The shell around the command stays, to remove the socket that the other user could not.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(128)
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"cd /\n{command}\nrm -f {shlex.quote(path)}"],
            stdin=listener.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _hand_over(path, blob, order)
    _await(path, process)


def _hand_over(path: str, blob: bytes, order: Dict[str, Any]) -> None:
    # A client that died before it read is no error here: its process tells why.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        sock.settimeout(_START_TIME)
        sock.sendall(b"%d\n" % len(blob) + blob + json.dumps(order).encode() + b"\n")


def _await(path: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIME
    while process.poll() is None and time.monotonic() < deadline:
        if hello(path, deadline - time.monotonic()) is not None:
            return
        time.sleep(_POLL)
    if process.poll() is None:
        process.kill()
    said = process.stdout.read() if process.stdout else b""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    raise NotThereError(f"the local client did not start on the VM host: {_last_words(said)}")


def _last_words(said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if not line.startswith("BECOME-SUCCESS")]
    return " / ".join(lines[-3:]) or "it said nothing"
