# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold for any input, one function a part: each makes one input of a random source and checks it.

An input is bytes that were once right (recorded from real kernels, or written by ourselves), spoilt in places, or
noise. A function returns nothing; each exception is a finding. `tests/unit/test_fuzz.py` gives some thousands in
every test run, `tests/fuzz/run.py` any number.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ansible_collections.uml.mconsole.plugins.module_utils._devices import classes, spec
from ansible_collections.uml.mconsole.plugins.module_utils._facts import distribution
from ansible_collections.uml.mconsole.plugins.module_utils._guest import parsers
from ansible_collections.uml.mconsole.plugins.module_utils._journal import event_line
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError, ProtocolError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.wire import (
    MAX_COMMAND,
    MAX_DATA,
    MAX_DATAGRAM,
    SAFE_BURST,
    Assembly,
    Notification,
    Packet,
    Reply,
    Request,
    decode_text,
    encode_text,
)
from ansible_collections.uml.mconsole.plugins.module_utils._operations import device as operation
from ansible_collections.uml.mconsole.plugins.module_utils._task.json_safe import json_safe

RECORDED = Path(__file__).resolve().parents[1] / "support" / "recorded"
EDGES = (0, 1, 2, 12, 16, 511, 512, 513, 0x7FFFFFFF, 0x80000000, 0xCAFEBABE, 0xFFFFFFFF)
Random = random.Random


# Inputs.


@cache
def replies() -> list[bytes]:
    """Return every datagram that was recorded from a kernel."""
    texts = (path.read_text() for path in sorted(RECORDED.glob("*.json")))
    return [each.encode("latin-1") for text in texts for _command, parts in json.loads(text) for each in parts]


@cache
def sent() -> list[bytes]:
    """Return requests and notifications as they are right."""
    requests = [Request(text).to_bytes() for text in ("version", "config ubd1=/a,/b", "log x\n", "sysrq m")]
    heads = [b"\xbe\xba\xfe\xca\2\0\0\0" + bytes([kind, 0, 0, 0, 3, 0, 0, 0]) + b"abc" for kind in range(5)]
    return [*requests, *heads, b"\xbe\xba\xfe\xca\0\0\0\0\2\0\0\0\2\0\0\0\0\0\0\0" + b"\0" * 4]


def datagram(source: Random) -> bytes:
    """Return a right one, a spoilt one, or noise."""
    kind = source.random()
    if kind < 0.1:
        return source.randbytes(source.choice((0, 1, 11, 12, 13, 16, 24, 524, 528, 529, 600)))
    found = bytearray(source.choice(replies() if kind < 0.6 else sent()))
    for _each in range(source.choice((0, 1, 1, 2, 5))):
        _spoil(source, found)
    return bytes(found)


def _spoil(source: Random, data: bytearray) -> None:
    """Change a byte, a word of the header, or the length."""
    kind, size = source.random(), len(data)
    if kind < 0.4 and size:
        data[source.randrange(size)] = source.randrange(256)
    elif kind < 0.7 and size >= 16:
        start = 4 * source.randrange(4)
        data[start : start + 4] = source.choice(EDGES).to_bytes(4, "little")
    elif kind < 0.85:
        del data[source.randrange(size + 1) :]
    else:
        data += source.randbytes(source.randrange(1, 20))


def text_of(source: Random, alphabet: str, longest: int) -> str:
    """Return text of the characters that matter to a grammar."""
    return "".join(source.choices(alphabet, k=source.randrange(longest)))


# Parts.


def wire(source: Random) -> None:
    """Decode bytes as each kind of datagram: a value within its bounds that encodes to the same bytes, or a refusal."""
    data = datagram(source)
    _check_request(data)
    _check_packet(data)
    _check_notification(data)
    _require(encode_text(decode_text(data)) == data, "bytes survive as text")


def _check_request(data: bytes) -> None:
    try:
        request = Request.from_bytes(data)
    except ProtocolError:
        return
    _require(request.to_bytes() == data, "a request is what its bytes say")
    _require(0 < len(encode_text(request.text)) <= MAX_COMMAND, "a request fits a kernel's buffer")


def _check_packet(data: bytes) -> None:
    try:
        packet = Packet.from_bytes(data)
    except ProtocolError:
        return
    _require(len(packet.data) <= MAX_DATA and len(packet.data) <= len(data) - 12, "a packet holds no more than came")
    _require(-(1 << 31) <= packet.err < 1 << 31, "an error is a signed number")
    if len(packet.data) < MAX_DATA:
        _require(Packet.from_bytes(packet.to_bytes()) == packet, "a packet comes back")


def _check_notification(data: bytes) -> None:
    try:
        found = Notification.from_bytes(data)
    except ProtocolError:
        return
    _require(len(found.data) <= MAX_DATA and len(data) <= MAX_DATAGRAM, "a notification holds no more than came")
    _require(data.endswith(found.data), "what a notification holds is what came")


def assembly(source: Random) -> None:
    """Feed packets, moments of an empty queue and noise: a reply is what came, whole only if its end did."""
    fed = [Packet(source.choice((0, 0, 1, -22)), True, b"m" * source.randrange(9))]
    whole = Assembly(source.choice((1, 2, SAFE_BURST)), fed[0])
    for _each in range(source.randrange(30)):
        if source.random() < 0.3:
            whole.drained()
        else:
            packet = Packet(0, source.random() < 0.9, source.randbytes(source.randrange(9)).rstrip(b"\0"))
            fed.append(packet)
            if not whole.feed(packet.to_bytes()):
                break
    _check_reply(whole.reply(), fed)


def _check_reply(reply: Reply, fed: list[Packet]) -> None:
    _require(encode_text(reply.text) == b"".join(each.data for each in fed), "a reply is what came")
    _require(reply.packets == len(fed), "each packet counts")
    _require(reply.truncated or not fed[-1].more, "a reply without an end is not whole")


def command(source: Random) -> None:
    """Parse a line as a console command: one of the thirteen words in one datagram, or a refusal."""
    line = f"{source.choice((*commands.WORDS, ''))}{text_of(source, WORDS, 20)}"
    try:
        found = commands.parse(line)
    except InputError:
        return
    data = found.request.to_bytes()
    body = found.text[:-1] if found.word.name == "log" else found.text
    _require(len(data) <= 12 + MAX_COMMAND, "a command fits a datagram")
    _require(found.text.split(None, 1)[0] in commands.WORDS, "a command begins with a word that is known")
    _require(not set(body) & set("\n\r\0"), "a command is one line")


def grammar(source: Random) -> None:
    """Read a device's name and setting: commands for that device alone, each one line, or a refusal."""
    name = f"{source.choice((*classes.CLASSES, 'ubdr', 'x'))}{text_of(source, '0123456789abr', 4)}"
    params = {"config": text_of(source, SETTINGS, 24), "state": source.choice(("present", "absent"))}
    params.update({key: _option(source, key) for key in source.sample(OPTIONS, source.randrange(3))})
    try:
        wish = spec.parse_spec(name, {key: value for key, value in params.items() if source.random() < 0.8})
        lines = [wish.name.remove(), *([wish.name.config(wish.flat)] if wish.flat else [])]
        found = [commands.parse(line) for line in lines]
    except InputError:
        return
    for each in found:
        _require(each.argument.startswith(wish.name.text.rstrip("0123456789")), "a command is about its device")
        _require(not set(each.text) & set("\n\r\0"), "a command is one line")


def _option(source: Random, name: str) -> object:
    """Return a value of the type that a module lets through."""
    kind = TYPES[name].get("type")
    if kind == "bool":
        return source.random() < 0.5
    if kind == "int":
        return source.choice((0, 1, 22, -1, 1 << 16, 10**30))
    if kind == "dict":
        return {text_of(source, SETTINGS, 5): text_of(source, SETTINGS, 9) for _each in range(source.randrange(3))}
    return text_of(source, SETTINGS, 12)


def line(source: Random) -> None:
    """Read a line of a journal: an event that JSON can hold, or nothing."""
    event = {"seq": source.choice((1, -1, 1e400, True, None, 10**30)), "time": source.random(), "data": "x{{\x1b"}
    data = bytearray(json.dumps(event).encode())
    for _each in range(source.choice((0, 1, 1, 2, 5))):
        _spoil(source, data)
    found = event_line.parse(bytes(data))
    if found is not None:
        _require(0 < found["seq"] < 10**16, "an event has a number")
        json.dumps(found, allow_nan=False)


def facts(source: Random) -> None:
    """Read text as each of a guest's files: facts that JSON can hold, or no facts."""
    spice = "".join(source.choices(SPICES, k=source.randrange(80)))
    words = " ".join(source.choices(FILE_WORDS, k=source.randrange(12)))
    text = source.choice((spice, words, f"{words}\n{spice}\n{words}"))
    for parse in PARSERS:
        json.dumps(json_safe(parse(text)), allow_nan=False).encode("ascii")


WORDS = "=,:/ 0123456789abmu\n\r\0\t\udc80äx"
SETTINGS = ",=:/rstcdfp0123456789 \n\0\\'\"{%\udcff"
SPICES = "\n\n   :=,./[](){}%#\"'\\\t\0\x1b019-aZ\udcff\u202e"
FILE_WORDS = (
    "Linux",
    "6.1",
    "#1",
    "MemTotal:",
    "kB",
    "1e999",
    "nan",
    "9" * 30,
    "/dev/ubda",
    "98",
    "0",
    "processor",
    "\n",
)
PARSERS: tuple[Callable[[str], object], ...] = (
    *(parsers.platform, parsers.cmdline, parsers.loadavg, parsers.uptime, parsers.memory),
    *(parsers.processor, parsers.mounts, parsers.partitions, parsers.selected, parsers.resolver),
    *(parsers.interfaces_up, parsers.interfaces_at_boot, parsers.is_promiscuous),
    lambda text: parsers.ssh_key("rsa", text),
    lambda text: distribution.distribution(distribution.os_release(text), text),
)
TYPES = operation.ARGUMENTS
OPTIONS = spec.option_names()
PARTS: dict[str, Callable[[Random], None]] = {
    each.__name__: each for each in (wire, assembly, command, grammar, line, facts)
}


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(what)
