# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that lie: after any answer of a console, the operation has a result, and so do the other instances.

The texts are long enough that anything which looks at each character for each other one would not end within an hour.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._facts import distribution, facts
from ansible_collections.uml.mconsole.plugins.module_utils._guest import memory, parsers
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import dangers
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from ansible_collections.uml.mconsole.plugins.module_utils._operations import stack_info
from support import adversarial
from support.devices import image
from support.fake import FakeConsole
from support.fake_kernel import Kernel, Part
from support.run_operation import operate

LONG = 1 << 18
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "a disk": ("device", {"name": "ubd1", "file": "{folder}/disk"}),
    "a line": ("device", {"name": "con5", "config": "pts"}),
    "an interface": ("device", {"name": "vec1", "config": "transport=tap,ifname=lo"}),
    "a disk less": ("device", {"name": "ubd1", "state": "absent"}),
    "all devices": ("devices", {"config": {"ubd1": "{folder}/disk", "con5": "pts"}, "state": "overridden"}),
    "memory": ("memory", {"size": "32M"}),
    "a request": ("request", {"command": "version"}),
    "a key": ("sysrq", {"key": "m"}),
    "a line of the log": ("kernel_log", {"text": "x"}),
    "a stack": ("stack_info", {}),
    "files": ("proc_info", {"paths": ["meminfo", "/etc/hostname"]}),
    "facts": ("instance_facts", {"gather_subset": ["all"]}),
    "information": ("instance_info", {"gather_subset": ["all"]}),
    "a backup": ("disk_backup", {"dest": "{folder}/backup", "sync_timeout": 0.1}),
    "a state": ("instance", {"state": "running"}),
}
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(uml_dir: Path, sockets: ReplySockets, tmp_path: Path) -> Ask:
    """Run an operation of the table on the fake, and return its result, which is JSON."""
    image(tmp_path / "disk")

    def one(name: str) -> dict[str, Any]:
        operation, params = OPERATIONS[name]
        given = json.loads(json.dumps(params).replace("{folder}", str(tmp_path)))
        whom = {} if operation == "instance_info" else {"umid": "fake"}
        result = operate(operation, False, sockets, uml_dir=str(uml_dir), **whom, **given)
        json.dumps(result, allow_nan=False).encode("ascii")
        return result

    return one


@pytest.mark.parametrize(
    ("lie", "err"), [*((lie, 0) for lie in adversarial.TEXTS), ("nothing", 1), ("escapes", 1), ("no UTF-8", 1)]
)
def test_a_liar_gets_a_result(uml_dir: Path, ask: Ask, lie: str, err: int) -> None:
    """Lies as an answer come after a word of truth, so that they are looked into."""
    with FakeConsole(uml_dir, kernel=adversarial.ConstantReply(text=adversarial.TEXTS[lie], err=err, honest=not err)):
        for name in OPERATIONS:
            result = ask(name)
            assert "changed" in result, name
            assert "Traceback" not in str(result), name


@pytest.mark.parametrize("seed", range(12))
def test_a_drunk_gets_a_result(uml_dir: Path, ask: Ask, seed: int) -> None:
    with FakeConsole(uml_dir, kernel=adversarial.RandomReply(source=random.Random(seed))):
        for name in OPERATIONS:
            assert "changed" in ask(name), name


# Texts that a parser could be held up by.


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parsers.platform, "Linux " + "a #b " * LONG + "\nx y"),
        (parsers.selected, "[" * LONG),
        (lambda text: distribution.distribution({"VERSION": text}), "(" * LONG),
        (lambda text: distribution.distribution({"ID": "debian", "PRETTY_NAME": text}), "a" * LONG),
        (lambda text: distribution.distribution({"ID": "debian"}, text), "1" * LONG),
        (dangers.listed, "\n" * LONG),
        (memory._counters, "a:" + "\n" * LONG),
    ],
)
def test_no_text_holds_a_parser_up(parse: Callable[[str], object], text: str) -> None:
    assert not str(parse(text)).count("a" * 100)


def test_a_true_version_is_understood_behind_any_name() -> None:
    found = parsers.platform("Linux a #1 b\n{{ c }} 6.1.176 #1 Sat Jul  4 15:38:16 UTC 2026 x86_64")
    assert found["nodename"] == "a #1 b\n{{ c }}"
    assert (found["kernel"], found["machine"]) == ("6.1.176", "x86_64")
    assert found["kernel_version"] == "#1 Sat Jul  4 15:38:16 UTC 2026"


# A guest that has no end, or all the time in the world.


def gather(path: Path, sockets: ReplySockets, *subsets: str, seconds: float = 60) -> dict[str, Any]:
    """Return the facts of an instance in one dictionary."""
    console = Console(str(path), sockets=sockets, read_only=True)
    standard, uml = facts.gather(console, facts.select(subsets), seconds=seconds)
    return {**standard, "uml": uml}


class Crowd(Kernel):
    """Has more of everything than anybody wants to hear of."""

    def answer(self, command: str) -> list[Part] | None:
        """Return long lists."""
        lists = {
            "proc partitions": "".join(f"98 {number} 64 d{number}x\n" for number in range(500)),
            "proc interrupts": " ".join(f"vec{number}" for number in range(500)),
            "proc 1/mounts": "sysfs /sys sysfs rw 0 0\n",
        }
        return [Part(0, lists.get(command, "1"))]


def test_a_crowd_is_counted_up_to_a_bound(uml_dir: Path, sockets: ReplySockets) -> None:
    with FakeConsole(uml_dir, kernel=Crowd()) as fake:
        found = gather(fake.console, sockets, "!all", "devices", "interfaces")
    assert len(found["devices"]) == len(found["interfaces"]) == 64
    assert sorted(found["uml"]["truncated"]) == ["devices", "interfaces"]


def test_a_file_is_looked_at_up_to_a_bound(uml_dir: Path, sockets: ReplySockets) -> None:
    with FakeConsole(uml_dir, kernel=Kernel(files={"1/root/etc/resolv.conf": b"search " + b"a" * 40_000})) as fake:
        found = gather(fake.console, sockets, "dns")
    assert len(found["dns"]["search"][0]) < 1 << 14
    assert "proc 1/root/etc/resolv.conf" in found["uml"]["truncated"]


class Slow(Kernel):
    """Answers everything, in no hurry."""

    def answer(self, command: str) -> list[Part] | None:
        """Return something after a while."""
        time.sleep(0.05)
        return super().answer(command)


def test_a_slow_guest_is_not_waited_for_for_ever(uml_dir: Path, sockets: ReplySockets) -> None:
    with FakeConsole(uml_dir, kernel=Slow()) as fake:
        found = gather(fake.console, sockets, "all", seconds=0.5)
        asked = len(fake.received)
    late = [each["query"] for each in found["uml"]["unavailable"] if "took so long" in each["reason"]]
    assert "config ssl63" in late
    assert asked < 20
    assert found["kernel"]


def test_a_bug_that_one_guest_finds_costs_the_others_nothing(
    uml_dir: Path, sockets: ReplySockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(task: Any) -> dict[str, Any]:
        if task.umid == "bad":
            raise KeyError("MemFree")
        return {"changed": False}

    monkeypatch.setattr(stack_info, "run", broken)
    with FakeConsole(uml_dir, "bad"), FakeConsole(uml_dir, "good"):
        result = operate("stack_info", False, sockets, umids=["*"], uml_dir=str(uml_dir))
    assert result["instances"]["good"] == {"changed": False, "umid": "good"}
    assert "a bug of the collection: KeyError: 'MemFree'" in result["instances"]["bad"]["msg"]
    assert result["failed"]


def test_facts_that_one_guest_breaks_cost_the_others_nothing(
    uml_dir: Path, sockets: ReplySockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = facts.gather

    def broken(console: Console, *arguments: Any, **more: Any) -> Any:
        if console.umid == "bad":
            raise KeyError("MemFree")
        return whole(console, *arguments, **more)

    monkeypatch.setattr(facts, "gather", broken)
    with FakeConsole(uml_dir, "bad"), FakeConsole(uml_dir, "good"):
        rows = operate("instance_info", False, sockets, uml_dir=str(uml_dir), gather_subset=["min"])["instances"]
    told = {row["umid"]: row for row in rows}
    assert told["good"]["facts"]["nodename"] == "good"
    assert "a bug of the collection: KeyError: 'MemFree'" in told["bad"]["facts_error"]


def test_words_for_people_cannot_command_their_terminal(uml_dir: Path, sockets: ReplySockets) -> None:
    """Ansible prints messages and warnings as they are; a name of a directory is anybody's choice."""
    evil = "\x1b]0;title\x07\x1b[2Jx\x9b31m"
    with FakeConsole(uml_dir, kernel=adversarial.ConstantReply(text=evil, err=1)), FakeConsole(uml_dir, evil) as fake:
        refused = operate("request", False, sockets, umid="fake", uml_dir=str(uml_dir), command="config con1=pts")
        missing = operate("request", False, sockets, umid="none", uml_dir=str(uml_dir), command="version")
        fake.console.chmod(0o777)
        seen = operate("instance_info", False, sockets, uml_dir=str(uml_dir))
    told = [refused["msg"], missing["msg"], *seen["warnings"]]
    assert all("x" in each and not set(each) & set("\x1b\x07\x9b") for each in told)
    assert evil in {row["umid"] for row in seen["instances"]}, "data is as it is"
