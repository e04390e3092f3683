# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The identity guard: what may go to an instance, and what would hit its VM host by mistake."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands, errors

PING = "ansible.modules.ping"
# What core takes from an action and not from a module; that it does so has another name in each ansible-core.
_OF_ACTIONS = ("add_host", "add_group")
_OURS = "ansible_collections.uml.mconsole.plugins.modules."
# The packed payload names its module: mod_name= in ansible-core 2.17 and 2.18, module_fqn= since.
_PAYLOAD_NAME = re.compile(rb"\b(?:mod_name|module_fqn)=u?['\"]([A-Za-z0-9_.]+)['\"]")
_DISCOVERY = re.compile(r"(echo PLATFORM; uname; )?echo FOUND; (command -v '?[\w./]+'?; )+echo ENDFOUND")


def digest(text: str) -> str:
    """Return a short name for a long identity."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def refusal(umid: str, what: str) -> str:
    """Return the one sentence that refuses what is not the console's business."""
    return (
        f"{umid} is a User-Mode Linux instance reached through its management console, which takes {what};"
        " use the modules of uml.mconsole, or delegate the task to the VM host"
    )


def answer_discovery(cmd: str, in_data: bytes | None) -> bytes | None:
    """Return what core's interpreter discovery wants to hear, or None when this is none.

    The Python of a payload is the local client's own, so nothing needs to be looked for on the VM host.
    """
    if in_data and b"platform_dist_result" in in_data and b"osrelease_content" in in_data and len(in_data) < 4096:
        return b'{"platform_dist_result": [], "osrelease_content": ""}'
    if in_data or not _DISCOVERY.match(cmd):
        return None
    platform = b"PLATFORM\nLinux\n" if cmd.startswith("echo PLATFORM") else b""
    return platform + b"FOUND\n/usr/bin/python3\nENDFOUND\n"


def payload_name(payload: bytes, umid: str) -> str:
    """Return the full name of the module in a payload.

    :raises AnsibleError: when it is not one that concerns an instance
    """
    names = {name.decode() for name in _PAYLOAD_NAME.findall(payload)}
    if len(names) == 1:
        name = names.pop()
        if name == PING or name.startswith(_OURS):
            return name
        names.add(name)
    named = ", ".join(sorted(name.replace("ansible.modules.", "ansible.builtin.") for name in names))
    raise AnsibleError(refusal(umid, f"no module of another collection ({named or 'unknown'})"))


def console_command(text: str, umid: str) -> str:
    """Return text when it is a console command.

    :raises AnsibleError: when it is not
    """
    try:
        return commands.parse(text).text.rstrip("\n")
    except errors.InputError as err:
        if text.partition(" ")[0] in commands.WORDS or not re.search(r"[;&|/~$'\"]", text):
            raise AnsibleError(f"{umid}: {err}") from err
        raise AnsibleError(refusal(umid, f"no shell commands ({text[:60]!r})")) from err


def as_of_a_module(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what only an action may say: a VM host must not add hosts to the inventory."""
    left = {key: value for key, value in answer.items() if key not in _OF_ACTIONS and not key.startswith("_ansible_")}
    facts = left.get("ansible_facts")
    if isinstance(facts, dict):
        kept = {key: value for key, value in facts.items() if "discovered_interpreter_" not in key}
        left["ansible_facts"] = kept
    return left
