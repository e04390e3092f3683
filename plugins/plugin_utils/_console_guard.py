# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard of the console: what may go to an instance, and what would hit its VM host by mistake."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import re
from typing import Any

from ansible.errors import AnsibleError

PING = "ansible.modules.ping"
SETUP = "ansible.modules.setup"
OURS = "ansible_collections.uml.mconsole.plugins.modules."
GATHERING = ("setup", "gather_facts")  # actions whose setup is about the instance; others use it to choose a module
UNREACHABLE = ("not_there", "unanswered")  # kinds of errors of an instance that ends, hangs or does not exist
# What core takes from an action and not from a module; that it does so has another name in each ansible-core.
_OF_ACTIONS = ("add_host", "add_group")
# The packed payload names its module: mod_name= in ansible-core 2.17 and 2.18, module_fqn= since.
_PAYLOAD_NAME = re.compile(rb"\b(?:mod_name|module_fqn)=u?['\"]([A-Za-z0-9_.]+)['\"]")
_PAYLOAD_ARGUMENTS = re.compile(rb"(?m)^ *(?:ANSIBALLZ_PARAMS = |params=)(b?['\"]\{.*\}['\"]),?$")
_DISCOVERY = re.compile(r"(echo PLATFORM; uname; )?echo FOUND; (command -v '?[\w./]+'?; )+echo ENDFOUND")
_TO_THE_VM_HOST = "use the modules of uml.mconsole, or delegate the task to the VM host"
# What to do instead, by the last part of the action's name; a task that ends the machine is not for the VM host.
_INSTEAD = {
    "reboot": "use uml.mconsole.instance with state=restarted",
    "shutdown": "use uml.mconsole.instance with state=stopped",
    "raw": "use a console command, such as version",
    **dict.fromkeys(
        ("command", "shell", "script", "expect"),
        "use uml.mconsole.request or ansible.builtin.raw for a console command, or delegate the task to the VM host",
    ),
    **dict.fromkeys(
        ("package", "apt", "dnf", "yum", "apk"), "install packages into the guest's image, or over ssh to the guest"
    ),
    "setup": "use uml.mconsole.instance_facts",
}


def digest(text: str) -> str:
    """Return a short name for a long identity."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def refusal(umid: str, action: str | None, limit: str) -> str:
    """Return the sentence that refuses a task: who, what, why, and what to do instead."""
    instead = _INSTEAD.get(short(action), _TO_THE_VM_HOST)
    return f"{_refused(action)}{_reached(umid)}, which {limit}; {instead}"


def refuse_async(umid: str, action: str | None) -> str:
    """Return the sentence that refuses a task in the background."""
    return (
        f"{_refused(f'{action} with async' if action else None)}{_reached(umid)}, which runs no jobs in the background;"
        " remove async from the task"
    )


def _refused(action: str | None) -> str:
    return f"{action} was refused and nothing was done: " if action else ""


def _reached(umid: str) -> str:
    return f"{umid} is a User-Mode Linux instance reached through its management console"


def short(action: str | None) -> str:
    """Return the last part of an action's name, which differs between its short and full names."""
    return (action or "").rpartition(".")[2]


def answer_discovery(cmd: str, in_data: bytes | None) -> bytes | None:
    """Return the answer to core's interpreter discovery, or None when this is something else.

    The Python of a payload is the local client's own, so nothing needs to be looked for on the VM host.
    """
    if in_data and b"platform_dist_result" in in_data and b"osrelease_content" in in_data and len(in_data) < 4096:
        return b'{"platform_dist_result": [], "osrelease_content": ""}'
    if in_data or not _DISCOVERY.match(cmd):
        return None
    platform = b"PLATFORM\nLinux\n" if cmd.startswith("echo PLATFORM") else b""
    return platform + b"FOUND\n/usr/bin/python3\nENDFOUND\n"


def name_of_payload(payload: bytes) -> str | None:
    """Return the full name of the module in a payload, or None when it does not say one."""
    names = {name.decode() for name in _PAYLOAD_NAME.findall(payload)}
    return names.pop() if len(names) == 1 else None


def payload_name(payload: bytes, umid: str, action: str | None = None) -> str:
    """Return the full name of the module in a payload.

    :raises AnsibleError: when it is not one that concerns an instance
    """
    names = sorted({name.decode() for name in _PAYLOAD_NAME.findall(payload)})
    name = names[0] if len(names) == 1 else ""
    if name == PING or name.startswith(OURS) or (name == SETUP and short(action) in ("", *GATHERING)):
        return name
    named = ", ".join(found.replace("ansible.modules.", "ansible.builtin.") for found in names)
    raise AnsibleError(refusal(umid, action or named or None, "runs only the modules of uml.mconsole"))


def payload_arguments(payload: bytes) -> dict[str, Any] | None:
    """Return the arguments of the module in a payload, or None when this ansible-core packs them in another way."""
    found = _PAYLOAD_ARGUMENTS.findall(payload)
    if len(found) != 1:
        return None
    with contextlib.suppress(ValueError, SyntaxError, KeyError, TypeError):
        arguments = json.loads(ast.literal_eval(found[0].decode()))["ANSIBLE_MODULE_ARGS"]
        return arguments if isinstance(arguments, dict) else None
    return None


def console_command(text: str, umid: str, action: str | None = None) -> str:
    """Return text when it is a console command.

    :raises AnsibleError: when it is something else, or is from an action other than raw, which means it for a shell
    """
    if short(action) not in ("", "raw"):
        raise AnsibleError(refusal(umid, action, "has no shell"))
    # Here, because only raw needs it, and each process that gathers facts has to load this file.
    from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands, errors

    try:
        return commands.parse(text).text.rstrip("\n")
    except errors.InputError as err:
        if text.partition(" ")[0] in commands.WORDS or not re.search(r"[;&|/~$'\"]", text):
            raise AnsibleError(f"{umid}: {err}") from err
    raise AnsibleError(refusal(umid, action, f"takes no shell commands (found {text[:60]!r})"))


def as_of_a_module(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what only an action may return: a VM host must not add hosts to the inventory."""
    left = {key: value for key, value in answer.items() if key not in _OF_ACTIONS and not key.startswith("_ansible_")}
    for name in ("stdout", "stderr"):  # as core does with the result of a module
        if name in left and f"{name}_lines" not in left:
            left[f"{name}_lines"] = (left[name] or "").splitlines()
    facts = left.get("ansible_facts")
    if isinstance(facts, dict):
        kept = {key: value for key, value in facts.items() if "discovered_interpreter_" not in key}
        left["ansible_facts"] = kept
    return left
