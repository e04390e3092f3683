# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what runs on a VM host as variables of the role instances: short, as a person would, and in YAML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

MARK = "# Written by the playbook uml.mconsole.adopt from what runs. Check it with uml.mconsole.fleet --check --diff."
_ORDER = [
    "umid",
    "state",
    "uml_dir",
    "supervisor",
    "kernel",
    "memory",
    "ncpus",
    "seccomp",
    "root",
    "devices",
    "kernel_args",
    "notify",
]
_STATES = ("running", "paused")  # those that the role leaves as they are
_TEMPLATE = re.compile(r"\{[{%#]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FEW = 3  # a directory with so many files is written once, as a variable
_FILES = "instances_files_dir"
_FIXED = ("umid", "uml_dir")  # what names an instance
_ROLE = {"uml_dir": "instances_uml_dir", "supervisor": "instances_supervisor"}
Row = Mapping[str, Any]
Options = dict[str, Any]


def is_declarable(row: Row) -> bool:
    """Return whether an instance can be declared so that the role leaves it as it is."""
    return row["state"] in _STATES and (row.get("declaration") or {}).get("options") is not None


def variables(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the variables that declare the instances of a VM host, in the order of their starts."""
    found = sorted(filter(is_declarable, rows), key=lambda row: (row.get("started") or 0, row["umid"]))
    fleet = [{"umid": row["umid"], "uml_dir": row["uml_dir"], **row["declaration"]["options"]} for row in found]
    common = {_ROLE[name]: _lift_shared(fleet, name) for name in _ROLE} if fleet else {}
    fleet = _generalized(fleet)
    defaults = _lift_defaults(fleet)
    declared = {**common, "instances_defaults": defaults, "instances_fleet": [_sorted(options) for options in fleet]}
    return _with_directory(declared)


def text(rows: Sequence[Row], indent: int = 0) -> str:
    """Return the variables of a VM host as YAML, with a comment where something cannot be declared."""
    declared = variables(rows)
    fleet = declared.pop("instances_fleet")
    notes = {(row["umid"], row["uml_dir"]): row["declaration"]["notes"] for row in rows if is_declarable(row)}
    own_dir = declared.get("instances_uml_dir")
    lines = [_dump({name: value}) for name, value in declared.items() if value not in ({}, "")]
    lines.append("instances_fleet:\n" if fleet else "instances_fleet: []\n")
    for options in fleet:
        comments = notes[options["umid"], options.get("uml_dir", own_dir)]
        lines += [f"  # {_plain(note)}\n" for note in comments]
        lines.append(_indented(_dump([options]), 2))
    lines += [f"# Not declared: {_plain(reason)}\n" for reason in left_out(rows)]
    return _indented("".join(lines), indent)


def left_out(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each instance that is not declared."""
    return [
        f"{row['umid']} in {row['uml_dir']} is {row['state']}; {_why(row)}" for row in rows if not is_declarable(row)
    ]


def _why(row: Row) -> str:
    notes = (row.get("declaration") or {}).get("notes") or ()
    return "; ".join([*([row["state_reason"]] if row.get("state_reason") else []), *notes]) or "declare it by hand"


# What instances share.


def _lift_shared(fleet: Sequence[Options], name: str) -> Any:
    """Return the most common value of an option, and take it out of the instances."""
    counted = Counter(options[name] for options in fleet)
    value = counted.most_common(1)[0][0]
    for options in fleet:
        if options[name] == value:
            del options[name]
    return value


def _generalized(fleet: Sequence[Options]) -> list[Options]:
    """Return the instances with ``{umid}`` in the options that are equal with it for two of them, or more."""
    general = [
        {name: replaced(value, _umid_in(options["umid"])) for name, value in options.items()} for options in fleet
    ]
    counted = Counter((name, repr(value)) for options in general for name, value in options.items())
    return [
        {
            name: other[name] if name != "umid" and counted[name, repr(other[name])] > 1 else value
            for name, value in options.items()
        }
        for options, other in zip(fleet, general, strict=True)
    ]


def _umid_in(umid: str) -> Callable[[str], str]:
    whole = re.compile(rf"(?<![A-Za-z0-9]){re.escape(umid)}(?![A-Za-z0-9])")
    return lambda value: whole.sub("{umid}", value)


def replaced(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with each text in it changed, however deep."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: replaced(item, change) for key, item in value.items()}
    return [replaced(item, change) for item in value] if isinstance(value, list) else value


def _lift_defaults(fleet: Sequence[Options]) -> Options:
    """Return the options that most instances have alike, and take these out; all must have such an option."""
    defaults: Options = {}
    shared = set.intersection(*(set(options) for options in fleet)) - {"umid"} if len(fleet) > 1 else set()
    for name in sorted(shared, key=_rank):
        counted = Counter(repr(options[name]) for options in fleet)
        best, times = counted.most_common(1)[0]
        alike = [options for options in fleet if repr(options[name]) == best]
        if times > 1:
            defaults[name] = alike[0][name]
            for options in alike:
                del options[name]
    return defaults


def _with_directory(declared: dict[str, Any]) -> dict[str, Any]:
    """Return variables in which the directory that holds most files is a separate variable."""
    rows = [declared["instances_defaults"], *declared["instances_fleet"]]
    paths = set(_paths([value for row in rows for name, value in row.items() if name not in _FIXED]))
    counted = Counter(path.rpartition("/")[0] for path in paths)
    folder, times = counted.most_common(1)[0] if counted else ("", 0)
    if times < _FEW or not folder:
        return declared
    inside = f"{folder}/"

    def shorten(value: str) -> str:
        short = value.startswith(inside) and not _TEMPLATE.search(value)
        return _Template(f"{{{{ {_FILES} }}}}/{value[len(inside) :]}") if short else value

    defaults, *fleet = (
        {name: value if name in _FIXED else replaced(value, shorten) for name, value in row.items()} for row in rows
    )
    return {_FILES: folder, **declared, "instances_defaults": defaults, "instances_fleet": fleet}


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("/"):
        yield value
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _paths(item)


# How it is written.


class _Template(str):
    """A text that Ansible is to template; all others came from a VM host, and are not."""


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
    is_unsafe = bool(_TEMPLATE.search(data)) and not isinstance(data, _Template)
    tag = "!unsafe" if is_unsafe else "tag:yaml.org,2002:str"
    return dumper.represent_scalar(tag, str(data), style='"' if _TEMPLATE.search(data) else None)


_Dumper.add_multi_representer(str, _represent)
_Dumper.add_representer(str, _represent)


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _sorted(options: Options) -> Options:
    return {name: options[name] for name in sorted(options, key=_rank)}


def _dump(value: Any) -> str:
    return yaml.dump(_plain_types(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118)


def _plain_types(value: Any) -> Any:
    """Return a value without the types that Ansible gives its texts."""
    if isinstance(value, Mapping):
        return {str(key): _plain_types(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_types(item) for item in value]
    return value if isinstance(value, (_Template, bool)) else str(value) if isinstance(value, str) else value


def _indented(block: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}" if line.strip() else line for line in block.splitlines(keepends=True))


def _plain(note: str) -> str:
    return _UNPRINTABLE.sub("?", str(note))
