# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit trail: what operations that change something leave in the journal, and what they do not."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._collector import operation_event, trail_socket
from ansible_collections.uml.mconsole.plugins.module_utils._collector.recorder import Recorder
from ansible_collections.uml.mconsole.plugins.module_utils._collector.trail_socket import Trail, TrailSocket
from ansible_collections.uml.mconsole.plugins.module_utils._journal import journal, trail
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import private_dir
from ansible_collections.uml.mconsole.plugins.module_utils._operations import perform, registry
from support.fake import FakeConsole
from support.run_as_user import NOBODY_IN_PARTICULAR, SOMEBODY_ELSE, as_user
from support.run_operation import operate, validated

Event = dict[str, Any]
Run = Callable[..., dict[str, Any]]
ORIGIN = {"controller_user": "bob", "controller_host": "ctl1", "login_uid": 0}


@pytest.fixture
def directory(uml_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the place of this user's journal, which is not there yet; sockets are in a place of the test."""
    base = uml_dir / "run"
    base.mkdir(mode=0o755)
    for module in (private_dir, trail):
        monkeypatch.setattr(module, "bases", lambda: [str(base)])
    for module in (trail, trail_socket):
        monkeypatch.setattr(module, "PUBLIC", str(base / "public"))
    path = uml_dir / "journal"
    monkeypatch.setattr(journal, "default_directory", lambda: str(path))
    return path


@pytest.fixture
def run(uml_dir: Path, directory: Path) -> Iterator[Run]:
    """Run an operation on a fake console called `fake`."""

    def operation(name: str, check: bool = False, origin: Event | None = None, /, **params: Any) -> dict[str, Any]:
        arguments = validated(name, {"umid": "fake", "uml_dir": str(uml_dir), **params})
        return perform.perform(registry.load(name), arguments, check, None, {**ORIGIN, **(origin or {})})

    with FakeConsole(uml_dir):
        yield operation


class Collector:
    """What of a collector takes entries: its sockets, and all that it would write."""

    def __init__(self, directory: Path, uml_dirs: list[str] | None = None, rate: float = 0) -> None:
        self.events: list[Event] = []
        self.recorder = Recorder(self.events.append, "vm1")
        self.sockets = trail_socket.open_sockets(str(directory), Trail(self.recorder, uml_dirs, rate))

    def read(self) -> list[Event]:
        """Return all that has come until now."""
        for each in self.sockets:
            each.answer()
        self.recorder.flush()
        return self.events


@contextlib.contextmanager
def collecting(directory: Path, **more: Any) -> Iterator[Collector]:
    """Yield a collector."""
    found = Collector(directory, **more)
    yield found
    for each in found.sockets:
        each.close()


def recorded(directory: Path) -> list[Event]:
    """Return what is in a journal."""
    return list(journal.Reader(str(directory)).read())


# What is written.


def test_a_change_is_written_with_who_did_what(run: Run, directory: Path, uml_dir: Path) -> None:
    with collecting(directory) as collector:
        assert run("request", command="config con5=pts")["changed"]
        (event,) = collector.read()
    assert event.pop("time") > 0
    assert event == {
        "host": "vm1",
        "umid": "fake",
        "uml_dir": str(uml_dir),
        "pid": None,
        "boot": None,
        "type": "operation",
        "severity": "info",
        "data": "root, for bob@ctl1: request: changed: config con5=pts",
        "operation": "request",
        "state": None,
        "error": None,
        "login_user": "root",
        "controller_user": "bob",
        "controller_host": "ctl1",
        "user": "root",
        "changed": True,
        "failed": False,
        "no_log": False,
        "commands": ["config con5=pts"],
        "commands_left_out": 0,
    }


def test_without_a_collector_it_goes_to_the_journal_of_the_last_one(run: Run, directory: Path) -> None:
    with contextlib.closing(journal.Writer(str(directory))) as writer:
        writer.append({"type": "collector_stopped", "data": ""})
    assert run("device", name="con5", config="pts", state="present")["changed"]
    event = recorded(directory)[1]
    assert (event["seq"], event["type"], event["operation"], event["state"]) == (2, "operation", "device", "present")
    assert event["data"] == "root, for bob@ctl1: device present: changed: config con5=pts"


def test_where_no_collector_ever_ran_nothing_is_made(run: Run, directory: Path) -> None:
    result = run("request", command="config con5=pts")
    assert result["changed"]
    assert "warnings" not in result
    assert not directory.exists()


@pytest.mark.parametrize(
    ("name", "params", "check"),
    [
        ("request", {"command": "version"}, False),
        ("request", {"command": "config con5=pts"}, True),
        ("device", {"name": "con5", "config": "pts"}, True),
        ("request", {"command": "nonsense"}, False),
        ("proc_info", {"path": "/proc/version"}, False),
    ],
)
def test_what_changes_nothing_is_not_written(run: Run, directory: Path, name: str, params: Any, check: bool) -> None:
    journal.make_directory(str(directory))
    with collecting(directory) as collector:
        run(name, check, **params)
        assert collector.read() == []
    run(name, check, **params)
    assert recorded(directory) == []


def test_a_failure_is_written_with_its_kind(run: Run, directory: Path) -> None:
    with collecting(directory) as collector:
        assert run("request", command="config nonsense=1")["failed"]
        (event,) = collector.read()
    assert (event["severity"], event["failed"], event["error"], event["changed"]) == ("warning", True, "refused", False)


def test_each_of_many_instances_is_written(run: Run, directory: Path, uml_dir: Path) -> None:
    with FakeConsole(uml_dir, "other"), collecting(directory) as collector:
        operate("kernel_log", umids=["*"], uml_dir=str(uml_dir), text="hello")
        assert sorted(event["umid"] for event in collector.read()) == ["fake", "other"]


def test_a_fault_of_ours_is_written_and_raised(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_task: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(registry.load("kernel_log"), "run", fail)
    with collecting(directory) as collector:
        with pytest.raises(ZeroDivisionError):
            run("kernel_log", text="hello")
        assert [event["error"] for event in collector.read()] == ["bug"]


# Secrets.


@pytest.mark.parametrize("name", ["kernel_log", "request"])
def test_what_is_logged_in_a_guest_is_left_out(run: Run, directory: Path, name: str) -> None:
    params = {"text": "s3cret"} if name == "kernel_log" else {"command": "log s3cret"}
    with collecting(directory) as collector:
        run(name, **params)
        (event,) = collector.read()
    assert "s3cret" not in json.dumps(event)
    assert event["commands"] == ["log (6 characters)"]


def test_a_task_with_no_log_says_what_ran_and_nothing_of_its_options(run: Run, directory: Path) -> None:
    with collecting(directory) as collector:
        run("device", False, {"no_log": True}, name="con5", config="pts", state="present")
        (event,) = collector.read()
    assert event["no_log"]
    assert (event["operation"], event["commands"], event["state"], event["changed"]) == ("device", [], None, True)
    assert "con5" not in json.dumps(event)


# Others.


def test_root_s_collector_takes_entries_of_other_users_under_their_own_name(directory: Path) -> None:
    lie = {"operation": "instance", "umid": "web1", "user": "root", "changed": True}
    with collecting(directory) as collector:
        assert as_user(NOBODY_IN_PARTICULAR, lambda: trail.send(lie)) is False
        (event,) = collector.read()
    assert (event["user"], event["umid"]) == (str(NOBODY_IN_PARTICULAR), "web1")


def test_root_s_own_socket_is_not_for_others(directory: Path) -> None:
    with collecting(directory) as collector:
        own = collector.sockets[0].path
        with pytest.raises(PermissionError):
            as_user(NOBODY_IN_PARTICULAR, lambda: trail._send(own, b"{}"))


def test_a_user_who_sends_too_much_is_counted_and_crowds_out_no_one(directory: Path) -> None:
    entry = {"operation": "device", "changed": True}

    def flood() -> None:
        for _entry in range(9):
            trail.send(entry)

    with collecting(directory, rate=0.2) as collector:  # a burst of 4
        as_user(NOBODY_IN_PARTICULAR, flood)
        as_user(SOMEBODY_ELSE, lambda: trail.send(entry))
        users = [event.get("user") for event in collector.read()]
    assert users == [str(NOBODY_IN_PARTICULAR)] * 4 + [str(SOMEBODY_ELSE)]


HOSTILE = [
    b"",
    b"nonsense",
    b"[" * 9999,
    b"[]",
    b"null",
    b'{"umid": {"a": 1}, "commands": "x", "changed": "yes", "failed": 1}',
    json.dumps({"umid": "\x1b[2J\ud800\n\u202eevil", "operation": "x" * 99999}).encode(),
    json.dumps({"commands": ["\x1b]0;x\x07" * 900, {}, None, *["y" * 299] * 400], "error": "\r\n"}).encode(),
]


@pytest.mark.parametrize("data", HOSTILE)
def test_whatever_is_sent_becomes_an_event_that_can_be_shown_or_none(directory: Path, data: bytes) -> None:
    with collecting(directory) as collector:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(data, collector.sockets[0].path)
        trail.send({"operation": "device", "umid": "after"})
        *events, last = collector.read()
    assert last["umid"] == "after"
    for event in events:
        line = json.dumps(event)
        assert len(line) < 20000
        texts = [event["data"], *(value for value in event.values() if isinstance(value, str)), *event["commands"]]
        assert all(text.isprintable() and "\u202e" not in text for text in texts)
        assert event["changed"] is False
        assert set(event) == {"time", "host", "pid", "boot", "type", "data", *operation_event.fields_of({}, 0)}


def test_a_collector_of_some_directories_leaves_out_the_others(directory: Path) -> None:
    with collecting(directory, uml_dirs=["/a"]) as collector:
        for uml_dir in ("/a", "/b", None):
            trail.send({"operation": "device", "uml_dir": uml_dir})
        assert [event["uml_dir"] for event in collector.read()] == ["/a", None]


# The journal stays whole, and within its size.


def test_a_collector_that_died_is_not_waited_for(run: Run, directory: Path) -> None:
    journal.make_directory(str(directory))
    found = TrailSocket(str(directory), False, lambda _entry, _uid: None)
    assert found._sock is not None
    found._sock.close()  # its name stays
    assert os.path.exists(found.path)
    assert "warnings" not in run("request", command="config con5=pts")
    assert [event["type"] for event in recorded(directory)] == ["operation"]


def test_a_writer_that_hangs_is_not_waited_for_and_the_result_says_so(run: Run, directory: Path) -> None:
    with contextlib.closing(journal.Writer(str(directory))):
        (warning,) = run("request", command="config con5=pts")["warnings"]
    assert warning.startswith("this operation is not in the journal of the VM host: another process writes")


def test_events_that_are_added_stay_within_the_size_that_the_collector_had(directory: Path) -> None:
    journal.Writer(str(directory), 1 << 16).close()
    for _event in range(900):
        trail.append(str(directory), {"type": "operation", "data": "x" * 200})
    taken = sum(os.path.getsize(each.path) for each in journal.files(str(directory)))
    assert 1 << 15 < taken <= 1 << 16
    numbers = [event["seq"] for event in recorded(directory) if event["type"] == "operation"]
    assert numbers[-1] == 900
    assert numbers == list(range(numbers[0], 901))


def test_who_adds_an_event_is_not_taken_for_a_collector(directory: Path) -> None:
    journal.make_directory(str(directory))
    lock = trail._visit(str(directory / journal.LOCK))
    assert not journal.is_written(str(directory))
    os.close(lock)
    with contextlib.closing(journal.Writer(str(directory))):
        assert journal.is_written(str(directory))
