# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Find or start the local client that stays, as the login user, who alone can reach it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import time
from typing import Any, Dict, Iterator, Optional

from .._mconsole.errors import Error, NotThereError
from .._mconsole.private_dir import private_directory

_HELLO_TIME = 2.0
_START_TIME = 20.0
_POLL = 0.02
_TRIES = 5


def start(blob: bytes, key: str, command: str, order: Dict[str, Any]) -> str:
    """Return the socket of a local client that answers; start a client if none runs.

    ``key`` distinguishes clients (code, become), ``command`` is the shell text that becomes the other user and
    runs the stub with the listening socket as its stdin; ``order`` is the client's first order. The last client
    removes the directory when it ends, so the directory may vanish at any time.

    :raises NotThereError: when it could not be started, with what the command said
    :raises Error: when this host has no room for it
    """
    for _try in range(_TRIES):
        directory = private_directory()
        try:
            with _locked(directory):
                return _running(directory, key) or _spawn(directory, key, blob, order, command)
        except FileNotFoundError:
            pass
        except OSError as err:
            raise Error(f"this host cannot start a local client in {directory}: {err.strerror}") from err
    raise NotThereError(f"{directory} is removed again and again while a local client is to start there")


def _running(directory: str, key: str) -> Optional[str]:
    """Return the socket of a client of this key that greets; sockets of clients that died are removed."""
    found = None
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name.startswith(f"{key}-") and hello(path) is not None:
            found = path
        elif name.startswith("c-") and not _listening(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return found


def _listening(path: str) -> bool:
    """Return whether a process holds the socket, be it stopped or busy."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        return sock.connect_ex(path) != errno.ECONNREFUSED


def hello(path: str, timeout: float = _HELLO_TIME) -> Optional[Dict[str, Any]]:
    """Return a client's greeting, or None when no client greets."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(path)
            line = sock.makefile("rb").readline()
            greeting: Optional[Dict[str, Any]] = json.loads(line) if line else None
            return greeting
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Let one starter at a time look and start; the lock is on the directory itself, so it leaves nothing behind."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _spawn(directory: str, key: str, blob: bytes, order: Dict[str, Any], command: str) -> str:
    """Start a client with the listening socket as its stdin, hand it its code through that socket, return its path.

    The shell around the command stays, to remove the socket that the other user could not. Its own words go nowhere:
    what it says of a killed client would end it, once the pipe to us is closed.
    """
    path = os.path.join(directory, f"{key}-{secrets.token_hex(4)}")
    tidy = f"rm -f {shlex.quote(path)}; rmdir {shlex.quote(directory)}"
    script = f"cd /; exec 3>&1 >/dev/null 2>&1\n( {command}\n) >&3 2>&3 3>&-\n{tidy}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(128)
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["/bin/sh", "-c", script],
            stdin=listener.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _hand_over(path, blob, order)
    _await(path, process)
    return path


def _hand_over(path: str, blob: bytes, order: Dict[str, Any]) -> None:
    # A client that died before it read is not an error here: its process says why.
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
    said = _end(process)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    raise NotThereError(f"the local client did not start on the VM host: {_last_words(said)}")


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """Kill what may still run and return what it has said so far; another user's process may keep the pipe open."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is None:
        return b""
    os.set_blocking(process.stdout.fileno(), False)
    return process.stdout.read() or b""


def _last_words(said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if not line.startswith("BECOME-SUCCESS")]
    return " / ".join(lines[-3:]) or "it said nothing"
