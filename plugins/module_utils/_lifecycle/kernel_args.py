# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words on a kernel's command line: made from options, and compared with those of a running process.

Groups that the user did not give are not managed: they are not compared, and a
restart keeps them as they were.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .._devices import raw_options, spec
from .._mconsole import notify
from .._mconsole.errors import InputError
from .._mconsole.instances import Place
from .._mconsole.names import host_path
from .._mconsole.parsing import format_size, parse_size
from .._mconsole.placeholders import filled
from .kernel_arg_groups import GROUPS, Words, canonical, group_of, name_of, split

KERNEL = "linux.uml"  # as Debian calls it
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What a kernel is started with unless the options say otherwise. Without the lines, consoles are terminal windows and
# error messages. One line is a pseudo-terminal, by which tasks get into the guest; a null line cannot become one
# while the guest has it open (line.c line_config). Without a first disk, there is a ghost called root_fs whose removal
# panics (ubd_kern.c ubd0_init). Kernels from 6.12 on lock a disk's file while they boot and panic when they cannot, so
# /dev/null must not be locked.
DEFAULTS: Tuple[Tuple[str, str, str], ...] = (
    ("devices", "con", "con=null"),
    ("devices", "ssl", "ssl=null"),
    ("devices", "ssl1", "ssl1=pts"),
    ("devices", "con0", "con0=null,fd:1"),
    ("disk0", "ubd0", "ubd0c=/dev/null"),
)
DEFAULT_MEMORY = "128M"  # the kernel's own 64M is too little for the tasks that Debian's kernels make at boot
_OWN = ("umid", "uml_dir")


def desired(options: Mapping[str, Any], umid: str) -> Words:
    """Return the words that the given launch options stand for; a group that is not given is not there.

    ``{umid}`` and other placeholders in any value are filled, so that one task can launch many.

    :raises InputError: when a value cannot be put on a command line
    """
    words: Words = {}
    for name, make in BUILDERS.items():
        if options.get(name) is not None:
            for group, found in make(filled(options[name], umid)).items():
                words.setdefault(group, []).extend(found)
    for word in (word for group, found in words.items() for word in found if group != "kernel"):
        _check_word(word)
    _check_twice(words)
    return words


def program(kernel: str) -> str:
    """Return the absolute path of a kernel.

    :raises InputError: when it does not exist or cannot be run
    """
    if "/" not in kernel:
        found = shutil.which(kernel, path=PATH)
        if found is None:
            raise InputError(
                f"no kernel named {kernel!r} in {PATH}; install the package user-mode-linux, or set kernel to a path",
                kernel=kernel,
            )
        return found
    found = host_path(kernel, "kernel")
    if not os.path.isfile(found):
        raise InputError(f"the kernel {found} does not exist, or is not a file", kernel=kernel)
    if not os.access(found, os.X_OK):
        raise InputError(f"the kernel {found} is not executable by this user", kernel=kernel)
    return found


# From options to words.


def _kernel(value: str) -> Words:
    return {"kernel": [os.path.realpath(program(value))]}


def _memory(value: Any) -> Words:
    return {"memory": [f"mem={format_size(parse_size(str(value), 'memory', least=1 << 20))}"]}


def _ncpus(value: int) -> Words:
    if value < 1:
        raise InputError(f"ncpus is {value}; expected at least 1")
    return {"ncpus": [f"ncpus={value}"]}


def _seccomp(value: str) -> Words:
    return {"seccomp": [] if value == "off" else [f"seccomp={value}"]}  # a kernel has it off by default


def _notify(value: str) -> Words:
    return {"notify": [f"{notify.OPTION}{host_path(value, 'notify')}"] if value else []}


def _root(value: Mapping[str, Any]) -> Words:
    """Return the words of a root file system: an image, a directory of the VM host, an initial one, or two of them."""
    given = {key: item for key, item in value.items() if item not in (None, "")}
    if not given.keys() & {"image", "hostfs", "initrd"}:
        raise InputError("root says neither image nor hostfs nor initrd; expected one of them")
    if {"image", "hostfs"} <= given.keys():
        raise InputError("root says image and hostfs; expected one of them")
    if "partition" in given and ("image" not in given or not 0 < given["partition"] < 16):
        raise InputError(f"root.partition is {given['partition']}; expected a number from 1 to 15, beside root.image")
    if "cow" in given and "image" not in given:
        raise InputError("root says cow without image; the image is what the COW file stands on")
    words = {"root": [word for make in (_image, _hostfs, _initrd) for word in make(given)]}
    if "image" in given:
        words["disk0"] = [_disk0(given)]
    return words


def _image(given: Mapping[str, Any]) -> List[str]:
    if "image" not in given:
        return []
    kind = [f"rootfstype={given['fstype']}"] if "fstype" in given else []
    return [f"root=/dev/ubda{given.get('partition', '')}", *kind, *_mode(given)]


def _disk0(given: Mapping[str, Any]) -> str:
    files = [host_path(given[key], f"root.{key}") for key in ("cow", "image") if key in given]
    for path in files:
        if "," in path or ":" in path:
            raise InputError(f"the disk file {path!r} holds a comma or a colon, where the kernel would split it")
    flag = "r" if given.get("read_only") and "cow" not in given else ""
    return f"ubd0{flag}={','.join(files)}"


def _hostfs(given: Mapping[str, Any]) -> List[str]:
    if "hostfs" not in given:
        return []
    return ["rootfstype=hostfs", f"rootflags={host_path(given['hostfs'], 'root.hostfs')}", *_mode(given)]


def _initrd(given: Mapping[str, Any]) -> List[str]:
    if "initrd" not in given:
        return []
    words = [f"initrd={host_path(given['initrd'], 'root.initrd')}"]
    alone = not given.keys() & {"image", "hostfs"}
    return [*words, f"rdinit={given['init']}"] if alone and "init" in given else words


def _mode(given: Mapping[str, Any]) -> List[str]:
    init = [f"init={given['init']}"] if "init" in given else []
    return ["ro" if given.get("read_only") else "rw", *init]


def _devices(value: Mapping[str, Any]) -> Words:
    words: Words = {"devices": []}
    for name, setting in value.items():
        for word in _device(str(name), setting):
            words.setdefault(group_of(word), []).append(word)
    return words


def _device(name: str, setting: Any) -> List[str]:
    """Return the word of one device, set by text as on the console or by the options of the module ``device``.

    A line that is absent needs a word, and any other device is absent unless there is one.
    """
    request = spec.parse_spec(name, raw_options.convert(f"devices.{name}", setting))
    if not request.present:
        return [f"{request.name.text}=none"] if "channel" in request.name.kind.options else []
    if not request.flat and request.name.kind.needs_options:
        raise InputError(
            f"devices.{name} is empty; expected a setting, or one of {', '.join(request.name.kind.options)}"
        )
    return [request.name.config(request.flat)[len("config ") :]]


def _kernel_args(value: Any) -> Words:
    """Return free words, each in the group that it belongs to; a dictionary's None and True are words alone."""
    if isinstance(value, Mapping):
        pairs = [(str(name), setting) for name, setting in value.items() if setting is not False]
        found = [name if setting is None or setting is True else f"{name}={setting}" for name, setting in pairs]
    elif isinstance(value, list):
        found = [str(word) for word in value]
    else:
        raise InputError(f"kernel_args is {value!r}; expected a list of words or a dictionary")
    words: Words = {"kernel_args": []}
    for word in found:
        _check_free(word)
        words.setdefault(group_of(word), []).append(word)
    return words


def _check_free(word: str) -> None:
    name = word.partition("=")[0]
    if name in _OWN:
        raise InputError(f"kernel_args holds {word!r}; use the option {name} instead")
    if word.startswith("-") and word != "--":
        raise InputError(f"kernel_args holds {word!r}; a kernel takes no options that begin with a dash")


BUILDERS: Dict[str, Callable[[Any], Words]] = {
    "kernel": _kernel,
    "memory": _memory,
    "ncpus": _ncpus,
    "seccomp": _seccomp,
    "notify": _notify,
    "root": _root,
    "devices": _devices,
    "kernel_args": _kernel_args,
}


def _check_word(word: str) -> None:
    """Refuse what would not arrive as one word: the kernel joins its arguments by spaces and splits them again."""
    plain = re.sub(r'"[^"]*"', "", word)
    if not word or any(char.isspace() or char == "\0" for char in plain):
        raise InputError(f"{word!r} is not one word; a kernel's command line is split at spaces")


def _check_twice(words: Words) -> None:
    named = [name_of(word) for group in words.values() for word in group if "=" in word or ":" in word]
    for name in named:
        if named.count(name) > 1 and name not in ("virtio_uml.device", "earlycon", "console"):
            raise InputError(f"the kernel argument {name} is given twice; expected once")


def compose(where: Place, wanted: Words, old: Optional[Sequence[str]] = None) -> List[str]:
    """Return the words after the program: the wanted groups, the others as on an old command line, or by default."""
    base = split(old[1:]) if old else {group: [] for group, _pattern in GROUPS}
    wanted = {group: words for group, words in wanted.items() if group != "kernel"}
    words = {**base, **wanted, "identity": [f"umid={where.umid}", f"uml_dir={where.uml_dir}"]}
    names = {name_of(word) for group in words.values() for word in group}
    if not old and "memory" not in wanted:
        words["memory"] = [f"mem={DEFAULT_MEMORY}"]
    if not old and "notify" not in wanted:
        words["notify"] = _shared_notify(where)
    for group, name, word in DEFAULTS:
        if name not in names and (not old or group in wanted):
            words[group] = [word, *words[group]]
    return [word for group, _pattern in GROUPS for word in words[group]]


def _shared_notify(where: Place) -> List[str]:
    """Return the word for the socket at which the collector listens; none where it would not arrive as one word.

    A kernel that finds no listener there says so in its log, and goes on (mconsole_user.c mconsole_notify).
    """
    word = f"{notify.OPTION}{notify.default_path(where.uml_dir)}"
    return [] if re.search(r'[\s"]', word) else [word]


def differences(wanted: Words, actual: Words) -> Dict[str, Dict[str, List[str]]]:
    """Return {group: {running, wanted}} of the wanted groups that differ.

    Order does not matter, sizes are equal when they mean the same, and the defaults do not count.
    """
    return {
        group: {"running": actual[group], "wanted": words}
        for group, words in wanted.items()
        if _meaning(words) != _meaning(actual[group])
    }


def _meaning(words: Sequence[str]) -> List[str]:
    defaults = [word for _group, _name, word in DEFAULTS]
    return sorted(canonical(word) for word in words if word not in defaults)
