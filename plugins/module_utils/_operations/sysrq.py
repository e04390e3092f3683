# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One magic SysRq key."""

from __future__ import annotations

from typing import Any, Dict

from .._mconsole import commands
from .._mconsole.errors import Error, RefusedError
from .._mconsole.parsing import parse_int
from .._mconsole.wire import Reply
from .._task import send
from .._task.task import Task

# The keys of a UML kernel; others print the help. R is there from 6.12 on (all of this measured on 6.1, 6.12, 7.2).
KEYS = (*"0123456789", *"bcefhijmnopqstuwR")
SCOPE = "console"
ARGUMENTS: Dict[str, Any] = {
    "key": {"type": "str", "required": True, "choices": list(KEYS)},
    "force": {"type": "bool", "default": False},
}
CONSTRAINTS: Dict[str, Any] = {}

_MAY_BOOT = 0x80  # SYSRQ_ENABLE_BOOT


def changes(params: Dict[str, Any]) -> bool:
    """Return whether the key changes something."""
    return commands.parse(f"sysrq {params['key']}").changes


def run(task: Task) -> Dict[str, Any]:
    """Send the key and return what the kernel printed."""
    key = task.params["key"]
    command = commands.parse(f"sysrq {key}")
    if key == "b":
        _check_restart(task)
    reply = send.send(task, command, bool(task.params.get("force")))
    if reply is not None:
        _check(task, key, reply)
    text = "" if reply is None else reply.text
    return {
        "changed": command.changes,
        "commands": [command.text],
        "text": text,
        "lines": text.splitlines(),
        "truncated": reply is not None and reply.truncated,
    }


def _check(task: Task, key: str, reply: Reply) -> None:
    """Find out from what was printed whether the guest obeyed; the kernel says OK in any case.

    :raises RefusedError: when it did not
    """
    first = next((line for line in reply.text.splitlines() if line.startswith("sysrq: ")), "")  # R prints old ones, too
    if first.startswith("sysrq: HELP") and key != "h":
        raise _refusal(task, key, "this kernel has no such key", said=reply.text, commands=[f"sysrq {key}"])
    if first == "sysrq: This sysrq operation is disabled." or (not reply.text and key != "b"):
        why = "the guest's kernel.sysrq does not allow it"
        raise _refusal(task, key, why, said=reply.text, commands=[f"sysrq {key}"])


def _check_restart(task: Task) -> None:
    """Ask before, because the kernel answers ``b`` before it acts; a guest that cannot be asked is trusted.

    Kernels of the 6.x series run themselves again with the signals blocked that were so in the interrupt, SIGALRM and
    SIGIO among them, and mostly spin endlessly then (8 of 12 tries; reboot and cad never).

    :raises RefusedError: when the guest would ignore it
    """
    try:
        allowed = parse_int(task.console.proc("sys/kernel/sysrq"))
        release = task.console.release()
    except Error:
        return
    if allowed not in (None, 1) and not (allowed or 0) & _MAY_BOOT:
        raise _refusal(task, "b", f"the guest's kernel.sysrq is {allowed}", said="")
    if release.startswith("6."):
        task.warn(f"Linux {release} mostly hangs when it is restarted by sysrq b; the console command reboot does not")


def _refusal(task: Task, key: str, why: str, **facts: Any) -> RefusedError:
    return RefusedError(f"{task.umid} did nothing for 'sysrq {key}': {why}", umid=task.umid, **facts)
