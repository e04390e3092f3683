# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The declared instances of a VM host: checked, in the order in which they start, and what a look at them calls for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.inventory import detect_range, expand_hostname_range

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import placeholders

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # before ansible-core 2.19, which does not keep where a number was written
    Origin = None

_SPECS = Path(__file__).parents[2] / "roles" / "instances" / "meta" / "argument_specs.yml"
_UMID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_ENDS = ("stopped", "absent")
Options = Mapping[str, Any]
Declared = Mapping[str, Any]


@cache
def known_options() -> frozenset[str]:
    """Return the options that an instance may have, as the role documents them."""
    specs = yaml.safe_load(_SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return frozenset(specs["instances_fleet"]["options"]) - {"umid"}


# Declared.


def plan(fleet: Sequence[Declared], defaults: Options) -> dict[str, Any]:
    """Return `errors`, `instances` ({umid, name, depends_on, options}) in their turns, `groups` ({umids, options}).

    The options of an instance have its name and so on in place of placeholders; a group shares them as declared.
    """
    fleet = [single for row in fleet for single in _expanded(row)]
    errors = list(_errors(fleet, defaults))
    if errors:
        return {"errors": errors, "instances": [], "groups": []}
    ordered, circle = _ordered([_instance({**defaults, **row}) for row in fleet])
    if circle:
        return {"errors": [_circular(circle)], "instances": [], "groups": []}
    instances = _in_turn(ordered)
    own = [{**row, "options": placeholders.filled(row["options"], row["umid"])} for row in instances]
    return {"errors": [], "instances": own, "groups": _groups(instances)}


def _expanded(row: Declared) -> list[Declared]:
    """Return a row for each umid of a range such as web[1:10], as in an inventory; a broken range stays as it is."""
    umid = row.get("umid")
    if not isinstance(umid, str) or not detect_range(umid):
        return [row]
    try:
        return [{**row, "umid": name} for name in expand_hostname_range(umid)]
    except (AnsibleError, ValueError):
        return [row]


def _instance(row: Declared) -> dict[str, Any]:
    options = {key: value for key, value in row.items() if key not in ("umid", "depends_on")}
    depends_on = [str(umid) for umid in row.get("depends_on") or ()]
    umid = str(row["umid"])
    return {"umid": umid, "name": _name(umid, options), "depends_on": depends_on, "options": options}


def _ordered(instances: Sequence[Declared]) -> tuple[list[Declared], list[Declared]]:
    """Return instances in the declared order, each behind those that it depends on; and what is left of circles."""
    waiting, found = list(instances), []
    while waiting:
        open_ones = {row["umid"] for row in waiting}
        ready = next((row for row in waiting if not open_ones & set(row["depends_on"])), None)
        if ready is None:
            break
        waiting.remove(ready)
        found.append(ready)
    return found, waiting


def _circular(rows: Sequence[Declared]) -> str:
    """Return the sentence about a circle among instances that all wait for another of them."""
    after = {row["umid"]: next(umid for umid in row["depends_on"] if umid in _umids(rows)) for row in rows}
    path = [rows[0]["umid"]]
    while path[-1] not in path[:-1]:
        path.append(after[path[-1]])
    circle = path[path.index(path[-1]) :]
    return f"depends_on of {circle[0]} is a circle, {' -> '.join(circle)}; expected an order in which all can start"


def _umids(rows: Sequence[Declared]) -> set[str]:
    return {row["umid"] for row in rows}


def _groups(instances: Sequence[Declared]) -> list[dict[str, Any]]:
    """Return neighbours that are described alike, and do not depend on each other, as one group."""
    groups: list[dict[str, Any]] = []
    for row in instances:
        last = groups[-1] if groups else {"umids": [], "options": None}
        linked = set(row["depends_on"]) & set(last["umids"]) or row["umid"] in last.get("awaited", ())
        if last["options"] != row["options"] or linked:
            last = {"umids": [], "options": row["options"], "awaited": set()}
            groups.append(last)
        last["umids"].append(row["umid"])
        last["awaited"].update(row["depends_on"])
    return [{"umids": group["umids"], "options": group["options"]} for group in groups]


def _name(umid: str, options: Options) -> str:
    """Return a umid with its directory, where the instance names one."""
    return f"{options['uml_dir']}/{umid}" if options.get("uml_dir") else umid


def _in_turn(instances: Sequence[Declared]) -> list[Declared]:
    """Return what ends first, the last one before the others, because that frees memory and disks; then what starts."""
    ends = [row for row in instances if row["options"].get("state") in _ENDS]
    return [*reversed(ends), *(row for row in instances if row["options"].get("state") not in _ENDS)]


def _errors(fleet: Sequence[Declared], defaults: Options) -> Iterator[str]:
    yield from _unknown("instances_defaults", defaults)
    seen: set[str] = set()
    for row in fleet:
        umid = row.get("umid")
        yield from _unknown(f"instance {umid}", row)
        yield from _not_a_name(umid)
        name = _name(str(umid), {**defaults, **row})
        if name in seen:
            yield f"umid {umid} is declared twice; expected each umid once"
        seen.add(name)
    yield from _bad_dependencies([{**defaults, **row} for row in fleet])


def _bad_dependencies(rows: Sequence[Declared]) -> Iterator[str]:
    """Yield why a dependency is refused: it is not declared, or ends while the other one runs."""
    states = {str(row.get("umid")): row.get("state", "running") for row in rows}
    for row in rows:
        umid, depends_on = row.get("umid"), row.get("depends_on") or ()
        if isinstance(depends_on, str) or not isinstance(depends_on, Sequence):
            yield f"depends_on of {umid} is {depends_on!r}; expected a list of umids"
            continue
        for other in map(str, depends_on):
            if other not in states:
                yield f"{umid} depends on {other!r}, which is not declared; expected one of {', '.join(states)}"
            elif states[other] in _ENDS and row.get("state", "running") not in _ENDS:
                yield f"{umid} depends on {other}, which is declared as {states[other]}; expected a running instance"


def _unknown(where: str, options: Options) -> Iterator[str]:
    for name in options:
        if name not in known_options() | ({"umid"} if where != "instances_defaults" else set()):
            alike = get_close_matches(str(name), known_options(), 1)
            yield f"{where} has the unknown option {name!r}" + (f"; did you mean {alike[0]!r}?" if alike else "")


def _not_a_name(umid: Any) -> Iterator[str]:
    """Yield why a umid is refused; YAML reads 007, 12:30 and 1.10 as numbers, and no as a boolean."""
    written = _written(umid)
    if isinstance(umid, (bool, float)) or umid is None or (isinstance(umid, int) and written not in ("", str(umid))):
        example = f'umid: "{written}"' if written else 'such as umid: "1.10" or umid: "no"'
        yield f"umid {written or umid} is not text, for YAML reads it as {umid!r}; write it in quotes, {example}"
    elif not _UMID.fullmatch(str(umid)):
        yield (
            f"umid {umid!r} is not a name for an instance; expected 1 to 63 letters, digits, dots, dashes and "
            "underscores, the first of them not a dot or a dash, or a range such as web[1:10]"
        )


def _written(value: Any) -> str:
    """Return how a number was written in its file, or an empty text when that is not known."""
    if Origin is None:
        return ""
    try:
        origin = Origin.get_tag(value)
        line = Path(origin.path).read_text(encoding="utf-8").splitlines()[origin.line_num - 1]
        return re.split(r"[\s,}\]#]", line[origin.col_num - 1 :], maxsplit=1)[0]
    except (AttributeError, OSError, IndexError, TypeError, ValueError):
        return ""


# Looked at.


def changes(results: Sequence[Mapping[str, Any]], groups: Sequence[Declared], batch: int) -> dict[str, Any]:
    """Return what the answers of uml.mconsole.instance to the groups of a plan call for.

    That is `restarts`, as batches of alike instances, `warnings` about what stays otherwise than declared, and
    `left_running`, the instances that ran before and go on.
    """
    restarts, warnings, running = [], [], []
    for result, group in zip(results, groups, strict=True):
        rows = {umid: row for umid, row in (result.get("instances") or {}).items() if "state" in row}
        differing = {umid: found for umid, row in rows.items() if (found := differences(row))}
        if group["options"].get("restart", "never") == "never":
            warnings += [_warning(umid, found) for umid, found in differing.items()]
            differing = {}
        restarts += [{"umids": names, "options": group["options"]} for names in batches(list(differing), batch)]
        going_on = [umid for umid, row in rows.items() if _goes_on(row) and umid not in differing]
        running += [_name(umid, group["options"]) for umid in going_on]
    return {"restarts": restarts, "warnings": warnings, "left_running": running}


def differences(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declared options that take a restart; devices are changed while an instance runs."""
    return {name: value for name, value in (row.get("differences") or {}).items() if name != "devices"}


def batches(names: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    """Yield names in parts of so many."""
    return (names[start : start + size] for start in range(0, len(names), size))


def _goes_on(row: Mapping[str, Any]) -> bool:
    return row["state"] == "running" and not row.get("changed")


def _warning(umid: str, found: Mapping[str, Any]) -> str:
    texts = [f"{name} {_sides(value)}" for name, value in sorted(found.items())]
    return f"{umid} runs otherwise than declared: {'; '.join(texts)}. Set restart to have it restarted"


def _sides(value: Mapping[str, Any]) -> str:
    """Return what an instance runs with, and what is declared."""
    sides = [" ".join(map(str, side)) if isinstance(side, (list, tuple)) else str(side) for side in value.values()]
    return " -> ".join(side or "none" for side in sides)
