# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The instance that a task is about, decided in one place for every kind of task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError

HOST_VARIABLE = "inventory_hostname"
UMID_VARIABLE = "ansible_uml_umid"


def umid_of(task: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """Return the umid of the instance that a task is about.

    ``task`` are the keywords of the task, ``variables`` the variables of the host that its connection leads to. For a
    delegated task, ansible-core hands over the variables of the other host, except that inventory_hostname stays the
    name of the play's own host.

    :raises AnsibleError: when the umid is not text
    """
    named = variables.get(UMID_VARIABLE)
    if named is not None:
        return text(named, UMID_VARIABLE)
    return str(task.get("delegate_to") or variables.get(HOST_VARIABLE) or "")


def text(umid: Any, where: str) -> str:
    """Return a umid that is text.

    YAML reads 007 as 7, no as false, 1.10 as 1.1 and 12:30 as 750, and what was written can then not be known.

    :raises AnsibleError: when it is something else
    """
    if isinstance(umid, str):
        return umid
    raise AnsibleError(f"{where} is {umid!r}, which is not text; write the umid in quotes, such as '101'")


def check_named(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of a task that name an instance by something that is not text.

    :raises AnsibleError: then
    """
    if arguments.get("umid") is not None:
        text(arguments["umid"], "umid")
    if isinstance(arguments.get("umids"), (list, tuple)):
        for umid in arguments["umids"]:
            text(umid, "an item of umids")
