# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A session: one reader of a guest that runs commands, one after another."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import time
from typing import BinaryIO, Callable, NamedTuple, Optional, Union

from .._mconsole.console import Console
from .._mconsole.errors import Error, UnansweredError
from . import login, sums
from .disk_folder import DiskFolder
from .folders import GuestFolder, SharedFolder, Status
from .line import Gone, Line
from .login import Account
from .talk import Talk

_BEAT = 0.1  # seconds between looks at whether a password is asked for
_FIRST_LOOK = 0.003  # grows to _LOOK: a folder of the VM host shows the end before the line does
_LOOK = 0.2  # seconds between looks at what a command has done, where the line does not say that it has ended
_STALE = 10.0  # seconds that a session takes for what is not the command itself
MOST = 256 << 20  # bytes of output that are taken
WAYS = ("auto", "hostfs", "disk", "line")

# R runs a command once, and says that it has ended when all that it wrote can be seen from outside.
_RUN = 'R(){ [ $1 -gt $N ]||return 1;N=$1;(. ./$1.cmd);r=$?;: >>$1.out;: >>$1.err;echo $r >$1.rc;echo "@$S $1"; }'

# Stands before a command that may ask for a password on its input. It takes what is said on the line meanwhile: `?`
# shows what the command has said so far, and by a dot that it has ended; P is a password; N is that none is needed.
_FEED = (
    '{{ while IFS= read -r p <&8;do case $p in "? $S")'
    "echo \"@$S e $(cat {number}.out {number}.err|head -c 2000|od -An -v -tx1|tr -d ' \\n')"
    '$([ ! -e {number}.end ]||echo .)" >&9;;'
    '"P $S "*)printf "%s\\n" "${{p#P $S }}";break;;"N $S")break;;esac;done;cat {number}.in 2>/dev/null; }}'
)


class Data(NamedTuple):
    """How data gets in and out: the way, the user of the instance, and its console for the way of a disk."""

    way: str
    uid: int
    console: Optional[Console] = None


class Become(NamedTuple):
    """The outputs that a become plugin waits for before it passes its input on, all as regular expressions."""

    prompt: str
    success: str
    password: str


class Outcome(NamedTuple):
    """What came of a command."""

    rc: int
    out: BinaryIO
    err: BinaryIO


class Session:
    """A reader at the end of a line, and the folder that it stands in."""

    def __init__(self, talk: Talk, folder: Union[SharedFolder, GuestFolder], setsid: bool) -> None:
        self.talk, self.folder = talk, folder
        self.line = talk.line
        self._setsid = "exec setsid" if setsid else "exec"
        self._running = self._group = 0

    @classmethod
    def open(cls, line: Line, account: Account, data: Data, deadline: float, cancelled: Callable[[], bool]) -> Session:
        """Start a reader at the end of a line, which this process must hold alone."""
        talk = Talk(login.enter(line, account, deadline), cancelled)
        has = talk.prepare(deadline).split()
        folder = _folder(talk, data, deadline)
        number = talk.next()
        talk.ask(f'{_RUN};echo "@$S d {number}"', f"d {number}", deadline)
        return cls(talk, folder, "setsid" in has)

    def close(self) -> int:
        """Hang up, and return the process group of a command that runs on, 0 when none is known."""
        self.line.close()
        self.folder.close()
        return self._group

    def answers(self, deadline: float) -> bool:
        """Return whether the reader is still there, and still ours."""
        if self.line.is_gone():
            return False
        number = self.talk.next()
        self.talk.ask(f'echo "@$S d {number}"', f"d {number}", deadline)
        return True

    def run(self, command: str, stdin: Optional[BinaryIO], become: Optional[Become] = None) -> Outcome:
        """Run a command with a shell of the guest.

        :raises Gone: when the line was hung up before the command was sent
        :raises UnansweredError: when it was hung up afterwards
        :raises Cancelled: when the one who waits has gone; the command is ended
        """
        number = self._running = self.talk.next()
        if stdin is not None:
            self.folder.put(f"{number}.in", stdin, self._transfer_deadline(stdin))
        text = self._script(number, command, stdin is not None, become)
        script = io.BytesIO(text.encode("utf-8", "surrogateescape"))
        self.folder.put(f"{number}.cmd", script, time.monotonic() + _STALE)
        try:
            status = self._wait(number, become)
            self._running = 0
            out = self._output(f"{number}.out", status.out)
            return Outcome(status.rc, out, self._output(f"{number}.err", status.err))
        except Gone as err:
            raise UnansweredError(
                f"{self.line.name} of {self.line.umid} was hung up while the command ran, so the guest has ended or was"
                " restarted: it may have happened",
                umid=self.line.umid,
            ) from err
        finally:
            self._group = self.folder.pid(number) if self._running else 0
            with contextlib.suppress(Gone):
                self.folder.clear(number)

    def put(self, stream: BinaryIO, path: str) -> None:
        """Write a file of the guest, and see that it is what the stream gives.

        :raises Error: when it cannot be written, or is something else afterwards
        """
        wanted = sums.of_stream(self.talk.tool, stream)
        quoted = shlex.quote(path)
        done = self.run(f"cat >{quoted}&&{self.talk.tool} <{quoted}", stream)
        self._check(done, f"write {path}")
        self._compare(path, wanted, done.out)

    def fetch(self, path: str) -> BinaryIO:
        """Return a file of the guest, and see that it is what the guest has.

        :raises Error: when it cannot be read, or is something else afterwards
        """
        quoted = shlex.quote(path)
        done = self.run(f"cat {quoted}&&{self.talk.tool} <{quoted} >&2", None)
        self._check(done, f"read {path}")
        self._compare(path, sums.of_stream(self.talk.tool, done.out), done.err)
        return done.out

    def _check(self, done: Outcome, what: str) -> None:
        if done.rc != 0:
            said = done.err.read(300).decode("utf-8", "replace").strip().splitlines()
            raise Error(f"the guest of {self.line.umid} cannot {what}: {said[-1] if said else 'it does not say why'}")

    def _compare(self, path: str, wanted: str, found: BinaryIO) -> None:
        said = found.read(200).decode("ascii", "replace").split()
        if not said or said[0] != wanted:
            raise Error(
                f"{path} of {self.line.umid} is not what was sent: its {self.talk.tool} is {' '.join(said)},"
                f" expected {wanted}; it may have changed meanwhile"
            )

    def _output(self, name: str, size: int) -> BinaryIO:
        return self.folder.take(name, size, MOST, time.monotonic() + _STALE + size / 1000)

    @staticmethod
    def _transfer_deadline(stream: BinaryIO) -> float:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        return time.monotonic() + _STALE + size / 1000

    def _script(self, number: int, command: str, has_input: bool, become: Optional[Become]) -> str:
        """Return the script of the reader's shell for a command, which runs in a separate shell."""
        inner = f"echo $$ >&7;exec 7>&-\n{command}"
        run = f'cd "$HOME" 2>/dev/null||cd /\numask $U\n{self._setsid} /bin/sh -c {shlex.quote(inner)}\n'
        outputs = f">{number}.out 2>{number}.err 7>{number}.pid"
        if become is None:
            return f"exec {f'<{number}.in' if has_input else '</dev/null'} {outputs}\n{run}"
        feed = _FEED.format(number=number)
        return f"exec 8<&0 9>&1 {outputs}\n{feed}|{{ (exec 8<&- 9>&-\n{run});r=$?;: >{number}.end;exit $r; }}\n"

    def _wait(self, number: int, become: Optional[Become]) -> Status:
        """Start a command and return how it ended."""
        ended = re.compile(f"@{self.talk.mark} {number}\r?\n".encode())
        self._start(number)
        if become is not None:
            self._become(become)
        wait, again = 1.0, time.monotonic() + 1.0
        look = _FIRST_LOOK if self.folder.shows_end else _LOOK
        while True:
            heard = self.talk.expect(ended, time.monotonic() + look) is not None
            look = min(look * 1.5, _LOOK)
            if heard or self.folder.shows_end:
                status = self.folder.status(number, time.monotonic() + _STALE)
                if status is not None:
                    return status
            if self.folder.written(number) > MOST:
                raise Error(f"the command wrote more than {MOST >> 20} MB", umid=self.line.umid)
            if time.monotonic() > again and not self.folder.started(number):
                self._start(number)
                wait = min(wait * 2, 30.0)
                again = time.monotonic() + wait

    def _start(self, number: int) -> None:
        """Ask for the run of a command; the request can be repeated, and a command that has ended answers so again."""
        self.talk.tell(f'R {number}||echo "@$S {number}"', time.monotonic() + _STALE)

    def _become(self, become: Become) -> None:
        """Give the password when it is asked for; then, or when the command has begun or failed, let its input go."""
        shown = re.compile(f"@{self.talk.mark} e ([0-9a-f]*)(\\.?)\r?\n".encode())
        prompt, success = (re.compile(text.encode(), re.MULTILINE) for text in (become.prompt, become.success))
        while True:
            self._say(f"? {self.talk.mark}")
            match = self.talk.expect(shown, time.monotonic() + 1.0)
            said = bytes.fromhex(match.group(1).decode()) if match is not None else b""
            if match is not None and (match.group(2) or success.search(said)):
                return self._say(f"N {self.talk.mark}")
            if prompt.search(said):
                return self._say(f"P {self.talk.mark} {become.password}")
            time.sleep(_BEAT)

    def _say(self, text: str) -> None:
        self.line.send(f"\n{text}\n".encode(), time.monotonic() + _STALE)


def _folder(talk: Talk, data: Data, deadline: float) -> Union[SharedFolder, GuestFolder]:
    """Return the folder for the way that is asked for, or for the first one that works.

    :raises Error: when the guest has no such way
    """
    shared = SharedFolder.make(talk, data.uid, deadline) if data.way in ("auto", "hostfs") else None
    if shared is not None:
        return shared
    if data.way == "hostfs":
        raise Error(f"the guest of {talk.line.umid} cannot mount a folder of the VM host by hostfs")
    folder = GuestFolder.make(talk, deadline)
    if data.way == "line" or data.console is None:
        return folder
    found = DiskFolder.beside(folder, data.console, data.uid, data.way == "disk", deadline)
    if found is None and data.way == "disk":
        raise Error(f"the guest's user of {talk.line.umid} is not root, so it cannot use a disk for the transfer")
    return found or folder
