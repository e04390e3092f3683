# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one verdict on every row: in time, true, said why, nothing left, and the next run converges."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace

from faults import page
from faults.lab import BOOT_ID, DISKS, ELSEWHERE, LONG, Lab
from faults.rows import NO_ANSWER, Row
from support.ansible import Result, TaskResult
from support.wait import wait_until

SLACK = 60.0  # seconds that a busy machine may take beyond what a row allows; a hang would take for ever
MAY = "it may have happened"
CLASSES = ((3.0, "3 s"), (10.0, "10 s"), (30.0, "30 s"), (60.0, "60 s"))
WISHED: Mapping[str, tuple[str, ...]] = {"change": DISKS[:1], "set": DISKS}


def check_row(lab: Lab, row: Row) -> page.Line:
    """Make the fault, run the tasks under it, mend it, run them again, and return the line of the page."""
    lab.reset(row.warm)
    before = Truth(lab)
    with row.fault(lab):
        under = _run(lab, row)
    assert not lab.trouble, f"{lab.trouble}\n{under}"
    under = replace(under, tasks=[*under.tasks, *lab.elsewhere])
    before.boots |= lab.boots
    lab.forget()
    after = Truth(lab)
    told = {name: outcome(_answer(under, name)) for name in row.expected}
    assert told == dict(row.expected), under
    answers = [under.task(lab.guest.umid, name) for name, how in told.items() if how != NO_ANSWER]
    for answer in answers:
        _true(answer, row, before, after)
        _says(answer, row)
    _alone(answers)
    _converges(lab, row)
    left = lab.strangers()
    assert not left, f"left behind: {left}"
    return _line(lab, row, told, answers)


class Truth:
    """What the rig's own client sees, with what it did before in mind."""

    def __init__(self, lab: Lab) -> None:
        self.boot_id = lab.boot_id()
        self.boots = {self.boot_id}
        self.disks = lab.disks()
        self.long = lab.guest.request(f"proc {LONG}")[1].strip()
        self.files = {"ubd1": str(lab.folder / "a"), "ubd2": str(lab.folder / "b")}


def _run(lab: Lab, row: Row) -> Result:
    """Run the tasks under the fault, which is mended also when they hang."""
    here = [name for name in row.expected if not name.endswith(ELSEWHERE)]
    try:
        return lab.run(here, {**row.options, **lab.options}, env=lab.env, timeout=row.within + SLACK)
    except subprocess.TimeoutExpired as err:
        lab.trouble = f"it hangs: {err}"
        return Result(-1, "", "", [])


def _answer(under: Result, name: str) -> TaskResult | None:
    """Return what came of a task, if anything did."""
    return next((task for task in under.tasks if task.task == name), None)


def outcome(task: TaskResult | None) -> str:
    """Return how a task ended, in one word or two."""
    if task is None:
        return NO_ANSWER
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
        assert said in before.boots | after.boots, f"{said} is no boot of this instance"
    elif kind == "long" and not task.failed and not task.unreachable:
        found = task.result["contents"][LONG]
        assert (found["text"].strip(), found.get("truncated", False)) == (after.long, False), found
    elif kind in WISHED:
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


def _alone(answers: list[TaskResult]) -> None:
    """Check that of the tasks that request the same change only one reports it."""
    changed = [answer.task for answer in answers if answer.changed]
    assert len({name.partition(" ")[0] for name in changed}) == len(changed), f"one change, told twice: {changed}"


def _converges(lab: Lab, row: Row) -> None:
    """Run once more, as an operator would, and twice: the second time nothing is changed."""
    change = "set" if "set" in row.expected else "change"
    wished = {disk: str(lab.folder / file) for disk, file in zip(WISHED[change], "ab", strict=False)}
    if row.is_done:  # perhaps by a client for which no task waits any more
        wait_until(lambda: lab.disks() == wished, 60, lambda: f"{wished}, and not {lab.disks()}")
    run = lab.run(["read", change, f"{change} again"], timeout=row.within + SLACK)
    told = [outcome(run.task(lab.guest.umid, name)) for name in ("read", change, f"{change} again")]
    first = "ok, changed" if not row.is_done else "ok"
    assert told == ["ok", first, "ok"], run
    assert lab.disks() == wished
    assert run.result(lab.guest.umid, "read")["contents"][BOOT_ID]["text"].strip() == lab.boot_id()


def _line(lab: Lab, row: Row, told: Mapping[str, str], answers: list[TaskResult]) -> page.Line:
    """Return what came of a row, without what is another each time."""
    seconds = max((answer.duration for answer in answers), default=0.0)
    said = [_plain(lab, answer.result["msg"]) for answer in answers if answer.failed or answer.unreachable]
    return page.Line(
        name=row.name,
        outcomes=dict(told),
        messages=list(dict.fromkeys(said)),
        time=next((name for limit, name in CLASSES if seconds <= limit), "longer"),
        next="ok" if row.is_done else "ok, changed",
    )


def _plain(lab: Lab, text: str) -> str:
    """Return a message with names in the place of what is only ours."""
    ours = {str(lab.folder): "/srv", str(lab.home): "~", lab.host.address: "vm1", lab.user: "ada"}
    for word, name in ours.items():
        text = text.replace(word, name)
    text = re.sub(r"/tmp/uml\.ans\.\w+/h+", "/home/hhh…", text)
    text = re.sub(r"u{9,}", "uuu…", text)
    text = re.sub(r"-[0-9a-f]{12,}\b|(?<=cp/)[0-9a-f]{10}(\.\w+)?", "…", text)
    text = re.sub(r"^((Task|Action) failed: )+", "", " ".join(text.split()))  # Ansible's own words, by its version
    text = re.sub(r"(uml-mconsole-|\]:)\d+", r"\1N", text)
    return re.sub(r"\b(process|pid|port|user|owner) \d+", r"\1 N", text)
