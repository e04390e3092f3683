# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The channel: how an order gets from the controller to the local client on a VM host.

The usual way is a Unix socket that ssh's own ControlMaster forwards to a client that stays, so a task opens no ssh
session. Where forwarding is not available, each task runs the program once over ssh. The client greets first, so a
broken way is noticed before an order is sent; it is rebuilt once, and never reported as a failed host.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ansible.errors import AnsibleConnectionFailure, AnsibleError

from . import _peer, _program
from ._fork_lock import Failures, not_ours, own_file

CLIENT_IDLE = 120  # seconds without a task after which a client ends by itself
CLIENT_TIMEOUT = 30.0  # seconds without a beat after which a client counts as lost
_GREETING = 1 << 16  # bytes
_ANSWER = 256 << 20  # bytes, for the replies of many guests at once
EXEC_MEMORY = 300.0  # seconds during which a VM host that refused to forward gets one exec a task

_SOCKET = re.compile(r"/[\w./+@-]+")  # ssh would take a colon for a separator of its option
Order = dict[str, Any]
Answer = dict[str, Any]


class Transport(Protocol):
    """The part of a connection that a channel needs; it quotes all words once, at its end."""

    where: str

    def address(self, key: str) -> str:
        """Return the controller's path of the socket that leads to the client of this key."""

    def execute(self, words: list[str], data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        """Run a command on the VM host with data as its stdin."""

    def background_command(self, words: list[str]) -> str | None:
        """Return the shell text that runs these words as the user to become, or None if that asks for a password."""

    def forward(self, address: str, remote: str) -> None:
        """Make address lead to the socket remote on the VM host."""

    def cancel_forward(self, address: str) -> None:
        """Forget what address leads to."""

    def reset_dead_master(self, timeout: float) -> None:
        """Take away an ssh master through which nothing goes, so that the next command does not wait for it."""


class ChannelUnavailable(Exception):
    """No client greeted, and nothing was sent. ``silent``: a connection was made, but no greeting came in time."""

    def __init__(self, why: str, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


class NoClient(AnsibleConnectionFailure):
    """The VM host was reached, and its Python or become did not run the client; no order was sent."""


class Channel:
    """The way to the local client of one VM host, user and become user."""

    def __init__(
        self,
        transport: Transport,
        identity: str,
        python: str,
        timeout: float,
        log: Callable[[str], None],
        before: Iterable[str] = (),
    ) -> None:
        """Store how to reach and start the client; ``before`` are words before its Python, as of env."""
        self._transport = transport
        self._python = [*before, *shlex.split(python)]
        self._timeout = timeout
        self._log = log
        self._key = f"{identity}-{_program.signature()}"
        self.address = transport.address(self._key)

    def call(self, order: Order) -> Answer:
        """Return the client's answer to an order.

        :raises AnsibleConnectionFailure: when the VM host or its client cannot be reached; the order was not sent
        :raises AnsibleError: when the order was sent and no answer came: it may have happened
        """
        try:
            return self.ask_client(order)
        except ChannelUnavailable:
            return self._once(order)

    def ask_client(self, order: Order) -> Answer:
        """Return the answer of a client that stays; start one if none runs.

        :raises ChannelUnavailable: when none can stay or be reached; the order was not sent
        :raises AnsibleConnectionFailure: when the VM host cannot be reached; the order was not sent
        :raises AnsibleError: when the order was sent and no answer came: it may have happened
        """
        if self._remembers_exec():
            raise ChannelUnavailable("no client answered a short while ago")
        try:
            return self._converse(order)
        except ChannelUnavailable as err:
            silent = err.silent
        self._build(silent)
        try:
            return self._converse(order)
        except ChannelUnavailable as err:
            self._log(f"no client answers through {self.address} ({err}); one exec a task from now on")
            self._remember_exec()
            raise

    def alive(self) -> bool:
        """Return whether a client greets through the channel."""
        try:
            with self._greeted():
                return True
        except ChannelUnavailable:
            return False

    def drop(self) -> None:
        """Forget the way; the next call builds another."""
        self._transport.cancel_forward(self.address)
        for path in (self.address, self.address + ".exec"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    @contextlib.contextmanager
    def _greeted(self) -> Iterator[tuple[socket.socket, Any]]:
        """Yield (socket, its file) of a client that has greeted.

        :raises ChannelUnavailable: when none did, or the one there belongs to another user
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, contextlib.ExitStack() as stack:
            stream = sock.makefile("rwb")
            stack.callback(_close, stream)
            try:
                sock.settimeout(self._timeout)
                sock.connect(self.address)
                user = _peer.user_of(sock, self.address)
                if user != os.geteuid():  # in a directory that others may write to
                    raise ChannelUnavailable(f"user {user} listens there")
                line = stream.readline(_GREETING)
            except OSError as err:
                raise ChannelUnavailable(str(err), isinstance(err, TimeoutError)) from err
            if "code" not in (_value(line) or {}):
                raise ChannelUnavailable("the other end does not greet" if line else "the other end is closed")
            yield sock, stream

    def _converse(self, order: Order) -> Answer:
        with self._greeted() as (sock, stream):
            sock.settimeout(CLIENT_TIMEOUT)
            try:
                stream.write(json.dumps(order).encode("ascii") + b"\n")
                stream.flush()
                return self._listen(stream)
            except TimeoutError:
                raise self._lost(f"it gave no sign of life for {CLIENT_TIMEOUT:g} s") from None
            except OSError as err:
                raise self._lost(err) from err

    def _listen(self, stream: Any) -> Answer:
        """Return the answer that follows the beats."""
        while line := stream.readline(_ANSWER):
            answer = _value(line)
            if answer is None:
                raise self._lost("its reply was not an answer")
            if "beat" not in answer:
                return answer
        raise self._lost("the connection was closed")

    def _lost(self, why: object) -> AnsibleError:
        return AnsibleError(
            f"The local client on {self._transport.where} was lost after the order had been sent ({why}):"
            " it may have happened."
        )

    def _build(self, silent: bool) -> None:
        """Build the way.

        :raises ChannelUnavailable: when there can be none and each task needs its own exec
        """
        command = self._transport.background_command([*self._python, "-c", _program.LISTENING_STUB])
        if command is None:
            raise ChannelUnavailable("become asks for a password")
        with self._building() as failures:
            failures.share()
            if self.alive():
                return  # another fork has built it meanwhile
            self._log(f"building the channel {self.address}")
            with failures:
                if silent:
                    self._transport.reset_dead_master(self._timeout)
                self._lay(command)

    def _lay(self, command: str) -> None:
        """Start a client that stays, and let the address lead to it."""
        stay = {"mode": "serve", "code": _program.code(), "idle": CLIENT_IDLE}
        order = {"mode": "start", "key": f"c-{self._key}", "command": command, "order": stay}
        remote = self._run(order, become=False).get("socket")
        if not isinstance(remote, str) or not _SOCKET.fullmatch(remote):
            raise AnsibleConnectionFailure(
                f"{self._transport.where} named {remote!r}, which is not a socket of a local client"
            )
        self._transport.cancel_forward(self.address)
        try:
            os.unlink(self.address)
        except FileNotFoundError:
            pass
        except OSError as err:
            raise not_ours(self.address, err.strerror) from err
        self._transport.forward(self.address, remote)

    @contextlib.contextmanager
    def _building(self) -> Iterator[Failures]:
        """Let one fork at a time build the way."""
        began = time.monotonic()
        try:
            stream = own_file(self.address + ".lock")
        except OSError as err:
            raise AnsibleConnectionFailure(
                f"the controller cannot keep its way to {self._transport.where} in {os.path.dirname(self.address)}"
                f" (control_path_dir): {err.strerror}"
            ) from None  # the message holds the cause, which Ansible would repeat
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield Failures(stream, began)

    def _once(self, order: Order) -> Answer:
        """Run the program on the VM host for this one order."""
        return self._run({"mode": "once", **order}, become=True)

    def _run(self, order: Order, become: bool) -> Answer:
        status, out, err = self._transport.execute(
            [*self._python, "-c", _program.STUB], _program.program(order), become
        )
        lines = out.decode("utf-8", "replace").splitlines()
        answer = _last_value(lines)
        if status != 0 or answer is None:
            raise NoClient(self._no_start(status, err.decode("utf-8", "replace").strip(), lines))
        if answer.get("failed"):
            raise NoClient(f"{answer.get('msg')} (VM host {self._transport.where})")
        return answer

    def _no_start(self, status: int, said: str, lines: list[str]) -> str:
        detail = said.splitlines()[-1] if said else " / ".join(lines[-2:]) or "no output"
        hint = "; set ansible_python_interpreter to a Python 3.8 or later" if status in (1, 126, 127) else ""
        return (
            f"{' '.join(self._python)} on the VM host {self._transport.where} did not run the local client"
            f" (status {status}: {detail}){hint}"
        )

    def _remembers_exec(self) -> bool:
        with contextlib.suppress(OSError):
            found = os.lstat(self.address + ".exec")
            age = time.time() - found.st_mtime  # below 0: the clock was set back, by an unknown time
            return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and 0 <= age < EXEC_MEMORY
        return False

    def _remember_exec(self) -> None:
        with contextlib.suppress(AnsibleConnectionFailure, OSError), own_file(self.address + ".exec") as found:
            os.utime(found.fileno())


def result_of(answer: Answer, where: str) -> Answer:
    """Return the result in an answer of the client on the VM host ``where``.

    :raises AnsibleError: when it holds none
    """
    if "fault" in answer:
        raise AnsibleError(f"The local client on {where} failed, which is a bug of it: {answer['fault']}")
    result = answer.get("result")
    if not isinstance(result, dict):
        raise AnsibleError(
            f"The local client on {where} was lost after the order had been sent (it answered with no result):"
            " it may have happened."
        )
    return result


def _last_value(lines: list[str]) -> Answer | None:
    """Return the JSON object of the last line that is one."""
    for line in reversed(lines):
        value = _value(line)
        if value is not None:
            return value
    return None


def _value(line: str | bytes) -> Answer | None:
    """Return the JSON object that a line is, or None."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(line)
        return found if isinstance(found, dict) else None
    return None


def _close(stream: Any) -> None:
    """Close a stream; what it could not write before is already reported, and fails again."""
    with contextlib.suppress(OSError):
        stream.close()
