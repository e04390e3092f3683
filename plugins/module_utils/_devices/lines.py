# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Lines: the consoles ``con0`` to ``con15`` (/dev/ttyN) and the serial lines ``ssl0`` to ``ssl63`` (/dev/ttySN).

Source: linux arch/um/drivers/line.c and chan_kern.c, the same on 6.1, 6.12 and 7.2. A bad channel destroys the old
setting before it is refused, and the kernel compares only the first letters of a channel. So this module checks
channels against a table. A line that the guest has not open is reported up to its first comma.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Optional

from .._guest.snapshot import Snapshot
from .._mconsole.errors import InputError
from . import descriptors
from .device_class import OVERWRITE, DeviceClass, Meaning, Options, plain


class Channel(NamedTuple):
    """One kind of channel: the option that holds its argument ('' for none), and what it is to a reader."""

    argument: str
    title: str


CHANNELS: Dict[str, Channel] = {
    "null": Channel("", "nothing; a read gives the end of the file"),
    "fd": Channel("fd", "a descriptor that the instance was started with"),
    "tty": Channel("tty", "a terminal device of the VM host"),
    "pts": Channel("", "a pseudo-terminal that the instance makes when the guest opens the line"),
    "pty": Channel("", "an old BSD pseudo-terminal"),
    "port": Channel("port", "a TCP port of the VM host"),
    "xterm": Channel("", "a window"),
}
_RANGES = {"fd": range(1 << 20), "port": range(1, 1 << 16)}


def parse(raw: str) -> Options:
    """Return the options in ``channel[,output channel]``."""
    first, comma, second = raw.partition(",")
    if not first or (comma and not second):
        raise InputError(f"a line is set by CHANNEL[,OUTPUT_CHANNEL], and {raw!r} is not of that form")
    return {"channel": first, "output": second} if comma else {"channel": first}


def validate(given: Options) -> Options:
    """Return ``channel`` and ``output`` as the kernel takes them.

    :raises InputError: when one is not a channel, or lacks or has an argument against the table
    """
    flat = dict(given)
    arguments = {key: flat.pop(key, None) for key in ("fd", "tty", "port")}
    kinds = [key for key, value in arguments.items() if value is not None]
    if len(kinds) > 1:
        raise InputError(f"a line has one channel, and {' and '.join(kinds)} name {len(kinds)}")
    channel = flat.get("channel")
    if kinds and channel not in (None, kinds[0]):
        raise InputError(f"{kinds[0]} belongs to the channel {kinds[0]}, not to {channel}")
    if kinds:
        channel = f"{kinds[0]}:{arguments[kinds[0]]}"
    if not channel:
        raise InputError(f"a line needs a channel: one of {', '.join(CHANNELS)}")
    canonical_channel = spell(str(channel))
    output = spell(str(flat["output"])) if flat.get("output") else canonical_channel
    return {"channel": canonical_channel, "output": output}


def spell(text: str) -> str:
    """Return a channel in its one spelling: ``fd:3``, ``tty:/dev/tty9``, or ``pts`` (also from ``pts:/dev/pts/4``).

    :raises InputError: when it is not a channel
    """
    kind, colon, argument = text.partition(":")
    row = CHANNELS.get(kind)
    if row is None:
        raise InputError(f"{text!r} is not a channel of a line; expected one of {', '.join(CHANNELS)}")
    if not row.argument:
        if colon and (kind not in _REPORTED or not argument.startswith(_REPORTED[kind])):
            raise InputError(f"the channel {kind} takes no argument, and {text!r} gives one")
        return kind
    if not argument:
        raise InputError(f"the channel {kind} needs an argument, such as {_EXAMPLES[kind]}")
    return f"{kind}:{_number(kind, argument) if kind in _RANGES else _terminal(argument)}"


_EXAMPLES = {"fd": "fd:3", "tty": "tty:/dev/tty9", "port": "port:9001"}
_REPORTED = {"pts": "/dev/pts/", "pty": "/dev/"}  # what the kernel adds while the line is open


def _number(kind: str, argument: str) -> int:
    """Return the number of a descriptor or a port; the kernel takes what strtoul takes, 0x10 and 010 included."""
    allowed = _RANGES[kind]
    match = re.fullmatch(r"0|[1-9][0-9]{0,9}", argument)
    if match is None or int(argument) not in allowed:
        raise InputError(
            f"the channel {kind} takes a number from {allowed.start} to {allowed.stop - 1}, not {argument!r}"
        )
    return int(argument)


def _terminal(argument: str) -> str:
    path = os.path.expanduser(argument)
    return plain(path, "the terminal of a line", ",", "the kernel takes what follows a comma for the output channel")


def render(flat: Options) -> str:
    """Return what follows the line's number."""
    channel, output = flat["channel"], flat.get("output")
    return f"={channel}" if output in (None, channel) else f"={channel},{output}"


def _reader(kind: str) -> Callable[[Snapshot, int], Options]:
    def read(snapshot: Snapshot, unit: int) -> Options:
        """Return a line as it is; ``output`` is None where the report ends at the first comma."""
        text = snapshot.ask(f"config {kind}{unit}")
        if text is None or text == "none":
            return {"state": "absent"}
        channel, comma, output = text.partition(",")
        opened = bool(comma) or (":/dev/" in text and not text.startswith("tty:"))
        return {
            "state": "present",
            "config": text,
            "channel": channel,
            "output": output if comma else (channel if opened else None),
        }

    return read


def canonical(snapshot: Snapshot, flat: Options) -> Options:
    """Return channels without what the kernel adds while they are open, and terminals by their one name."""
    return {key: _canonical(snapshot, flat.get(key)) for key in ("channel", "output")}


def _canonical(snapshot: Snapshot, text: Optional[str]) -> Optional[str]:
    kind, colon, argument = (text or "").partition(":")
    if kind == "tty" and colon:
        return f"tty:{snapshot.real_path(argument)}"
    return kind if kind in _REPORTED else text


def check(snapshot: Snapshot, unit: int, want: Options, leaving: Collection[str]) -> None:
    """Refuse channels that cannot be opened on this VM host, by this instance.

    :raises InputError: when a terminal or a descriptor is not there
    """
    for text in (want["channel"], want["output"]):
        kind, _colon, argument = text.partition(":")
        if kind == "tty":
            _check_terminal(snapshot, argument)
        if kind == "fd":
            descriptors.check_inherited(snapshot, int(argument))


def _check_terminal(snapshot: Snapshot, path: str) -> None:
    try:
        found = snapshot.stat(path)
    except FileNotFoundError:
        raise InputError(f"no terminal {path!r} on the VM host, as {snapshot.umid} sees it", path=path) from None
    if found is not None and not stat.S_ISCHR(found.st_mode):
        raise InputError(f"{path!r} on the VM host is not a terminal", path=path)


def unverifiable(snapshot: Snapshot, unit: int, want: Options, have: Options) -> List[str]:
    """Return what cannot be verified of a line."""
    found = []
    if have.get("output") is None and want.get("output") != want.get("channel"):
        found.append(
            "the kernel reports a line that the guest has not open up to its first comma, so its output is not seen"
        )
    kinds = {str(want.get(key)).partition(":")[0] for key in ("channel", "output")}
    if "xterm" in kinds and not _has_display(snapshot.environment()):
        found.append("the instance was started without DISPLAY, so no window can open")
    if "pty" in kinds and not os.path.exists("/dev/ptyp0"):
        found.append("the VM host has no BSD pseudo-terminals, so the guest cannot open the line")
    if "port" in kinds:
        found.append("connections need in.telnetd and port-helper on the VM host")
    return found


def _has_display(environment: Dict[str, str]) -> bool:
    return not environment or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def predict(snapshot: Snapshot, sent: Options) -> Options:
    """Return what will be read back of a line that the guest has not open."""
    return {"config": sent["channel"], "output": None}


def warnings(want: Options) -> List[str]:
    """Return what a user should know of these channels."""
    channels = [str(want.get(key)) for key in ("channel", "output")]
    ports = {text.partition(":")[2] for text in channels if text.startswith("port:")}
    return [
        f"the kernel listens on TCP port {port} on all interfaces of the VM host, and goes on until the instance ends,"
        " even when the line is removed"
        for port in sorted(ports)
    ]


MEANINGS = (
    Meaning(
        -22, "already open", "the guest has the line open, as a getty or the system console does; its setting stays"
    ),
    Meaning(-1, "failed to parse channel pair", "the channel is not to the kernel's liking, and the old one is gone"),
)


def _row(**values: Any) -> DeviceClass:
    return DeviceClass(
        change=OVERWRITE,
        kernels="all",
        options=("channel", "fd", "tty", "port", "output"),
        parse=parse,
        validate=validate,
        render=render,
        read=_reader(values["name"]),
        canonical=canonical,
        check=check,
        unverifiable=unverifiable,
        predict=predict,
        warnings=warnings,
        meanings=MEANINGS,
        **values,
    )


def _spelling(kind: str) -> re.Pattern[str]:
    return re.compile(rf"{kind}(?P<unit>[0-9]+)(?P<flags>)")


CONSOLE = _row(
    name="con", title="a console line", spelling=_spelling("con"), units="con0 to con15", limit=16, probe="config con0"
)
SERIAL = _row(
    name="ssl", title="a serial line", spelling=_spelling("ssl"), units="ssl0 to ssl63", limit=64, probe="config ssl0"
)
