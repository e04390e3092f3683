# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Get the answers of VM hosts, from the inventory's cache or from the VM hosts themselves.

Answers are kept as they came, each with its own age. Which instances become hosts, and under which names, is decided
on each run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible.errors import AnsibleError

from . import _ask_hosts, _inventory_hosts, _program
from ._ask_hosts import Answer
from ._vmhosts import VmHost

Records = dict[str, dict[str, Any]]


def read(cache: Mapping[str, Any], key: str, age: float) -> Records:
    """Return the cache's {VM host: record} without what is older than ``age`` seconds; with 0, nothing expires."""
    kept: Any = None
    with contextlib.suppress(AnsibleError):  # a cache that cannot be read is empty
        kept = cache.get(key)
    now = time.time()
    return {name: record for name, record in (kept or {}).items() if not age or now - record["at"] < age}


def gather(
    vm_hosts: Mapping[str, VmHost], questions: Mapping[str, Any], kept: Records, forks: int, timeout: float
) -> tuple[dict[str, Answer], Records]:
    """Return what each VM host answers, and what of that the cache keeps; ``kept`` is what it had."""
    prints = {name: _fingerprint(questions[name], vm_hosts[name].handed_on) for name in vm_hosts}
    kept = {name: record for name, record in kept.items() if record["print"] == prints.get(name)}
    jobs = {
        name: partial(vm_host.ask, "instance_info", questions[name])
        for name, vm_host in vm_hosts.items()
        if name not in kept
    }
    answers = {name: _checked(answer) for name, answer in _ask_hosts.ask(jobs, forks, timeout).items()}
    now = time.time()
    new = {
        name: {"at": now, "print": prints[name], "reply": answer.result}
        for name, answer in answers.items()
        if not answer.error
    }
    return {**{name: Answer(record["reply"]) for name, record in kept.items()}, **answers}, {**kept, **new}


def _fingerprint(question: Mapping[str, Any], reach: Mapping[str, Any]) -> str:
    """Return what changes with the question, the way to the VM host, and the code that answers."""
    whole = [question, reach, _program.signature()]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()


def _checked(answer: Answer) -> Answer:
    """Return an answer, or why it cannot be used: it comes from another machine."""
    try:
        if not answer.error:
            _inventory_hosts.check_answer(answer.result)
    except AnsibleError as err:
        return Answer({}, str(err))
    return answer
