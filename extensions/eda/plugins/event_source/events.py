# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Event-Driven Ansible: the events of the User-Mode Linux instances of many VM hosts, over ssh."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
import shlex
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

DOCUMENTATION = r"""
---
short_description: Receive events of User-Mode Linux instances
description:
  - Follows the journals of collectors on many VM hosts over ssh, with one connection to each host. Use
    M(uml.mconsole.collector) to start a collector. M(uml.mconsole.event_info) describes the keys of an event.
  - An event has the additional key C(vm_host), the name of the host in O(hosts).
  - The source never ends by itself, because that would end the whole rulebook. If it cannot reach a VM host, it sends
    one event of type V(source_lost) with the reason, and tries again after 1, 2, 4 and so on up to 60 seconds. When it
    reaches the host again, it sends V(source_restored), and then all events that the journal recorded in the meantime.
  - Text of a guest must not become a template of a playbook that receives the event. So the source puts a space between
    braces that would start a template.
options:
  hosts:
    description:
      - The VM hosts. Each is a name for ssh, or a dict with C(host). The dict can also have C(name), the value of
        C(vm_host) in events, and any of the options below, which then apply to this host only.
    type: list
    required: true
  transport:
    description: How to reach the VM hosts. With V(local) the program runs on this machine.
    type: str
    choices: [ssh, local]
    default: ssh
  ssh_args:
    description: Additional arguments for ssh, such as C([-l, uml, -p, "2222"]).
    type: list
    default: []
  python:
    description: The Python interpreter on the VM host, 3.8 or later.
    type: str
    default: python3
  journal_dir:
    description: Directory of the journal, by default that of the user on the VM host.
    type: str
  umids:
    description: Only events of these instances, names or globs.
    type: list
  types:
    description: Only events of these types. By default all but V(operation), which is what tasks do.
    type: list
  severity:
    description: Only events of this severity or worse.
    type: str
    choices: [debug, info, warning, error, critical]
    default: debug
  search:
    description: Only events whose text matches this regular expression.
    type: str
  position_file:
    description:
      - File on this machine that records the position in the journal of each host, so that a restarted rulebook
        continues there. Without it, the source sends only events that happen after its start.
    type: str
  feedback:
    description:
      - Move the position only when the rules have taken an event, so that a rulebook which was killed gets the event
        again. Needs a C(name) of the source, C(ansible-rulebook --persistence-id) and O(position_file).
      - An event that a filter drops is not reported as taken. The next one that is taken moves the position past it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: React to panics
  hosts: all
  sources:
    - uml.mconsole.events:
        hosts: [vm1.example.org, vm2.example.org]
        types: [panic, crashed]
  rules:
    - name: A panic
      condition: event.type == "panic"
      action:
        run_playbook:
          name: uml.mconsole.crash_report
          extra_vars:
            umid: "{{ event.umid }}"
"""

_SILENCE = 15.0  # seconds without a sign of life, after which a connection counts as lost; there is one each 2 seconds
_FAREWELL = 0.5  # seconds for a connection to end by itself
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_LINE = 1 << 20  # bytes
_ROOT = Path(__file__).resolve().parents[4]
_TEMPLATE = re.compile(r"\{(?=[{%#])")
_FILTERS = ("journal_dir", "umids", "types", "severity", "search")
_OPTIONS: dict[str, type[Any]] = {
    "hosts": list,
    "transport": str,
    "ssh_args": list,
    "python": str,
    "journal_dir": str,
    "umids": list,
    "types": list,
    "severity": str,
    "search": str,
    "position_file": str,
    "feedback": bool,
}
_NAMES = ("umids", "types")  # lists of text
Event = dict[str, Any]


async def main(queue: asyncio.Queue[Event], args: dict[str, Any]) -> None:
    """Put the events of all hosts into the queue, for ever.

    :raises ValueError: when an argument cannot be used
    """
    taken = args.get("eda_feedback_queue")  # of a rulebook, when feedback is wanted
    given = {key: value for key, value in args.items() if key != "eda_feedback_queue"}
    if given.get("feedback") and not given.get("position_file"):
        raise ValueError("feedback is true without a position_file; expected the file that keeps the positions")
    positions = _Positions(given.get("position_file"))
    followers = [_Follower(queue, positions, options, taken is not None) for options in _hosts(given)]
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    if taken is not None:
        tasks.append(asyncio.create_task(_confirm(taken, {follower.name: follower for follower in followers})))
    try:
        done, _others = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()  # once: each has a process to end
        await asyncio.gather(*tasks, return_exceptions=True)


async def _confirm(taken: asyncio.Queue[Event], followers: dict[str, _Follower]) -> None:
    """Move the positions past the events that the rules have taken, for ever."""
    while True:
        event = await taken.get()
        follower = followers.get(str(event.get("vm_host")))
        if follower is not None and isinstance(event.get("seq"), int):
            follower.confirm(event["seq"])


def _hosts(args: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each host: its own, and for the rest those of all hosts.

    :raises ValueError: when there is no host, two have the same name, or an option is unknown or of a wrong type
    """
    _check(args, "")
    shared = {key: value for key, value in args.items() if key not in ("hosts", "position_file", "feedback")}
    found = [{**shared, **_host(given)} for given in args.get("hosts") or ()]
    if not found:
        raise ValueError("hosts is empty; expected the names of VM hosts")
    for options in found:
        own = {key: value for key, value in options.items() if key not in ("host", "name")}
        _check(own, f"of host {options['host']}: ")
    names = [options["name"] for options in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"hosts names {', '.join(twice)} twice")
    return found


def _host(given: Any) -> dict[str, Any]:
    """Return the options of one host, with its name for ssh and its name in events.

    :raises ValueError: when it has no name, or one that YAML does not read as text
    """
    options = given if isinstance(given, dict) else {"host": given}
    host = options.get("host")
    name = options.get("name", host)
    if not isinstance(host, str) or not host or host.startswith("-") or not isinstance(name, str):
        raise ValueError(f"a host is {given!r}; expected a name for ssh, or a dict with host; write numbers in quotes")
    return {**options, "name": name}


def _check(options: dict[str, Any], where: str) -> None:
    for key, value in options.items():
        if key not in _OPTIONS:
            raise ValueError(f"{where}unknown option {key!r}; expected one of {', '.join(_OPTIONS)}")
        if value is not None and not isinstance(value, _OPTIONS[key]):
            raise ValueError(f"{where}{key} is {value!r}; expected a {_OPTIONS[key].__name__}")
        names: list[Any] = value if value and key in _NAMES else []
        for name in names:
            if not isinstance(name, str):
                raise ValueError(f"{where}{key} has {name!r}, which YAML does not read as text; write it in quotes")
    if options.get("transport") not in (None, "ssh", "local"):
        raise ValueError(f"{where}transport is {options['transport']!r}; expected ssh or local")


class _Positions:
    """How far each host was read; kept in a file when there is one."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path).expanduser() if path else None
        self._known: dict[str, int] = {}
        if self._path is not None and self._path.exists():
            self._known = {str(name): int(number) for name, number in json.loads(self._path.read_text()).items()}

    def get(self, name: str) -> int | None:
        return self._known.get(name)

    def set(self, name: str, position: int) -> None:
        if self._known.get(name) == position:
            return
        self._known[name] = position
        if self._path is not None:
            new = self._path.with_name(f"{self._path.name}.new")
            new.write_text(json.dumps(self._known))
            new.replace(self._path)


class _Follower:
    """One VM host: connects, passes its events on, and connects again."""

    def __init__(
        self, queue: asyncio.Queue[Event], positions: _Positions, options: dict[str, Any], waits: bool
    ) -> None:
        self._queue, self._positions, self._options = queue, positions, options
        self.name = self._name = str(options["name"])
        self._waits = waits  # for the rules, before the position moves
        self._unconfirmed = False
        self._read = positions.get(self._name)  # where the next connection continues
        self._lost = False
        self._wait = _FIRST_WAIT

    def confirm(self, position: int) -> None:
        """Note that the rules have taken all events up to a position."""
        self._unconfirmed = self._read is not None and position < self._read
        self._positions.set(self._name, position)

    async def run(self) -> None:
        """Follow the host for ever."""
        while True:
            reason = await self._follow()
            if not self._lost:
                self._lost = True
                await self._put(self._own("source_lost", "warning", reason))
            await asyncio.sleep(self._wait)
            self._wait = min(self._wait * 2, _LONGEST_WAIT)

    async def _follow(self) -> str:
        """Pass events on for as long as the connection lasts, and return why it ended."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE,
                start_new_session=True,
            )
        except OSError as err:
            return f"{self._command()[0]} cannot be started: {err.strerror}"
        said = asyncio.create_task(_last_words(process.stderr))
        try:
            reason = await self._converse(process)
        finally:
            await _end(process)
        return reason or await said or "the connection ended"

    def _command(self) -> list[str]:
        pack = _pack()
        python = str(self._options.get("python") or "python3")
        if self._options.get("transport") == "local":
            return [python, "-c", pack.STUB]
        options = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
        words = [word for option in options for word in ("-o", option)]
        further = [str(word) for word in self._options.get("ssh_args") or ()]
        return ["ssh", "-T", *words, *further, "--", str(self._options["host"]), shlex.join([python, "-c", pack.STUB])]

    async def _converse(self, process: asyncio.subprocess.Process) -> str:
        """Hand over the program and take its lines; return why they ended, or nothing when the process said why."""
        wanted = {key: self._options[key] for key in _FILTERS if self._options.get(key) is not None}
        order = {"mode": "follow", "after": self._read, **wanted}
        try:
            process.stdin.write(_pack().program(order))
            await process.stdin.drain()
            return await self._listen(process)
        except ConnectionError:
            return ""  # it would not even take the program
        except (ValueError, KeyError, TypeError) as err:
            return f"it says what is no event: {err!r}"

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        """Take lines until there are no more, or until none comes for too long.

        A clock ends the process then. `asyncio.wait_for` would do, but up to Python 3.11 it can swallow a cancellation.
        """
        silent = False

        def give_up() -> None:
            nonlocal silent
            silent = True
            _kill(process)

        while True:
            clock = asyncio.get_running_loop().call_later(_SILENCE, give_up)
            try:
                line = await process.stdout.readline()
            finally:
                clock.cancel()
            if not line:
                return f"no sign of life for {_SILENCE:g} seconds" if silent else ""
            failure = await self._take(line)
            if failure:
                return failure

    async def _take(self, line: bytes) -> str:
        """Take one line; return why it is the last, if it is."""
        if not line.startswith(b"{"):
            return ""  # a login shell may have its say first
        record = json.loads(line)
        if record.get("failed"):
            return str(record.get("msg"))
        position = int(record["position"])
        if self._lost:
            self._lost, self._wait = False, _FIRST_WAIT
            await self._put(self._own("source_restored", "info", "it is followed again"))
        self._read = position
        if isinstance(record.get("event"), dict):
            self._unconfirmed = self._waits
            await self._put({**record["event"], "vm_host": self._name})
        if not self._unconfirmed:
            self._positions.set(self._name, position)
        return ""

    def _own(self, kind: str, severity: str, data: str) -> Event:
        empty = dict.fromkeys(("seq", "host", "umid", "uml_dir", "pid", "boot"))
        return {**empty, "time": time.time(), "type": kind, "severity": severity, "data": data, "vm_host": self._name}

    async def _put(self, event: Event) -> None:
        await self._queue.put(_harmless(event))
        await asyncio.sleep(0)  # the queue has one place, and others want it as well


def _harmless(value: Any) -> Any:
    """Return a value whose texts are not templates."""
    if isinstance(value, dict):
        return {_harmless(key): _harmless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    return _TEMPLATE.sub("{ ", value) if isinstance(value, str) else value


async def _last_words(stream: asyncio.StreamReader) -> str:
    """Read all that is said, and return the last line."""
    last = b""
    with contextlib.suppress(ValueError):
        while line := await stream.readline():
            last = line.strip() or last
    return last.decode("utf-8", "replace")[:300]


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the connection: the program at its other end notices that its stdin is closed."""
    process.stdin.close()
    clock = asyncio.get_running_loop().call_later(_FAREWELL, _kill, process)
    await process.wait()
    clock.cancel()
    with contextlib.suppress(OSError):
        await process.stdin.wait_closed()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _pack() -> ModuleType:
    """Return what packs the program for VM hosts; a rulebook knows this file by its path, not as part of a package."""
    name = "uml_mconsole_pack"
    if name not in sys.modules:
        path = _ROOT / "plugins" / "plugin_utils" / "_program.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


class _Printer:
    """Stands in for the queue of a rulebook."""

    async def put(self, event: Event) -> None:
        """Print an event."""
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # To try it by hand: python3 events.py '{"hosts": ["vm1.example.org"], "severity": "warning"}'
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in what it starts with &
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(_Printer(), json.loads(sys.argv[1])))
