# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The channel against transports that work, break and refuse."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._client import server
from ansible_collections.uml.mconsole.plugins.plugin_utils import _channel, _fork_lock, _program, _transport
from support.run_as_user import SOMEBODY_ELSE, as_user

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

    def background_command(self, words: list[str]) -> str | None:
        import shlex

        return None if self.command is None else self.command or shlex.join(words)

    def forward(self, address: str, remote: str) -> None:
        if self.leads:
            os.symlink(remote, address)

    def cancel_forward(self, address: str) -> None:
        pathlib.Path(address).unlink(missing_ok=True)

    def reset_dead_master(self, timeout: float) -> None:
        self.revived = True


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _channel.Channel]:
    """Make channels whose clients end soon after the test."""
    monkeypatch.setattr(_channel, "CLIENT_IDLE", 1)

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
    for layer in _program.LAYERS:
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "a.py").write_text("x = 1")
    monkeypatch.setattr(_program, "_SOURCE", tmp_path)
    before = _program.signature.__wrapped__()  # without its memory, which lasts as long as a play
    assert _program.signature.__wrapped__() == before
    (tmp_path / "_task" / "a.py").write_text("x = 22")
    assert _program.signature.__wrapped__() != before


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
        threading.Event().wait(_fork_lock._SLOW * 1.2)
        raise AnsibleConnectionFailure("no route to host")


def test_a_vm_host_that_does_not_answer_costs_its_time_once(channel: Any, tmp_path: pathlib.Path) -> None:
    """Forks wait for one another. A fork that has waited does not wait again."""
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


# Ends that are not what they seem.


class Peer:
    """Listens where a channel leads, greets, and gives an answer to every order."""

    GREETING = b'{"code": "x", "pid": 1}\n'

    def __init__(self, path: pathlib.Path, said: bytes, greeting: bytes = GREETING) -> None:
        self.orders: list[bytes] = []
        self._said, self._greeting = said, greeting
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.sendall(self._greeting)
        with connection.makefile("rb") as stream:
            self.orders.append(stream.readline(1 << 16))
        connection.sendall(self._said)


def outcome(way: _channel.Channel) -> str:
    """Return what became of an order: an answer that is a dictionary, or an error that a user can read."""
    try:
        answer = way.call(dict(ORDER))
    except AnsibleError as err:
        return str(err)
    assert isinstance(answer, dict)
    return "answered"


LINES = {
    "nothing": (b"", "may have happened"),
    "no JSON": (b"\x00\xff{{\n", "not an answer): it may have happened"),
    "no dictionary": (b'["result"]\n', "not an answer): it may have happened"),
    "a number": (b"5\n", "not an answer"),
    "a depth without end": (b"[" * 200_000 + b"\n", "not an answer"),
    "half a line": (b'{"result": {"chan', "not an answer"),
    "beats, and then the end": (b'{"beat": true}\n' * 3, "the connection was closed): it may have happened"),
}


@pytest.mark.parametrize("case", LINES)
def test_what_is_no_answer_is_told_as_such(channel: Any, tmp_path: pathlib.Path, case: str) -> None:
    said, told = LINES[case]
    with Peer(tmp_path / "address", said) as peer:
        assert told in outcome(channel(Transport(tmp_path)))
    assert len(peer.orders) == 1, "an order that may have been done is not given again"


def test_a_client_that_hangs_up_in_the_middle_of_an_order_may_have_done_it(
    channel: Any, tmp_path: pathlib.Path
) -> None:
    with Peer(tmp_path / "address", b""), pytest.raises(AnsibleError, match="may have happened"):
        channel(Transport(tmp_path)).call({**ORDER, "params": {"text": "x" * (4 << 20)}})


def test_an_answer_without_an_end_is_given_up(
    channel: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_channel, "_ANSWER", 1 << 16)
    with Peer(tmp_path / "address", b"x" * (1 << 20)):
        assert "not an answer" in outcome(channel(Transport(tmp_path)))


@given(said=st.binary(max_size=60) | st.sampled_from([b'{"result": {}}\n', b'{"beat": 1}\n{"fault": "x"}\n', b"{}\n"]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_an_answer_or_an_error(said: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="uml.") as folder, Peer(pathlib.Path(folder) / "address", said):
        way = _channel.Channel(Transport(pathlib.Path(folder)), "x", sys.executable, 5, lambda text: None)
        assert outcome(way)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"[]\n", b"{}\n", b"y" * 100_000])
def test_what_does_not_greet_gets_no_order(channel: Any, tmp_path: pathlib.Path, greeting: bytes) -> None:
    transport = Transport(tmp_path)
    with Peer(tmp_path / "address", b"", greeting) as peer:
        assert outcome(channel(transport)) == "answered"
    assert not any(peer.orders)
    assert [order["mode"] for order in transport.executed] == ["start"]


@given(line=st.binary(max_size=80) | st.sampled_from([b"{}", b'{"kind": "module"}', b"[" * 5000, b'{"operation": 1}']))
@settings(max_examples=60, deadline=None)
def test_any_line_is_an_order_or_the_end(line: bytes) -> None:
    """The client answers any input with one line of JSON or hangs up, and serves the next controller."""
    ours, theirs = socket.socketpair()
    with ours, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("")
        listener.listen()
        one = server.Server(listener, {"code": "x"}, 1.0)
        ours.sendall(line.replace(b"\n", b"") + b"\n")
        ours.shutdown(socket.SHUT_WR)
        one._converse(theirs)
        with ours.makefile("rb") as stream:
            said = stream.read().splitlines()
    assert json.loads(said[0]) == {"code": "x"}
    assert all(set(json.loads(each)) <= {"result", "fault", "beat"} for each in said[1:])
    assert not one._talking


def test_another_user_s_socket_is_not_spoken_to(channel: Any, tmp_path: pathlib.Path) -> None:
    """In a directory that other users can write to, another user may be first."""
    folder = shared(tmp_path)
    with listening_as(SOMEBODY_ELSE, folder / "address") as heard:
        transport = Transport(folder)
        assert outcome(channel(transport)) == "answered"
        assert [order["mode"] for order in transport.executed] == ["start"]
        assert heard() == b""


@pytest.mark.parametrize("name", ["address.lock", "address.exec"])
def test_a_link_beside_the_sockets_leads_nowhere(channel: Any, tmp_path: pathlib.Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / name).symlink_to(precious)
    os.utime(precious, (1, 1))
    told = outcome(channel(Transport(tmp_path, leads=False)))
    assert told == "answered" if name.endswith("exec") else f"{tmp_path / name} cannot be used" in told
    assert (precious.read_text(), precious.stat().st_mtime) == ("precious", 1)


def test_another_user_s_memory_counts_for_nothing(channel: Any, tmp_path: pathlib.Path) -> None:
    """A file of theirs would have every task run by itself, or fail with words of their choice."""
    folder = shared(tmp_path)
    as_user(SOMEBODY_ELSE, (folder / "address.exec").touch)
    transport = Transport(folder)
    assert outcome(channel(transport)) == "answered"
    assert [order["mode"] for order in transport.executed] == ["start"]
    as_user(SOMEBODY_ELSE, (folder / "other.lock").touch)
    with pytest.raises(AnsibleConnectionFailure, match="it belongs to user"):
        _fork_lock.own_file(str(folder / "other.lock"))


@pytest.mark.parametrize("remote", [None, 5, "relative", "localhost:22", "/a:/b", "/a b", "-oProxyCommand=x", "/a\n/b"])
def test_a_socket_with_a_strange_name_is_not_led_to(
    channel: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, remote: object
) -> None:
    way = channel(Transport(tmp_path))
    monkeypatch.setattr(way, "_run", lambda order, become: {"socket": remote})
    assert "not a socket of a local client" in outcome(way)
    assert not (tmp_path / "address").exists()


def shared(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a directory like /tmp: every user can write to it, but only remove their own files."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    for each in (tmp_path, *tmp_path.parents[:3]):
        if each != pathlib.Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o011)
    return folder


@contextlib.contextmanager
def listening_as(uid: int, path: pathlib.Path) -> Iterator[Callable[[], bytes]]:
    """Let another user listen; yields what returns all that was said to the first who came."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.bind(str(path))
                path.chmod(0o777)
                sock.listen()
                os.write(writing, b"!")
                os.write(writing, sock.accept()[0].recv(1 << 16) or b"")
        finally:
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"!"
    with os.fdopen(reading, "rb") as stream:
        yield stream.read
    os.waitpid(child, 0)


# Core's ssh, which may end before it takes anything.


class Ended:
    """A connection whose ssh ends at once; core hears why only the third time."""

    vm_host_become = None

    def __init__(self, cause: BaseException) -> None:
        self.asked, self._cause = 0, cause

    def execute_on_vm_host(self, *_words: Any) -> None:
        self.asked += 1
        if self.asked < 3:
            raise AnsibleConnectionFailure("data could not be sent") from self._cause
        raise AnsibleConnectionFailure("Connection refused")


@pytest.mark.parametrize(
    ("cause", "said", "asked"),
    [(BrokenPipeError(), "Connection refused", 3), (TimeoutError(), "data could not be sent", 1)],
)
def test_why_ssh_ended_is_told(cause: BaseException, said: str, asked: int) -> None:
    connection = Ended(cause)
    with pytest.raises(AnsibleConnectionFailure, match=said):
        _transport.SshTransport(connection, "vm1").execute(["true"], b"data", become=False)
    assert connection.asked == asked


class Words:
    """A connection whose ssh command line does not name its host, as with a control path of %C."""

    vm_host_become = None

    def __init__(self, host: str, folder: pathlib.Path) -> None:
        self.host, self._folder = host, folder

    def get_option(self, name: str) -> str:
        return str(self._folder)

    def ssh_words(self, *words: str) -> list[str]:
        return ["ssh", "-o", "ControlPath=/x/%C", *words]


def test_two_vm_hosts_never_share_a_way(tmp_path: pathlib.Path) -> None:
    transports = [_transport.SshTransport(Words(host, tmp_path), host) for host in ("vm1", "vm2", "vm1")]
    first, other, again = (transport.address("key") for transport in transports)
    assert first == again
    assert first != other
