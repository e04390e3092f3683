# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Talk to a reader: commands to it, and its answers, on a line that loses bytes and where the kernel may speak as well.

Sent text may be lost whole or in part, so every text can be sent again, and does its work once.
"""

from __future__ import annotations

import re
import time
from typing import BinaryIO, Callable, Optional

from .._mconsole.errors import Error, UnansweredError
from .line import Line
from .login import Reader

BLOCK = 1024  # bytes that a guest is given at once
_WINDOW = 2 * BLOCK  # bytes under way to a guest; where 4096 wait to be read, the line is dead from then on (measured)
_SEGMENT = 64  # blocks that are summed together
PIECE_OUT = 262144
_SHOWN = 64  # bytes by which a block is known that the guest shows
_SMALLEST = 256
_AGAIN = 1.0  # seconds after which what was not answered is sent again
_TRIES = 8
_RATE = 50000  # bytes a second at least, on a busy VM host

# What a reader knows. K: the checksum of its input. H: take a segment of a file, and show what came of it while it
# comes, so that the one who sends knows how much may follow. G: give a piece. $1 is a number that only grows.
_FUNCTIONS = (
    "K(){ set -- $($T);echo $1; }",
    "B(){ dd bs=$1 count=$2 iflag=fullblock 2>/dev/null; }",
    'H(){ [ $1 -gt $P ]||{ echo "@$S k $1";return; };echo "@$S r $1";{ B $2 $3;[ $4 = 0 ]||B $4 1; }|tee .p;V $1 $5; }',
    'V(){ if [ "$(K <.p)" = $2 ];then cat .p >>"$F"&&P=$1&&echo "@$S k $1"||echo "@$S f $1";else echo "@$S b $1";fi; }',
    'G(){ dd if="$F" bs=$2 skip=$3 count=1 2>/dev/null >.q;echo "@$S g $1 $(wc -c <.q) $(K <.q)";cat .q; }',
)
_SUMS = ("sha256sum", "md5sum", "cksum")


class Talk:
    """The conversation with one reader; ``tool`` is the guest's program for checksums."""

    def __init__(self, reader: Reader, cancelled: Callable[[], bool]) -> None:
        self.line: Line = reader.line
        self.mark = reader.mark
        self._number = 0
        self._cancelled = cancelled
        self.tool = ""

    def watch(self, cancelled: Callable[[], bool]) -> None:
        """Ask this from now on whether the one who waits has gone."""
        self._cancelled = cancelled

    def next(self) -> int:
        """Return a number that was not used."""
        self._number += 1
        return self._number

    def tell(self, text: str, deadline: float) -> None:
        """Send a command; what was left of an earlier one does nothing."""
        self.line.send(f"\n{text} #{self.mark}\n".encode("utf-8", "surrogateescape"), deadline)

    def ask(self, text: str, answer: str, deadline: float) -> re.Match[bytes]:
        """Send a command that can be sent again, until what it says matches ``@MARK answer``.

        :raises UnansweredError: when it does not in time
        """
        pattern = re.compile(f"@{self.mark} {answer}\r?\n".encode())
        wait = _AGAIN
        while time.monotonic() < deadline:
            self.tell(text, deadline)
            match = self.expect(pattern, min(deadline, time.monotonic() + wait))
            if match is not None:
                return match
            wait *= 2
        raise self._silent()

    def expect(self, pattern: re.Pattern[bytes], deadline: float) -> Optional[re.Match[bytes]]:
        """Return the next match of what is said, as :meth:`Line.expect`.

        :raises Cancelled: when the one who waits has gone
        """
        if self._cancelled():
            raise Cancelled
        return self.line.expect(pattern, deadline)

    def prepare(self, deadline: float) -> str:
        """Teach the reader what it needs to know; return what the guest has of the programs that help.

        :raises Error: when the guest lacks a program that is needed
        """
        looks = "".join(f'command -v {name} >/dev/null&&h="$h {name}";' for name in ("setsid", "head", "dd", *_SUMS))
        self.tell("U=$(umask);umask 077;N=0;P=0;export TERM=dumb", deadline)
        found = self.ask(f'h=;{looks}echo "@$S has$h"', "has([a-z0-9 ]*)", deadline).group(1).decode()
        self.tool = next((name for name in _SUMS if name in found.split()), "")
        if not self.tool:
            raise Error(f"the guest of {self.line.umid} has none of {', '.join(_SUMS)}, one of which is needed")
        for function in (f"T={self.tool}", *_FUNCTIONS):
            number = self.next()
            self.ask(f'{function};echo "@$S d {number}"', f"d {number}", deadline)
        return found

    def push(self, stream: BinaryIO, path: str, summed: Callable[[bytes], str], deadline: float) -> None:
        """Append what a stream gives to a file of the guest, segment by segment, each of them acknowledged.

        :raises Error: when the guest cannot write it
        """
        self._name(path, deadline)
        for segment in iter(lambda: stream.read(_SEGMENT * BLOCK), b""):
            self._push_segment(segment, summed(segment), deadline)

    def _name(self, path: str, deadline: float) -> None:
        number = self.next()
        quoted = path.replace("'", "'\\''")
        self.ask(f"F='{quoted}';echo \"@$S d {number}\"", f"d {number}", deadline)

    def _push_segment(self, segment: bytes, checksum: str, deadline: float) -> None:
        number = self.next()
        verdict = re.compile(f"@{self.mark} ([kbf]) {number}\r?\n".encode())
        blocks, rest = divmod(len(segment), BLOCK)
        for _try in range(_TRIES):
            ready = self.ask(f"H {number} {BLOCK} {blocks} {rest} {checksum}", f"([rk]) {number}", deadline)
            if ready.group(1) == b"k":
                return
            self._send_blocks(segment, verdict, deadline)
            said = self._verdict(number, verdict, deadline)
            if said == b"k":
                return
            if said == b"f":
                raise Error(f"the guest of {self.line.umid} cannot write the file: is its file system full?")
        raise Error(f"{self.line.name} of {self.line.umid} garbles what is sent to the guest")

    def _send_blocks(self, segment: bytes, verdict: re.Pattern[bytes], deadline: float) -> None:
        """Send blocks as the guest shows that it has taken those before; where it does not, wait a while."""
        for start in range(0, len(segment), BLOCK):
            taken = segment[max(start - _WINDOW, 0) : max(start - _WINDOW + BLOCK, 0)]
            if taken:
                self.expect(re.compile(re.escape(taken[-_SHOWN:])), min(deadline, time.monotonic() + _AGAIN))
            self.line.send(segment[start : start + BLOCK], deadline)

    def _verdict(self, number: int, pattern: re.Pattern[bytes], deadline: float) -> bytes:
        """Return what the guest says of a segment.

        Where part of the segment was lost, the guest gets more, so that it says something; where the guest has said
        something that was lost, it is asked again.
        """
        while time.monotonic() < deadline:
            match = self.expect(pattern, min(deadline, time.monotonic() + _AGAIN))
            if match is not None:
                return match.group(1)
            self.line.send(b"\n" * BLOCK, deadline)
            self.tell(f'[ $P -ge {number} ]&&echo "@$S k {number}"||echo "@$S b {number}"', deadline)
        raise self._silent()

    def _silent(self) -> UnansweredError:
        return UnansweredError(
            f"the shell at {self.line.name} of {self.line.umid} does not answer", umid=self.line.umid
        )

    def pull(self, path: str, size: int, target: BinaryIO, summed: Callable[[bytes], str], deadline: float) -> None:
        """Write a file of the guest to a stream, piece by piece, each of them asked for again until it is whole."""
        self._name(path, deadline)
        done, block = 0, PIECE_OUT
        while done < size:
            piece = self._pull_piece(done, block, summed, deadline)
            if piece is None:
                block = max(block // 2, _SMALLEST)
            else:
                target.write(piece)
                done += len(piece)
                if not piece:
                    raise Error(f"a file of the guest of {self.line.umid} became shorter while it was read")

    def _pull_piece(self, start: int, block: int, summed: Callable[[bytes], str], deadline: float) -> Optional[bytes]:
        number = self.next()
        head = re.compile(rf"@{self.mark} g {number} +([0-9]+) ([0-9a-f]+)\r?\n".encode())
        self.tell(f"G {number} {block} {start // block}", deadline)
        match = self.expect(head, min(deadline, time.monotonic() + _AGAIN + block / _RATE))
        if match is None:
            if time.monotonic() > deadline:
                raise self._silent()
            return None
        size = min(int(match.group(1)), block)
        piece = self.line.exactly(size, min(deadline, time.monotonic() + _AGAIN + size / _RATE))
        return piece if len(piece) == size and summed(piece) == match.group(2).decode() else None


class Cancelled(Exception):
    """The one who waits has gone."""
