# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where a session keeps the input and the output of a command: in a folder of the VM host, or in one of the guest.

Either way the guest's reader stands in that folder, so its commands are the same.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import tempfile
import time
from typing import BinaryIO, NamedTuple, Optional, Tuple

from .._mconsole.errors import UnansweredError
from . import sums
from .mailbox import Mailbox
from .talk import Cancelled, Talk

_SPOT = (  # makes a folder of the guest; W is its path
    'W=;for d in /run /dev/shm /tmp /var/tmp "$HOME" /;do mkdir "$d/.uml-$S" 2>/dev/null&&W="$d/.uml-$S"&&break;done'
)
_MOUNT = (  # the mount stays for as long as the reader stands in it, and has no name
    'mount -t hostfs none "$W" -o {path} 2>/dev/null&&cd "$W"&&umount -l "$W";[ -n "$W" ]&&rmdir "$W"'
)
_KEEPER = (  # removes the folder of the guest when the reader has ended, however it did
    '(trap "" HUP;exec >/dev/null 2>&1 </dev/null;while kill -0 $$;do sleep 2;done;rm -rf "$W")&'
)
_MEMORY = 1 << 20  # bytes that are kept in memory before a file of the VM host takes them


class Status(NamedTuple):
    """How a command ended: its exit status, and how long its output and its error output are."""

    rc: int
    out: int
    err: int


class SharedFolder:
    """A mailbox of the VM host, mounted by hostfs in the guest, where only the reader sees it."""

    way = "hostfs"
    shows_end = True  # status() says it without the line

    def __init__(self, talk: Talk, mailbox: Mailbox) -> None:
        self._talk, self._mailbox = talk, mailbox

    @classmethod
    def make(cls, talk: Talk, uid: int, deadline: float) -> Optional[SharedFolder]:
        """Return the folder, or None when the guest cannot mount it, for lack of rights or of the file system."""
        mailbox = Mailbox(uid)
        try:
            number = talk.next()
            talk.tell(f"{_SPOT};{_MOUNT.format(path=mailbox.path)}", deadline)
            token = talk.ask(f'echo "@$S t {number} $(cat token 2>/dev/null)"', f"t {number} ?([0-9a-f]*)", deadline)
            if token.group(1).decode() == mailbox.token:
                return cls(talk, mailbox)
        except BaseException:
            mailbox.close()
            raise
        mailbox.close()
        return None

    def close(self) -> None:
        """Remove the folder."""
        self._mailbox.close()

    def put(self, name: str, stream: BinaryIO, deadline: float) -> None:
        """Write a file that was not there."""
        with self._mailbox.new(name) as target:
            shutil.copyfileobj(stream, target)

    def take(self, name: str, size: int, most: int, deadline: float) -> BinaryIO:
        """Return what a command wrote to a file."""
        return self._mailbox.open(name)

    def started(self, number: int) -> bool:
        """Return whether a command has begun."""
        return self._mailbox.size(f"{number}.pid") > 0

    def pid(self, number: int) -> int:
        """Return the process group of a command in the guest; 0 when it is not known."""
        text = self._mailbox.text(f"{number}.pid").strip()
        return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else 0

    def written(self, number: int) -> int:
        """Return how much a command has written so far."""
        return self._mailbox.size(f"{number}.out") + self._mailbox.size(f"{number}.err")

    def status(self, number: int, deadline: float) -> Optional[Status]:
        """Return how a command ended; None while it runs."""
        text = self._mailbox.text(f"{number}.rc")
        if not re.fullmatch(r"[0-9]{1,3}\n", text):
            return None
        sizes = [self._mailbox.size(f"{number}.{suffix}") for suffix in ("out", "err")]
        return Status(int(text), *sizes)

    def clear(self, number: int) -> None:
        """Remove what belongs to a command."""
        for suffix in _SUFFIXES:
            self._mailbox.remove(f"{number}.{suffix}")


_SUFFIXES = ("cmd", "in", "out", "err", "rc", "pid", "end")


class GuestFolder:
    """A folder of the guest's own; all that goes in and out takes the line."""

    way = "line"
    shows_end = False

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self._sum = functools.partial(sums.of_bytes, talk.tool)

    @classmethod
    def make(cls, talk: Talk, deadline: float) -> GuestFolder:
        """Return a new folder of the guest, which the guest itself removes when the reader has ended.

        :raises UnansweredError: when the guest has no place for one
        """
        number = talk.next()
        talk.tell(f'{_SPOT};[ -z "$W" ]||{{ cd "$W"; {_KEEPER} }}', deadline)
        made = talk.ask(f'echo "@$S t {number} $W"', f"t {number} ?([^\r\n]*)", deadline)
        if not made.group(1):
            raise UnansweredError(
                f"the guest of {talk.line.umid} has no directory that its user can write to", umid=talk.line.umid
            )
        return cls(talk)

    def close(self) -> None:
        """Leave it to the guest, which removes the folder by itself."""

    def put(self, name: str, stream: BinaryIO, deadline: float) -> None:
        """Write a file that was not there."""
        self.talk.push(stream, name, self._sum, deadline)

    def take(self, name: str, size: int, most: int, deadline: float) -> BinaryIO:
        """Return what a command wrote to a file."""
        target: BinaryIO = tempfile.SpooledTemporaryFile(_MEMORY)  # type: ignore[assignment] # noqa: SIM115
        if size:
            self.talk.pull(name, min(size, most), target, self._sum, deadline)
        target.seek(0)
        return target

    def started(self, number: int) -> bool:
        """Return whether a command has begun; what is sent again does no harm."""
        return False

    def pid(self, number: int) -> int:
        """Return the process group of a command in the guest; 0, because the reader is busy with the command."""
        return 0

    def written(self, number: int) -> int:
        """Return how much a command has written so far, which is not known here."""
        return 0

    def status(self, number: int, deadline: float) -> Optional[Status]:
        """Return how a command ended, said twice on one line; None while it runs."""
        words = f"$(cat {number}.rc) $(wc -c <{number}.out) $(wc -c <{number}.err)"
        pattern = rf"a {number} ([0-9]+) +([0-9]+) +([0-9]+) = ([0-9]+) +([0-9]+) +([0-9]+) \."
        with contextlib.suppress(UnansweredError):
            found = self.talk.ask(f'a="{words}";echo "@$S a {number} $a = $a ."', pattern, deadline)
            first, second = _numbers(found.groups()[:3]), _numbers(found.groups()[3:])
            return Status(*first) if first == second else None
        return None

    def clear(self, number: int) -> None:
        """Remove what belongs to a command."""
        names = " ".join(f"{number}.{suffix}" for suffix in _SUFFIXES)
        with contextlib.suppress(Cancelled, UnansweredError):
            self.talk.tell(f"rm -f {names}", time.monotonic() + 1)


def _numbers(texts: Tuple[bytes, ...]) -> Tuple[int, ...]:
    return tuple(map(int, texts))
