# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the playbooks: read from their documentation, checked, and the hosts that they choose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

CONNECTION = "uml.mconsole.mconsole"
_INSIDE = "uml.mconsole.guest"
FOLDER = Path(__file__).parents[2] / "playbooks" / "documentation"
_SPEC = ("type", "elements", "choices", "default", "required")
_ALIKE = 0.8  # how close to an option a name is that is taken for a misspelt one
Options = Mapping[str, Mapping[str, Any]]


def document(playbook: str) -> dict[str, Any]:
    """Return the documentation of a playbook."""
    with (FOLDER / f"{playbook}.yml").open(encoding="utf-8") as stream:
        found: dict[str, Any] = yaml.safe_load(stream)
    return found


def options_of(playbook: str) -> Options:
    """Return the documented options of a playbook, by their names."""
    found: Options = document(playbook)["options"]
    return found


def short(playbook: str, name: str) -> str:
    """Return the name of an option without the playbook's."""
    return name.removeprefix(f"{playbook}_")


def values(playbook: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each option, by its name without the prefix; the default where none is given.

    :raises AnsibleActionFail: when a value is not of its type, or not among its choices
    """
    options = options_of(playbook)
    spec = {name: {key: row[key] for key in _SPEC if key in row} for name, row in options.items()}
    checked = ArgumentSpecValidator(spec).validate({name: given[name] for name in options if name in given})
    found = checked.validated_parameters
    errors = checked.error_messages or [*_too_small(options, found), *_unknown_keys(options, found)]
    if errors:
        raise AnsibleActionFail(f"playbook {playbook}: {'; '.join(errors)}")
    return {short(playbook, name): value for name, value in found.items()}


def _too_small(options: Options, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each number below the least that its option takes."""
    for name, row in options.items():
        if "minimum" in row and found[name] is not None and found[name] < row["minimum"]:
            yield f"{name} is {found[name]}; expected {row['minimum']} or more"


def _unknown_keys(options: Options, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each key that a dictionary may not have."""
    for name, row in options.items():
        for key in found[name] or () if "keys" in row else ():
            if key not in row["keys"]:
                alike = get_close_matches(str(key), row["keys"], 1)
                hint = f"; did you mean {alike[0]!r}?" if alike else f"; expected {', '.join(row['keys'])}"
                yield f"{name} has the unknown key {key!r}{hint}"


def misspelt(playbook: str, extra: Iterable[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what to fail with, and what to warn of, among the names of the extra variables of a run.

    A misspelt option would be ignored. So would V(target) without the prefix, which then means all hosts.
    """
    options, known = options_of(playbook), set(known)
    bare = {short(playbook, name): name for name in options if name not in known}
    typos = {name: _option_like(playbook, name, options) for name in extra}
    errors = [f"{name}; did you mean {option}?" for name, option in typos.items() if option]
    errors += [f"target; did you mean {bare['target']}?" for name in extra if name == "target" and name in bare]
    ignored = [name for name in extra if name in bare and name != "target"]
    return errors, [f"{name} is not an option of this playbook; did you mean {bare[name]}?" for name in ignored]


def _option_like(playbook: str, name: str, options: Options) -> str:
    """Return the option that a name is close to and is not, or nothing."""
    if name in options or not name.startswith(f"{playbook}_") or name.startswith(f"{playbook}__"):
        return ""
    return next(iter(get_close_matches(name, options, 1, _ALIKE)), "")


def is_instance(variables: Mapping[str, Any]) -> bool:
    """Return whether an inventory host is an instance."""
    return variables.get("ansible_connection") == CONNECTION


def choose(
    matching: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], kind: str, variables: Sequence[str]
) -> list[str]:
    """Return the hosts of a kind, instances, vm_hosts or all, that have one of the variables where there are any.

    The inside of a guest is neither an instance nor a VM host.
    """
    of_kind = [host for host in matching if kind in ("all", _kind_of(hostvars[host]))]
    return [host for host in of_kind if not variables or any(name in hostvars[host] for name in variables)]


def _kind_of(variables: Mapping[str, Any]) -> str:
    if variables.get("ansible_connection") == _INSIDE:
        return "inside"
    return "instances" if is_instance(variables) else "vm_hosts"


def why_none(target: str, matching: Sequence[str], kind: str, variables: Sequence[str], limit: str) -> str:
    """Return the sentence that says why no host was chosen, and what to do."""
    narrowed = f" within --limit {limit}" if limit else ""
    if not matching:
        return f"no host of the inventory matches {target!r}{narrowed}; nothing was done"
    hosts = f"none of the {len(matching)} hosts that match {target!r}{narrowed}"
    if variables:
        kinds = " is an instance and" if kind == "instances" else ""
        return f"{hosts}{kinds} has the variable {' or '.join(variables)}; nothing was done"
    if kind == "vm_hosts":
        return f"{hosts} is a VM host; nothing was done. Add the VM hosts themselves to the inventory"
    return (
        f"{hosts} is an instance (ansible_connection: {CONNECTION}); nothing was done. "
        "Add an inventory file that discovers instances, such as fleet.uml.yml"
    )


def place(path: str) -> Path:
    """Return a path on the controller: a relative one starts where the user is, and not where the playbook is."""
    return Path(os.getcwd()) / os.path.expanduser(path)
