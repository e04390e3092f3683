# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bytes <-> Request, Reply, Notification. No socket here.

Source of the layout: linux arch/um/drivers/mconsole.h, the same from 6.1 to 7.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple, Optional

from .errors import InputError, ProtocolError

MAGIC = 0xCAFEBABE
VERSION = 2
MAX_DATA = 512
MAX_COMMAND = MAX_DATA - 1  # the kernel answers "Request too large" from 512 bytes on
MAX_DATAGRAM = 16 + MAX_DATA
SAFE_BURST = 11  # datagrams that fit a client's queue under the default net.unix.max_dgram_qlen of 10
TIMEOUT = 5.0  # seconds that an exchange may take, unless it is given others
MAX_PACKETS = 65536  # 32 MiB: some guest files never end (1/root/dev/urandom)

_REQUEST = struct.Struct("=III")
_REPLY = struct.Struct("=III")
_NOTIFICATION = struct.Struct("=IIiI")
_NOTIFICATION_64 = struct.Struct("=QIiI")  # uml_watchdog built for 64 bits: its magic is an unsigned long
NOTIFICATION_TYPES = {0: "socket", 1: "panic", 2: "hang", 3: "user"}


def encode_text(text: str) -> bytes:
    """Return text as the bytes a kernel sees; undecodable bytes survive the round trip.

    :raises InputError: when it holds half of a surrogate pair, which stands for no byte
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as err:
        raise InputError(f"the text {text[:40]!r} holds a character that has no bytes") from err


def decode_text(data: bytes) -> str:
    """Return a kernel's bytes as text; undecodable bytes survive the round trip."""
    return data.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Request:
    """One console command, valid by construction.

    :raises InputError: when the kernel would cut, misread or repeat it (empty, NUL, newline, over 511 bytes)
    """

    text: str

    def __post_init__(self) -> None:
        data = encode_text(self.text)
        if not data.strip():
            raise InputError("a console command is empty; an empty datagram makes the kernel run the last one again")
        if b"\0" in data:
            raise InputError(f"the console command {self.text!r} holds a NUL; the kernel would cut it there")
        if "\n" in self._body() or "\r" in self._body():
            raise InputError(f"the console command {self.text!r} holds a newline; send one command at a time")
        if len(data) > MAX_COMMAND:
            raise InputError(
                f"a console command is {len(data)} bytes long, and the kernel takes at most {MAX_COMMAND}"
                f": {self.text[:40]!r}..."
            )

    def _body(self) -> str:
        """Return the text without the one newline that ends a log line (else it shows only with the next one)."""
        return self.text[:-1] if self.text.startswith("log ") and self.text.endswith("\n") else self.text

    def to_bytes(self) -> bytes:
        """Return the datagram: 12 bytes of header and the text, nothing more."""
        data = encode_text(self.text)
        return _REQUEST.pack(MAGIC, VERSION, len(data)) + data

    @classmethod
    def from_bytes(cls, datagram: bytes) -> Request:
        """Return the request in a datagram.

        :raises ProtocolError: when it is short, over-long, or of another protocol
        """
        if len(datagram) < _REQUEST.size:
            raise ProtocolError(f"a request of {len(datagram)} bytes is shorter than its header of {_REQUEST.size}")
        magic, version, length = _REQUEST.unpack_from(datagram)
        if (magic, version) != (MAGIC, VERSION):
            raise ProtocolError(f"a request has magic {magic:#x} and version {version}, not {MAGIC:#x} and {VERSION}")
        if length != len(datagram) - _REQUEST.size:
            raise ProtocolError(f"a request says {length} bytes and holds {len(datagram) - _REQUEST.size}")
        try:
            return cls(decode_text(datagram[_REQUEST.size :]))
        except InputError as err:
            raise ProtocolError(f"a request holds no command: {err}") from err


def _signed(value: int) -> int:
    """Return the kernel's u32 error as the negative errno that it means."""
    return value - (1 << 32) if value >= 1 << 31 else value


class Packet(NamedTuple):
    """One datagram of a reply: ``err`` 0, 1 or a negative errno; ``more`` follow; text without the last NUL."""

    err: int
    more: bool
    data: bytes

    @classmethod
    def from_bytes(cls, datagram: bytes) -> Packet:
        """Return the packet in a datagram.

        :raises ProtocolError: when it is short, over-long, or says another length than it has
        """
        if len(datagram) < _REPLY.size:
            raise ProtocolError(f"a reply of {len(datagram)} bytes is shorter than its header of {_REPLY.size}")
        err, more, length = _REPLY.unpack_from(datagram)
        if length > MAX_DATA or length != len(datagram) - _REPLY.size:
            raise ProtocolError(f"a reply says {length} bytes and holds {len(datagram) - _REPLY.size}")
        data = datagram[_REPLY.size : -1] if length and datagram[-1] == 0 else datagram[_REPLY.size :]
        return cls(_signed(err) if err else 0, more != 0, data)

    def to_bytes(self) -> bytes:
        """Return the datagram, with the NUL that the kernel counts in."""
        return _REPLY.pack(self.err & 0xFFFFFFFF, int(self.more), len(self.data) + 1) + self.data + b"\0"


class Reply(NamedTuple):
    """What one command was answered.

    ``err`` is 0, 1 or a negative errno; ``truncated`` says that parts may be missing.
    """

    err: int
    text: str
    packets: int = 1
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Return whether the kernel said OK (which does not prove that it happened)."""
        return self.err == 0


class Assembly:
    """Packets of one reply on their way to be whole; ``capacity`` of them fit the queue at once.

    The kernel drops packets that find the queue full, the last packet included, and reports nothing
    (mconsole_reply_len), so even a reply with an end may have a hole: unless the queue was seen empty before it
    can have been full.
    """

    def __init__(self, capacity: int, first: Packet) -> None:
        self.capacity = capacity
        self.packets = [first]
        self._run = 1  # packets since the queue was last seen empty
        self._full = False

    def feed(self, datagram: bytes) -> bool:
        """Take one datagram, or nothing when no more come; return whether to go on."""
        if not datagram:
            return False
        packet = Packet.from_bytes(datagram)
        self.packets.append(packet)
        self._run += 1
        return packet.more and len(self.packets) < MAX_PACKETS

    def drained(self) -> None:
        """Note that the queue is empty though the reply has not ended."""
        self._full = self._full or self._run >= self.capacity
        self._run = 0

    @property
    def may_be_cut(self) -> bool:
        """Return whether the queue may have overflowed by now."""
        return self._full or self._run >= self.capacity

    def reply(self) -> Reply:
        """Return what came so far as a reply."""
        cut = self.packets[-1].more or self._full or self._run > self.capacity
        err = next((packet.err for packet in self.packets if packet.err), 0)  # a file can fail in its middle
        text = decode_text(b"".join(packet.data for packet in self.packets))
        return Reply(err, text, len(self.packets), cut)


@dataclass(frozen=True)
class Notification:
    """One datagram of a notify socket: ``type`` is socket, panic, hang, user, or the number of an unknown one."""

    type: str
    data: bytes

    @classmethod
    def from_bytes(cls, datagram: bytes) -> Notification:
        """Return the notification in a datagram, the 64-bit layout of uml_watchdog included.

        :raises ProtocolError: when it is neither
        """
        parsed = _parse_notification(datagram)
        if parsed is None:
            raise ProtocolError(f"a notification of {len(datagram)} bytes is not of this protocol: {datagram[:20]!r}")
        number, data = parsed
        return cls(NOTIFICATION_TYPES.get(number, str(number)), data)


def _parse_notification(datagram: bytes) -> Optional[tuple[int, bytes]]:
    """Return (type number, data), or None when the datagram is of no known layout."""
    if len(datagram) >= _NOTIFICATION.size:
        magic, version, number, length = _NOTIFICATION.unpack_from(datagram)
        if (magic, version) == (MAGIC, VERSION) and length == len(datagram) - _NOTIFICATION.size <= MAX_DATA:
            return number, datagram[_NOTIFICATION.size :]
    if len(datagram) == 24:
        magic, version, number, _length = _NOTIFICATION_64.unpack_from(datagram)
        if (magic, version) == (MAGIC, VERSION):
            return number, b""
    return None
