# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics over HTTP: what is answered, and clients that are slow, rude or many."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._collector import metrics_socket, sampler
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metrics_address import MetricsAddress, parse
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metrics_socket import MetricsSocket
from ansible_collections.uml.mconsole.plugins.module_utils._collector.sampler import Sampler
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.module_utils._metrics.guest import Sample

TEXT = "# HELP m é.\n" + "m 1\n" * 400_000  # more than a socket takes at once


class Server:
    """A server of metrics, and the part of the collector's loop that it needs."""

    def __init__(self, path: Path) -> None:
        self.selector = selectors.DefaultSelector()
        self.path = str(path)
        self.door = MetricsSocket(MetricsAddress(socket.AF_UNIX, self.path), lambda: TEXT, self.selector)
        self.selector.register(self.door, selectors.EVENT_READ, self.door.answer)

    def turn(self, timeout: float = 0.0) -> None:
        """Do what is to be done now."""
        for key, _events in self.selector.select(timeout):
            key.data()

    def client(self) -> socket.socket:
        """Return a connection that is accepted."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self.path)
        sock.setblocking(False)
        self.turn(1)
        return sock

    def ask(self, request: bytes) -> bytes:
        """Return the whole answer to a request."""
        with self.client() as sock:
            sock.sendall(request)
            return self.rest(sock)

    def rest(self, sock: socket.socket) -> bytes:
        """Return all that still comes, until the end."""
        found = b""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            self.turn()
            with contextlib.suppress(BlockingIOError):
                part = sock.recv(1 << 20)
                if not part:
                    return found
                found += part
        raise AssertionError(f"no end after {len(found)} bytes")


@pytest.fixture
def server(uml_dir: Path) -> Iterator[Server]:
    """Lend a server at a Unix socket."""
    found = Server(uml_dir / "metrics")
    yield found
    found.door.close()
    assert list(uml_dir.iterdir()) == []
    found.selector.close()


def test_the_metrics_come_whole(server: Server) -> None:
    head, _end, body = server.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
    assert body.decode() == TEXT
    assert f"Content-Length: {len(body)}".encode() in head
    assert server.ask(b"HEAD /metrics HTTP/1.0\n\n").partition(b"\r\n\r\n")[2] == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x00\xff\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 9000, b"431 Request Header Fields Too Large"),
    ],
)
def test_anything_else_is_refused(server: Server, request_: bytes, status: bytes) -> None:
    answer = server.ask(request_)
    assert answer.splitlines()[0] == b"HTTP/1.1 " + status
    assert len(answer) < 400


def test_a_request_may_come_letter_by_letter(server: Server) -> None:
    with server.client() as sock:
        for letter in b"GET /metrics HTTP/1.1\r\n\r\n":
            sock.sendall(bytes([letter]))
            server.turn()
        assert server.rest(sock).endswith(b"m 1\n")


def test_slow_clients_hold_up_neither_others_nor_the_loop(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(server.client()) for _client in range(metrics_socket._MOST + 5)]
        slow = stack.enter_context(server.client())
        slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")  # and does not read
        began = time.monotonic()
        server.turn()
        assert server.ask(b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < 5
        assert silent[0].recv(9) == b""  # those that came first had to go
        assert len(server.door._clients) <= metrics_socket._MOST
        later = time.monotonic() + metrics_socket._PATIENCE
        monkeypatch.setattr(metrics_socket.time, "monotonic", lambda: later)
        server.door.tick()
        assert server.door._clients == {}
        assert len(server.selector.get_map()) == 1


def test_a_client_that_goes_away_is_forgotten(server: Server) -> None:
    for request in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n"):
        with server.client() as sock:
            sock.sendall(request)
            server.turn()
        for _turn in range(3):
            server.turn()
        assert server.door._clients == {}


def test_a_dead_socket_is_replaced_and_anything_else_stays(uml_dir: Path) -> None:
    path = uml_dir / "metrics"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    server = Server(path)
    with pytest.raises(InputError, match=r"metrics_listen .*/metrics cannot be used: Address already in use"):
        Server(path)
    assert server.ask(b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
    path.unlink()
    assert not server.door.is_there()
    server.door.close()
    path.write_text("precious")
    with pytest.raises(InputError, match="Address already in use"):
        Server(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("text", "family", "target"),
    [
        ("127.0.0.1:9749", socket.AF_INET, ("127.0.0.1", 9749)),
        ("[::1]:9749", socket.AF_INET6, ("::1", 9749)),
        ("/run/uml.sock", socket.AF_UNIX, "/run/uml.sock"),
    ],
)
def test_addresses(text: str, family: socket.AddressFamily, target: Any) -> None:
    assert parse(text) == MetricsAddress(family, target)


@pytest.mark.parametrize(
    "text",
    ["9749", ":9749", "localhost:9749", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "1.2.3:5", "::1:9749", "x"],
)
def test_other_texts_are_not_addresses(text: str) -> None:
    with pytest.raises(InputError, match="expected an address with a port such as"):
        parse(text)


def test_a_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="has over 107 bytes"):
        parse("/" + "x" * 108)


# The questions to instances.


def test_one_that_does_not_answer_is_asked_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question stays in its queue, which holds few; after a boot it is asked again."""
    now = [1000.0]
    asked: list[float] = []
    monkeypatch.setattr(sampler.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sampler, "sample", lambda console: asked.append(now[0]) or Sample(None, {}, {}, {}))
    tracked: Any = SimpleNamespace(pid=7, boot=1, sample=None, place=SimpleNamespace(console="/c/mconsole", umid="c"))
    found = Sampler(lambda: [tracked])
    for _second in range(3600):
        now[0] += 1
        found.tick()
        found._round.join()
    assert 8 <= len(asked) <= 12
    assert tracked.sample.latency is None
    tracked.boot = 2
    before = len(asked)
    now[0] += 15
    found.tick()
    found._round.join()
    assert len(asked) == before + 1
    found.close()


def test_a_round_that_has_not_ended_is_not_joined_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(sampler.time, "monotonic", lambda: now[0])
    found = Sampler(list)
    found._round = SimpleNamespace(is_alive=lambda: True, ident=None)  # type: ignore[assignment]
    before = found._round
    found.tick()
    assert found._round is before
    found.close()
