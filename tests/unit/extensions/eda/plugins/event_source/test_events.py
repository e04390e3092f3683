# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event source for Event-Driven Ansible, as a rulebook runs it, on journals of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._journal import journal
from support.paths import CHECKOUT
from support.processes import descendants

SOURCE = CHECKOUT / "extensions" / "eda" / "plugins" / "event_source" / "events.py"
TIME = 30.0
Event = dict[str, Any]


def load() -> ModuleType:
    """Return the source as a rulebook loads it: by its path."""
    spec = importlib.util.spec_from_file_location("events", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Listener:
    """A rulebook's end of the queue."""

    def __init__(self, queue: asyncio.Queue[Event]) -> None:
        self._queue = queue

    async def next(self) -> Event:
        """Return the next event."""
        return await asyncio.wait_for(self._queue.get(), TIME)

    async def nothing(self, seconds: float = 0.5) -> None:
        """See that none comes."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self._queue.get(), seconds)


@contextlib.asynccontextmanager
async def listening(**args: Any) -> AsyncIterator[Listener]:
    """Run the source with a queue of one place, as a rulebook has it, and cancel it in the end."""
    queue: asyncio.Queue[Event] = asyncio.Queue(1)
    task = asyncio.create_task(load().main(queue, args))
    try:
        yield Listener(queue)
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def local(folder: Path, name: str = "vm1", **options: Any) -> dict[str, Any]:
    """Return a host that is this machine, with its own journal."""
    return {"host": name, "transport": "local", "python": sys.executable, "journal_dir": str(folder / name), **options}


def event(umid: str, data: str, kind: str = "message", severity: str = "info") -> Event:
    """Return an event as the collector makes it."""
    return {"time": 1.0, "host": "h", "umid": umid, "type": kind, "severity": severity, "data": data}


def programs() -> list[int]:
    """Return the processes that this one has started."""
    return [pid for pid in descendants(os.getpid()) if pid != os.getpid()]


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(TIME):
        while not condition():
            await asyncio.sleep(0.02)


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story to its end, and see that nothing that it started is left."""
    before = programs()
    asyncio.run(story())
    assert programs() == before


def test_events_of_several_hosts_come_as_they_happen(tmp_path: Path) -> None:
    """Each says of which host it is; what was there before the start does not count."""

    async def story() -> None:
        with (
            contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as one,
            contextlib.closing(journal.Writer(str(tmp_path / "vm2"))) as two,
        ):
            one.append(event("old", "before"))
            async with listening(
                hosts=[local(tmp_path), local(tmp_path, "vm2")], position_file=str(tmp_path / "p")
            ) as to:
                await until(lambda: (tmp_path / "p").exists() and len(json.loads((tmp_path / "p").read_text())) == 2)
                one.append(event("web1", "first"))
                first = await to.next()
                two.append(event("web1", "second"))
                second = await to.next()
            assert (first["data"], first["vm_host"], first["seq"]) == ("first", "vm1", 2)
            assert (second["data"], second["vm_host"], second["seq"]) == ("second", "vm2", 1)

    run(story)


def test_a_rulebook_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """With a position file no event is missed between two runs, and none comes twice."""

    async def story() -> None:
        options = {"hosts": [local(tmp_path)], "position_file": str(tmp_path / "positions")}
        (tmp_path / "positions").write_text('{"vm1": 0}')
        with contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as writer:
            writer.append(event("web1", "one"))
            async with listening(**options) as to:
                assert (await to.next())["data"] == "one"
                await until(lambda: json.loads((tmp_path / "positions").read_text()) == {"vm1": 1})
            writer.append(event("web1", "two"))
            async with listening(**options) as to:
                assert (await to.next())["data"] == "two"
                await to.nothing()

    run(story)


def test_only_what_is_wanted_travels(tmp_path: Path) -> None:
    """The filter is applied on the VM host, but gap events always come."""

    async def story() -> None:
        wanted = {"types": ["panic"], "umids": ["web*"], "severity": "error", "search": "sysrq"}
        (tmp_path / "p").write_text('{"vm1": 0}')
        with contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as writer:
            for umid, data, kind in (("db1", "sysrq", "panic"), ("web1", "oom", "panic"), ("web1", "sysrq", "message")):
                writer.append(event(umid, data, kind, "critical"))
            writer.append(event("web1", "a sysrq", "panic", "critical"))
            async with listening(hosts=[local(tmp_path)], position_file=str(tmp_path / "p"), **wanted) as to:
                assert (await to.next())["seq"] == 4
                await to.nothing()

    run(story)


def test_a_connection_that_breaks_is_told_and_mended(tmp_path: Path) -> None:
    """Lost once, restored once, and what happened meanwhile is read then."""

    async def story() -> None:
        with contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as writer:
            async with listening(hosts=[local(tmp_path)], position_file=str(tmp_path / "p")) as to:
                await until((tmp_path / "p").exists)
                [program] = programs()
                os.kill(program, signal.SIGKILL)
                lost = await to.next()
                writer.append(event("web1", "meanwhile"))
                restored, meanwhile = await to.next(), await to.next()
        assert (lost["type"], lost["severity"], lost["vm_host"]) == ("source_lost", "warning", "vm1")
        assert restored["type"] == "source_restored"
        assert (meanwhile["data"], meanwhile["seq"]) == ("meanwhile", 1)

    run(story)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"python": "/nowhere/python3"}, "/nowhere/python3 cannot be started: No such file or directory"),
        ({"python": "/bin/false"}, "the connection ended"),
        ({"journal_dir": "/etc/shadow/x", "search": "("}, "search is not a regular expression: '(' "),
    ],
)
def test_a_host_that_cannot_be_followed_is_told_once(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    """The rulebook goes on, and the other hosts are followed all the same."""

    async def story() -> None:
        with contextlib.closing(journal.Writer(str(tmp_path / "vm2"))) as writer:
            hosts = [{**local(tmp_path), **options}, local(tmp_path, "vm2")]
            async with listening(hosts=hosts, position_file=str(tmp_path / "p")) as to:
                lost = await to.next()
                assert (lost["type"], lost["vm_host"]) == ("source_lost", "vm1")
                assert lost["data"].startswith(reason)
                await until((tmp_path / "p").exists)
                writer.append(event("web1", "still here"))
                assert (await to.next())["data"] == "still here"
                await to.nothing(1.5)  # it is tried again after one second, without a second event

    run(story)


def test_a_guest_cannot_smuggle_a_template_into_a_playbook(tmp_path: Path) -> None:
    """A rulebook hands events to playbooks as variables, which Ansible would template."""

    async def story() -> None:
        (tmp_path / "p").write_text('{"vm1": 0}')
        with contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as writer:
            writer.append(event("{{ 1 }}", "{{ lookup('pipe', 'id') }} {% if %} {# x #} {{{ 1 }}} {x}"))
            async with listening(hosts=[local(tmp_path)], position_file=str(tmp_path / "p")) as to:
                told = await to.next()
        assert told["data"] == "{ { lookup('pipe', 'id') }} { % if %} { # x #} { { { 1 }}} {x}"
        assert told["umid"] == "{ { 1 }}"

    run(story)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, "hosts is empty; expected the names of VM hosts"),
        ({"hosts": []}, "hosts is empty; expected the names of VM hosts"),
        ({"hosts": "vm1"}, "hosts is 'vm1'; expected a list"),
        ({"hosts": ["vm1", "vm1"]}, "hosts names vm1 twice"),
        ({"hosts": [{"name": "x"}]}, "a host is .*; expected a name for ssh, or a dict with host"),
        ({"hosts": ["-oProxyCommand=id"]}, "expected a name for ssh"),
        ({"hosts": [{"host": "vm1", "pyhton": "x"}]}, "of host vm1: unknown option 'pyhton'; expected one of "),
        ({"hosts": ["vm1"], "types": "panic"}, "types is 'panic'; expected a list"),
        ({"hosts": [7]}, "a host is 7; expected a name for ssh.*; write numbers in quotes"),
        ({"hosts": [{"host": "vm1", "name": 7}]}, "expected a name for ssh"),
        ({"hosts": ["vm1"], "umids": ["web1", 7]}, "umids has 7, which YAML does not read as text; write it in quotes"),
        ({"hosts": [{"host": "vm1", "umids": [False]}]}, "of host vm1: umids has False, which YAML"),
        ({"hosts": ["vm1"], "transport": "docker"}, "transport is 'docker'; expected ssh or local"),
    ],
)
def test_bad_arguments_are_named_at_once(args: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        asyncio.run(load().main(asyncio.Queue(1), args))


def test_by_hand_it_prints_lines_of_json(tmp_path: Path) -> None:
    """As its last lines say; the end of the terminal ends it and the program on the VM host."""
    (tmp_path / "p").write_text('{"vm1": 0}')
    with contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as writer:
        writer.append(event("web1", "hello"))
        words = json.dumps({"hosts": [local(tmp_path)], "position_file": str(tmp_path / "p")})
        process = subprocess.Popen([sys.executable, SOURCE, words], stdout=subprocess.PIPE, start_new_session=True)
        assert json.loads(process.stdout.readline())["data"] == "hello"
        started = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIME) == 0
        process.stdout.close()
    assert started
    assert [pid for pid in started if os.path.exists(f"/proc/{pid}")] == []


def test_with_feedback_the_position_moves_when_the_rules_have_taken_an_event(tmp_path: Path) -> None:
    """A rulebook that is killed before gets the event again; a new connection does not send it twice."""

    async def story() -> None:
        path = tmp_path / "positions"
        path.write_text('{"vm1": 0}')
        options = {"hosts": [local(tmp_path)], "position_file": str(path), "feedback": True}

        def position() -> int:
            return int(json.loads(path.read_text())["vm1"])

        with contextlib.closing(journal.Writer(str(tmp_path / "vm1"))) as writer:
            writer.append(event("a", "one"))
            async with listening(**options, eda_feedback_queue=asyncio.Queue(1)) as to:
                assert (await to.next())["data"] == "one"
                os.kill(programs()[-1], signal.SIGKILL)
                assert [(await to.next())["type"] for _event in range(2)] == ["source_lost", "source_restored"]
                writer.append(event("a", "two"))
                assert (await to.next())["data"] == "two"
                assert position() == 0
            taken: asyncio.Queue[Event] = asyncio.Queue(1)
            async with listening(**options, eda_feedback_queue=taken) as to:
                first, second = await to.next(), await to.next()
                assert [first["data"], second["data"]] == ["one", "two"]
                await taken.put({**first, "meta": {}})
                await until(lambda: position() == 1)
                await taken.put(second)
                await until(lambda: position() == 2)

    run(story)


def test_feedback_without_a_position_file_is_refused() -> None:
    with pytest.raises(ValueError, match="feedback is true without a position_file"):
        asyncio.run(load().main(asyncio.Queue(1), {"hosts": ["a"], "feedback": True}))
