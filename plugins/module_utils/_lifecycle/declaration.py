# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of the module ``instance`` that stand for a command line: the way back of ``kernel_args.desired``.

Each option is made, turned into words again by ``desired`` and compared with the command line, so that what is
returned never differs from what runs. A word without an option stays a word of ``kernel_args``.
"""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._devices import classes, disks
from .._mconsole import notify
from .._mconsole.errors import InputError
from .._mconsole.instances import Place
from .._mconsole.parsing import format_size, is_size, parse_size
from . import kernel_arg_groups, kernel_args
from .kernel_arg_groups import Words, canonical

Options = Dict[str, Any]
_DEFAULTS = frozenset(word for _group, _name, word in kernel_args.DEFAULTS)
_REPEATABLE = ("virtio_uml.device", "earlycon", "console")
_DISK = re.compile(r"ubd(?:\d+|[a-p])([rscdt]*)")


class Declaration(NamedTuple):
    """The options, and a sentence for each thing that they cannot say."""

    options: Options
    notes: List[str]


def from_words(where: Place, words: Words, refused: Collection[str] = ()) -> Declaration:
    """Return the options that stand for the words of a command line, without the kernel.

    The devices ``refused`` are words of ``kernel_args``, because the kernel that got them has no such devices.
    """
    repeated = {group: name for group in words for name in _repeated(words[group])}
    kept = {group: [] if group in repeated else list(found) for group, found in words.items()}
    root, root_words = _root(kept, where.umid)
    devices, free = _devices(kept["devices"] + ([] if root.get("image") else kept["disk0"]), where.umid, refused)
    found = {
        **_single(kept),
        **_notify(kept["notify"], where),
        "root": root,
        "devices": devices,
        "kernel_args": _free([*root_words, *free, *kept["kernel_args"]]),
    }
    options, lost = _agreeing({name: value for name, value in found.items() if value}, words, where.umid)
    notes = [f"{name} is on the command line more than once, and is left as it is" for name in repeated.values()]
    return Declaration(options, [*notes, *(f"{name} cannot be declared, and is left as it is" for name in lost)])


def _repeated(words: Sequence[str]) -> List[str]:
    """Return the names that several words set."""
    names = [kernel_arg_groups.name_of(word) for word in words if "=" in word or ":" in word]
    return sorted({name for name in names if names.count(name) > 1 and name not in _REPEATABLE})


def _agreeing(options: Options, words: Words, umid: str) -> Tuple[Options, List[str]]:
    """Return the options without those that would differ from what runs, and the names of these."""
    lost: List[str] = []
    while options:
        wrong = _differing(options, words, umid)
        if not wrong:
            break
        name = next((name for name in ("kernel_args", *wrong, "devices", "root") if name in options), "")
        lost.append(name or next(iter(options)))
        options = {key: value for key, value in options.items() if key != lost[-1]}
    return options, lost


def _differing(options: Options, words: Words, umid: str) -> List[str]:
    try:
        return list(kernel_args.differences(kernel_args.desired(options, umid), words))
    except InputError:
        return ["kernel_args"]


# One option.


def _single(words: Words) -> Options:
    """Return memory, ncpus and seccomp."""
    values = {name: words[name][0].partition("=")[2] for name in ("memory", "ncpus", "seccomp") if words[name]}
    if is_size(values.get("memory", "")):
        values["memory"] = format_size(parse_size(values["memory"]))
    return {name: int(value) if name == "ncpus" and value.isdigit() else value for name, value in values.items()}


def _notify(words: Sequence[str], where: Place) -> Options:
    """Return the socket for notifications, unless it is the one that an instance gets by default."""
    path = words[0][len(notify.OPTION) :] if words else ""
    return {"notify": path} if path and path != notify.default_path(where.uml_dir) else {}


def _root(words: Words, umid: str) -> Tuple[Options, List[str]]:
    """Return the option ``root``, and the words about the root file system that it does not stand for."""
    found = _root_option(words)
    try:
        wanted = kernel_args.desired({"root": found}, umid)
    except InputError:
        return {}, words["root"]
    own = {canonical(word) for word in wanted["root"]}
    agrees = own <= {canonical(word) for word in words["root"]} and (
        "disk0" not in wanted or not kernel_args.differences({"disk0": wanted["disk0"]}, words)
    )
    return (found, [word for word in words["root"] if canonical(word) not in own]) if agrees else ({}, words["root"])


def _root_option(words: Words) -> Options:
    given = dict(word.partition("=")[::2] for word in words["root"])
    image = re.fullmatch(r"/dev/ubda(\d*)", given.get("root", ""))
    disk = next((word for word in words["disk0"] if word not in _DEFAULTS), "")
    found: Options = {}
    if image and disk:
        file, _comma, backing = disk.partition("=")[2].partition(",")
        found = {"image": backing or file, "cow": file if backing else None, "fstype": given.get("rootfstype")}
        found["partition"] = int(image[1]) if image[1] else None
    elif given.get("rootfstype") == "hostfs":
        found = {"hostfs": given.get("rootflags")}
    init = given.get("init") or given.get("rdinit")
    found = {**found, "initrd": given.get("initrd"), "init": init, "read_only": ("ro" in given and bool(found)) or None}
    return {name: value for name, value in found.items() if value is not None}


def _devices(words: Sequence[str], umid: str, refused: Collection[str]) -> Tuple[Options, List[str]]:
    """Return the option ``devices``, and the words that it does not stand for, such as ``con=pts``."""
    found: Options = {}
    free = []
    for word in words:
        if word in _DEFAULTS:
            continue
        device = _device(word)
        if device is None or device[0] in refused or not _stands_for({device[0]: device[1]}, word, umid):
            free.append(word)
        else:
            found[device[0]] = device[1]
    return found, free


def _device(word: str) -> Optional[Tuple[str, Any]]:
    name, value = re.split("[=:]", word, maxsplit=1) if re.search("[=:]", word) else (word, "")
    flags = _DISK.fullmatch(name)
    try:
        text = classes.find(name).text
        return (text, disk_setting(disks.flag_options(flags[1]), value)) if flags else (text, value)
    except InputError:
        return None


def disk_setting(flags: Mapping[str, Any], config: str) -> Any:
    """Return a disk's setting: its file alone, or a dictionary of options."""
    found = {name: value for name, value in {**disks.parse(config), **flags}.items() if value not in ("", None)}
    return found["file"] if list(found) == ["file"] else found


def _stands_for(devices: Options, word: str, umid: str) -> bool:
    try:
        made = [word for words in kernel_args.desired({"devices": devices}, umid).values() for word in words]
    except InputError:
        return False
    return [canonical(word) for word in made] == [canonical(word)]


def _free(words: Sequence[str]) -> Any:
    """Return words as a dictionary, or as a list where a name stands twice or their order counts."""
    names = [word.partition("=")[0] for word in words]
    if len(set(names)) < len(names) or "--" in names:
        return list(words)
    return {word.partition("=")[0]: _value(word) for word in words}


def _value(word: str) -> Any:
    value: Any = word.partition("=")[2] if "=" in word else True
    return int(value) if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,9}", value) else value
