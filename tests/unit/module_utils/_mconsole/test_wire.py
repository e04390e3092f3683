# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes and values, in both directions, and what no bytes may do."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError, ProtocolError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.wire import (
    MAX_COMMAND,
    MAX_DATA,
    MAX_PACKETS,
    SAFE_BURST,
    Assembly,
    Notification,
    Packet,
    Reply,
    Request,
    decode_text,
    encode_text,
)

HEAD = b"\xbe\xba\xfe\xca\x02\x00\x00\x00"  # magic and version as a little-endian kernel reads them
REQUESTS = {
    "version": HEAD + b"\x07\x00\x00\x00version",
    "config ubd0=/ä": HEAD + b"\x0f\x00\x00\x00config ubd0=/\xc3\xa4",
    "log hello\n": HEAD + b"\x0a\x00\x00\x00log hello\n",
    "proc \udcff": HEAD + b"\x06\x00\x00\x00proc \xff",
}
PACKETS = {
    Packet(0, False, b""): b"\0\0\0\0\0\0\0\0\x01\0\0\0\0",
    Packet(0, True, b"\n"): b"\0\0\0\0\x01\0\0\0\x02\0\0\0\n\0",
    Packet(1, False, b"Not stopped"): b"\x01\0\0\0\0\0\0\0\x0c\0\0\0Not stopped\0",
    Packet(-16, False, b"busy"): b"\xf0\xff\xff\xff\0\0\0\0\x05\0\0\0busy\0",
    Packet(0, True, b"x" * 511): b"\0\0\0\0\x01\0\0\0\x00\x02\0\0" + b"x" * 511 + b"\0",
}
NOTIFICATIONS = {
    "a socket": (HEAD + b"\0\0\0\0\x05\0\0\0/a/b\0", Notification("socket", b"/a/b\0")),
    "a panic": (HEAD + b"\x01\0\0\0\x03\0\0\0no\0", Notification("panic", b"no\0")),
    "a hang": (HEAD + b"\x02\0\0\0\0\0\0\0", Notification("hang", b"")),
    "a user's binary": (HEAD + b"\x03\0\0\0\x04\0\0\0a\0\xffb", Notification("user", b"a\0\xffb")),
    "an unknown type": (HEAD + b"\x63\0\0\0\x01\0\0\0x", Notification("99", b"x")),
    "a negative type": (HEAD + b"\xff\xff\xff\xff\0\0\0\0", Notification("-1", b"")),
    "the hang of a 64-bit watchdog": (
        struct.pack("=IIIIII", 0xCAFEBABE, 0, 2, 2, 0, 0x7FFE1234),
        Notification("hang", b""),
    ),
}
NO_REQUEST = {
    "nothing": b"",
    "half a header": HEAD,
    "another magic": b"\xca\xfe\xba\xbe\0\0\0\x02\0\0\0\x07version",
    "another version": HEAD[:4] + b"\x03\0\0\0\x02\0\0\0go",
    "more bytes than it says": HEAD + b"\x02\0\0\0gogo",
    "fewer bytes than it says": HEAD + b"\x05\0\0\0go",
    "no command": HEAD + b"\0\0\0\0",
    "a NUL": HEAD + b"\x03\0\0\0g\0o",
    "two lines": HEAD + b"\x05\0\0\0go\ngo",
    "too long a command": HEAD + b"\0\x02\0\0" + b"x" * 512,
}
NO_REPLY = {
    "nothing": b"",
    "half a header": b"\0" * 11,
    "the text for old clients": b"ERR Version 0 mconsole clients are not supported by this driver",
    "more bytes than it says": b"\0" * 8 + b"\x01\0\0\0ab",
    "fewer bytes than it says": b"\0" * 8 + b"\x05\0\0\0ab",
    "more bytes than there can be": b"\0" * 8 + struct.pack("=I", MAX_DATA + 1) + b"x" * (MAX_DATA + 1),
}
NO_NOTIFICATION = {
    "nothing": b"",
    "another magic": b"\0" * 16,
    "fewer bytes than it says": HEAD + b"\x03\0\0\0\x05\0\0\0abc",
    "more bytes than there can be": HEAD + b"\x03\0\0\0" + struct.pack("=I", MAX_DATA + 1) + b"x" * (MAX_DATA + 1),
}
NO_COMMANDS = {
    "nothing": "",
    "blanks": "   ",
    "a NUL": "go\0",
    "two lines": "go\ngo",
    "a line end": "version\n",
    "a carriage return": "version\r",
    "a log of two lines": "log a\nb\n",
    "too many bytes": "log " + "ä" * 254,
    "half a character": "proc \ud800",
}


@pytest.mark.parametrize(("text", "datagram"), REQUESTS.items(), ids=repr)
def test_a_request_is_its_datagram(text: str, datagram: bytes) -> None:
    assert Request(text).to_bytes() == datagram
    assert Request.from_bytes(datagram) == Request(text)


@pytest.mark.parametrize(("packet", "datagram"), PACKETS.items(), ids=lambda value: repr(value)[:40])
def test_a_packet_is_its_datagram(packet: Packet, datagram: bytes) -> None:
    assert packet.to_bytes() == datagram
    assert Packet.from_bytes(datagram) == packet


def test_a_packet_without_its_nul_is_taken_as_it_is() -> None:
    assert Packet.from_bytes(b"\0" * 8 + b"\x02\0\0\0ab") == Packet(0, False, b"ab")
    assert Packet.from_bytes(b"\0" * 12) == Packet(0, False, b"")


@pytest.mark.parametrize("case", NOTIFICATIONS)
def test_a_notification_is_read(case: str) -> None:
    datagram, notification = NOTIFICATIONS[case]
    assert Notification.from_bytes(datagram) == notification


@pytest.mark.parametrize("case", NO_REQUEST)
def test_what_is_no_request_is_refused(case: str) -> None:
    with pytest.raises(ProtocolError):
        Request.from_bytes(NO_REQUEST[case])


@pytest.mark.parametrize("case", NO_REPLY)
def test_what_is_no_reply_is_refused(case: str) -> None:
    with pytest.raises(ProtocolError):
        Packet.from_bytes(NO_REPLY[case])


@pytest.mark.parametrize("case", NO_NOTIFICATION)
def test_what_is_no_notification_is_refused(case: str) -> None:
    with pytest.raises(ProtocolError):
        Notification.from_bytes(NO_NOTIFICATION[case])


@pytest.mark.parametrize("case", NO_COMMANDS)
def test_what_no_kernel_can_be_sent_is_refused(case: str) -> None:
    with pytest.raises(InputError):
        Request(NO_COMMANDS[case])


def test_the_longest_command_fits() -> None:
    assert len(Request("x" * MAX_COMMAND).to_bytes()) == 12 + MAX_COMMAND
    with pytest.raises(InputError, match="512 bytes"):
        Request("x" * (MAX_COMMAND + 1))


# The invariant: from_bytes returns a value or raises ProtocolError, and a value is no larger than its datagram.

HEADERS = st.sampled_from([b"", HEAD, HEAD + b"\x02\0\0\0", b"\0" * 8, b"\0" * 8 + b"\x05\0\0\0"])
DATAGRAMS = st.builds(lambda head, data: head + data, HEADERS, st.binary(max_size=600))


@given(DATAGRAMS)
def test_no_bytes_break_the_reading_of_a_request(datagram: bytes) -> None:
    try:
        request = Request.from_bytes(datagram)
    except ProtocolError:
        return
    assert request.to_bytes() == datagram


@given(DATAGRAMS)
def test_no_bytes_break_the_reading_of_a_packet(datagram: bytes) -> None:
    try:
        packet = Packet.from_bytes(datagram)
    except ProtocolError:
        return
    assert len(packet.data) <= min(len(datagram) - 12, MAX_DATA)
    assert -(1 << 31) <= packet.err < 1 << 31


@given(DATAGRAMS)
def test_no_bytes_break_the_reading_of_a_notification(datagram: bytes) -> None:
    try:
        notification = Notification.from_bytes(datagram)
    except ProtocolError:
        return
    assert len(notification.data) <= min(len(datagram) - 16, MAX_DATA)


@given(st.text(max_size=600))
def test_a_request_comes_back_or_was_never_made(text: str) -> None:
    try:
        request = Request(text)
    except InputError:
        return
    assert Request.from_bytes(request.to_bytes()) == request


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.booleans(), st.binary(max_size=MAX_DATA - 1))
def test_a_packet_comes_back(err: int, more: bool, data: bytes) -> None:
    packet = Packet(err, more, data)
    assert Packet.from_bytes(packet.to_bytes()) == packet


@given(st.binary())
def test_any_bytes_survive_as_text(data: bytes) -> None:
    assert encode_text(decode_text(data)) == data


# Replies of several packets.


def assembled(packets: list[Packet | None]) -> Reply:
    """Feed packets; None is a moment when the queue was seen empty."""
    first, *rest = packets
    assert first is not None
    assembly = Assembly(SAFE_BURST, first)
    for packet in rest:
        if packet is None:
            assembly.drained()
        else:
            assembly.feed(packet.to_bytes())
    return assembly.reply()


Fed = list[Packet | None]
MORE: Fed = [Packet(0, True, b"m")]
END: Fed = [Packet(0, False, b"e")]
EMPTY: Fed = [None]
WHOLE = {
    "one packet": END,
    "as many as the queue holds": MORE * 10 + END,
    "more, read in time": (MORE * 10 + EMPTY) * 5 + END,
}
CUT = {
    "no end": MORE,
    "one more than the queue holds": MORE * 11 + END,
    "a queue that was full before": MORE * 11 + EMPTY + MORE + END,
    "a full queue and no end": MORE * 11,
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_reply_is_whole(case: str) -> None:
    reply = assembled(WHOLE[case])
    assert not reply.truncated
    assert reply.packets == len([packet for packet in WHOLE[case] if packet])
    assert reply.text == "m" * (reply.packets - 1) + "e"


@pytest.mark.parametrize("case", CUT)
def test_a_reply_may_be_cut(case: str) -> None:
    reply = assembled(CUT[case])
    assert reply.truncated


def test_an_error_in_the_middle_is_the_error_of_all() -> None:
    assert assembled([*MORE, Packet(1, False, b"Read of file failed")]) == Reply(1, "mRead of file failed", 2, False)


def test_a_character_cut_by_a_packet_is_whole_again() -> None:
    reply = assembled([Packet(0, True, b"\xc3"), Packet(0, False, b"\xa4")])
    assert reply.text == "ä"


def test_a_reply_grows_no_further_than_the_bound() -> None:
    assembly = Assembly(MAX_PACKETS, Packet(0, True, b"m"))
    datagram = Packet(0, True, b"m").to_bytes()
    while assembly.feed(datagram):
        pass
    assert len(assembly.packets) == MAX_PACKETS
    assert assembly.reply().truncated


def test_a_reply_ends_with_its_end_or_with_nothing() -> None:
    assembly = Assembly(SAFE_BURST, Packet(0, True, b"m"))
    assert not assembly.feed(b"")
    assert assembly.feed(Packet(0, True, b"m").to_bytes())
    assert not assembly.feed(Packet(0, False, b"e").to_bytes())
    assert assembly.reply() == Reply(0, "mme", 3, False)
