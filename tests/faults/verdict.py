# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one verdict on every row: in time, true, said why, nothing left, and the next run converges."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from faults.lab import BOOT_ID, DISKS, Lab
from faults.rows import Row
from support.ansible import Result, TaskResult
from support.paths import CACHE

OUTCOMES = CACHE / "faults"
SLACK = 60.0  # seconds that a busy machine may take beyond what a row allows; a hang would take for ever
MAY = "it may have happened"
CLASSES = ((3.0, "at once"), (10.0, "some seconds"), (30.0, "up to 30 s"), (120.0, "up to 2 min"))
WISHED = {"read": (), "info": (), "change": DISKS[:1], "set": DISKS}


def judge(lab: Lab, row: Row) -> dict[str, Any]:
    """Make the fault, run the tasks under it, mend it, run them again, and return what is to be told of it."""
    lab.reset(row.warm)
    before = Truth(lab)
    with row.fault(lab) as fault:
        under = lab.run(list(row.expected), row.options, timeout=row.within + SLACK)
    after = Truth(lab)
    told = {name: outcome(under.task(lab.guest.umid, name)) for name in row.expected}
    assert told == dict(row.expected), f"{fault or ''}{under}"
    for name in row.expected:
        _true(under.task(lab.guest.umid, name), row, before, after)
        _says(under.task(lab.guest.umid, name), row)
    _converges(lab, row)
    left = lab.strangers()
    assert not left, f"left behind: {left}"
    return _record(lab, row, under)


class Truth:
    """What the rig's own client sees, with what it did before in mind."""

    def __init__(self, lab: Lab) -> None:
        self.boot_id = lab.boot_id()
        self.disks = lab.disks()
        self.files = {"ubd1": str(lab.folder / "a"), "ubd2": str(lab.folder / "b")}


def outcome(task: TaskResult) -> str:
    """Return how a task ended, in one word or two."""
    if task.unreachable:
        return "unreachable"
    return ("failed" if task.failed else "ok") + (", changed" if task.changed else "")


def _true(task: TaskResult, row: Row, before: Truth, after: Truth) -> None:
    """Hold what a task says against what is so: no wrong ok, and no wrong changed."""
    kind = task.task.partition(" ")[0]
    if kind == "info" and not task.failed and not task.unreachable:
        states = [each["state"] for each in task.result["instances"]]
        assert states == [row.state], f"instance_info says {states}"
    elif kind == "read" and not task.failed and not task.unreachable:
        said = task.result["contents"][BOOT_ID]["text"].strip()
        assert said in (before.boot_id, after.boot_id), f"{said} is no boot of this instance"
    elif WISHED[kind]:
        _changed(task, {disk: after.files[disk] for disk in WISHED[kind]}, before, after)


def _changed(task: TaskResult, wished: Mapping[str, str], before: Truth, after: Truth) -> None:
    found = {disk: after.disks.get(disk) for disk in wished}
    is_other = before.boot_id != after.boot_id  # what a task changed went with the boot that it was done in
    if not task.failed and not task.unreachable:
        assert found == wished or is_other, f"{task.task} is ok, and the instance has {found}"
    elif found != {disk: before.disks.get(disk) for disk in wished} and not is_other:
        assert task.changed or MAY in task.result["msg"], f"{found} now, and it says {task.result}"
    else:
        assert not task.changed or is_other, f"it says changed, and is as before: {task.result}"


def _says(task: TaskResult, row: Row) -> None:
    """See that who reads the message knows what is wrong, and with what."""
    if task.failed or task.unreachable:
        said = task.result["msg"]
        wanted = row.says if isinstance(row.says, str) else row.says[task.task]
        assert re.search(wanted, said), f"{task.task}: {said!r} does not match {wanted!r}"
        assert "Traceback" not in said, said


def _converges(lab: Lab, row: Row) -> None:
    """Run once more, as an operator would, and twice: the second time nothing is changed."""
    wished = WISHED["set" if "set" in row.expected else "change"]
    change = "set" if "set" in row.expected else "change"
    run = lab.run(["read", change, f"{change} again"], row.after, timeout=row.within + SLACK)
    told = [outcome(run.task(lab.guest.umid, name)) for name in ("read", change, f"{change} again")]
    first = "ok, changed" if not row.is_done else "ok"
    assert told == ["ok", first, "ok"], run
    now = Truth(lab)
    assert now.disks == {disk: now.files[disk] for disk in wished}
    assert run.result(lab.guest.umid, "read")["contents"][BOOT_ID]["text"].strip() == now.boot_id


def _record(lab: Lab, row: Row, run: Result) -> dict[str, Any]:
    """Write down what came of a row, without what is another each time."""
    answers = [run.task(lab.guest.umid, name) for name in row.expected]
    seconds = max((answer.duration for answer in answers), default=0.0)
    found = {
        "name": row.name,
        "outcomes": {answer.task: outcome(answer) for answer in answers},
        "messages": list(dict.fromkeys(_plain(lab, a.result["msg"]) for a in answers if a.failed or a.unreachable)),
        "time": next((name for limit, name in CLASSES if seconds <= limit), "longer"),
        "next": "converges",
    }
    OUTCOMES.mkdir(parents=True, exist_ok=True)
    (OUTCOMES / f"{row.slug}.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def _plain(lab: Lab, text: str) -> str:
    """Return a message with names in the place of what is only ours."""
    ours = {str(lab.folder): "/srv", str(lab.home): "~", lab.host.address: "vm1", lab.user: "ada"}
    for word, name in ours.items():
        text = text.replace(word, name)
    return re.sub(r"\b(process|pid|port|user) \d+", r"\1 N", re.sub(r"-[0-9a-f]{12,}\b", "-…", text))
