# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The channel against transports that work, break and refuse."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.uml.mconsole.plugins.plugin_utils import _channel, _pack

ORDER = {"kind": "operation", "operation": "nonsense", "params": {}}


class Transport:
    """A transport on this machine; ``leads`` false is an sshd that refuses to forward."""

    where = "here"
    revived = False

    def __init__(self, folder: pathlib.Path, leads: bool = True, command: str | None = "") -> None:
        self.folder, self.leads, self.command = folder, leads, command
        self.executed: list[dict[str, Any]] = []

    def address(self, key: str) -> str:
        return str(self.folder / "address")

    def execute(self, words: list[str], data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        size, _newline, rest = data.partition(b"\n")
        self.executed.append(json.loads(rest[int(size) :]))
        done = subprocess.run(words, input=data, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def stay_command(self, words: list[str]) -> str | None:
        import shlex

        return None if self.command is None else self.command or shlex.join(words)

    def lead(self, address: str, remote: str) -> None:
        if self.leads:
            os.symlink(remote, address)

    def unlead(self, address: str) -> None:
        pathlib.Path(address).unlink(missing_ok=True)

    def revive(self, timeout: float) -> None:
        self.revived = True


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _channel.Channel]:
    """Make channels whose clients end soon after the test."""
    monkeypatch.setattr(_channel, "IDLE", 1)

    def make(transport: Any, python: str = sys.executable) -> _channel.Channel:
        return _channel.Channel(transport, os.urandom(4).hex(), python, 5, lambda text: None)

    return make


def said(answer: dict[str, Any]) -> str:
    """Return the message of an operation that failed."""
    return str(answer["result"]["msg"])


def test_the_client_is_started_once_and_serves_many(channel: Any, tmp_path: pathlib.Path) -> None:
    transport = Transport(tmp_path)
    way = channel(transport)
    assert [said(way.call(ORDER))[-10:] for _each in range(5)] == ["'nonsense'"] * 5
    assert [order["mode"] for order in transport.executed] == ["start"]


def test_a_client_that_died_is_replaced(channel: Any, tmp_path: pathlib.Path) -> None:
    transport = Transport(tmp_path)
    way = channel(transport)
    way.call(ORDER)
    with way._greeted() as (_sock, _stream):
        pass
    os.kill(greeting(way)["pid"], 9)
    assert "no operation" in said(way.call(ORDER))
    assert [order["mode"] for order in transport.executed] == ["start", "start"]


def greeting(way: _channel.Channel) -> dict[str, Any]:
    """Return what the client at the channel's end says first."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(way.address)
        value: dict[str, Any] = json.loads(sock.makefile("rb").readline())
        return value


def test_a_host_that_refuses_to_forward_gets_one_exec_a_task(channel: Any, tmp_path: pathlib.Path) -> None:
    transport = Transport(tmp_path, leads=False)
    way = channel(transport)
    for _each in range(2):
        assert "no operation" in said(way.call(ORDER))
    assert [order["mode"] for order in transport.executed] == ["start", "once", "once"]


def test_become_with_a_password_gets_one_exec_a_task(channel: Any, tmp_path: pathlib.Path) -> None:
    transport = Transport(tmp_path, command=None)
    way = channel(transport)
    assert "no operation" in said(way.call(ORDER))
    assert [order["mode"] for order in transport.executed] == ["once"]


def test_a_missing_python_is_named(channel: Any, tmp_path: pathlib.Path) -> None:
    class NoPython(Transport):
        def execute(self, words: list[str], data: bytes, become: bool) -> tuple[int, bytes, bytes]:
            return 127, b"", b"sh: 1: python9: not found\n"

    with pytest.raises(AnsibleConnectionFailure, match=r"python9 on the VM host here .*set ansible_python_interpreter"):
        channel(NoPython(tmp_path), python="python9").call(ORDER)


def test_what_becoming_said_is_told(channel: Any, tmp_path: pathlib.Path) -> None:
    way = channel(Transport(tmp_path, command="echo sudo: a password is required >&2; exit 1"))
    with pytest.raises(AnsibleConnectionFailure, match="a password is required"):
        way.call(ORDER)


def test_an_answer_that_never_came_may_have_happened(channel: Any, tmp_path: pathlib.Path) -> None:
    """The client took the order and was lost: not a failed host, and never sent twice."""
    way = channel(Transport(tmp_path))
    taken: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _address = listener.accept()
        with connection:
            connection.sendall(b'{"code": "x"}\n')
            taken.append(connection.makefile("rb").readline())

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(way.address)
        listener.listen(1)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with pytest.raises(AnsibleError, match="may have happened"):
            way.call(ORDER)
        thread.join()
    assert json.loads(taken[0]) == ORDER


def test_the_signature_follows_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    for floor in _pack.FLOORS:
        (tmp_path / floor).mkdir()
        (tmp_path / floor / "a.py").write_text("x = 1")
    monkeypatch.setattr(_pack, "_SOURCE", tmp_path)
    before = _pack.signature()
    assert _pack.signature() == before
    (tmp_path / "_model" / "a.py").write_text("x = 22")
    assert _pack.signature() != before


def test_a_way_on_which_nobody_says_anything_is_revived(channel: Any, tmp_path: pathlib.Path) -> None:
    transport = Transport(tmp_path)
    way = channel(transport)
    way._timeout = 0.2
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(way.address)
        listener.listen(5)
        way._timeout = 0.2
        assert way.alive() is False
        assert "no operation" in said(way.call(ORDER))
    assert transport.revived


def test_a_controller_without_room_is_told_as_such(channel: Any, tmp_path: pathlib.Path) -> None:
    way = channel(Transport(tmp_path))
    way.address = str(tmp_path / "nowhere" / "uml-x")
    with pytest.raises(AnsibleConnectionFailure, match=r"the controller cannot keep its way to .* in .*/nowhere"):
        way.call(ORDER)


class Dead(Transport):
    """A VM host that does not answer, and takes its time not to."""

    def execute(self, words: list[str], data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        self.executed.append({})
        threading.Event().wait(_channel._SLOW * 1.2)
        raise AnsibleConnectionFailure("no route to host")


def test_a_vm_host_that_does_not_answer_costs_its_time_once(channel: Any, tmp_path: pathlib.Path) -> None:
    """Forks wait for one another, and who waited meanwhile need not wait anew."""
    transport = Dead(tmp_path)
    failures: list[str] = []

    def fork() -> None:
        try:
            _channel.Channel(transport, "x", sys.executable, 5, lambda text: None).call(ORDER)
        except AnsibleConnectionFailure as err:
            failures.append(str(err))

    threads = [threading.Thread(target=fork) for _each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == ["no route to host"] * 8
    assert len(transport.executed) < 8
    fork()
    assert len(failures) == 9
    assert len(transport.executed) < 9


def test_a_refusal_to_forward_is_forgotten_when_the_clock_was_set_back(channel: Any, tmp_path: pathlib.Path) -> None:
    way = channel(Transport(tmp_path))
    way._remember_exec()
    assert way._remembers_exec()
    later = os.stat(way.address + ".exec").st_mtime + 1000
    os.utime(way.address + ".exec", (later, later))
    assert not way._remembers_exec()
