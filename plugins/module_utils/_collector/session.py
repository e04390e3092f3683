# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Run the collector: one for each journal, until a signal ends it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import selectors
import signal
import socket
import time
import traceback
from types import FrameType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from .._journal import journal
from .._journal.event_line import Event
from .._mconsole.errors import InputError
from .._mconsole.parsing import parse_size
from .._program import bundle
from .loop import Door, Loop
from .metric_families import Snapshot
from .metrics import Metrics
from .metrics_address import parse
from .metrics_file import MetricsFile
from .metrics_socket import MetricsSocket
from .patterns import watches
from .recorder import Recorder
from .sampler import Sampler
from .status_socket import StatusSocket
from .tracker import Settings
from .trail_socket import Trail, open_sockets

RATE = 100.0  # events a second of one instance, on average
_LOCK = "collector.lock"
ENTRY = "_collector.main"  # of the program that a collector is


def collect(
    journal_dir: Optional[str] = None,
    uml_dirs: Optional[List[str]] = None,
    patterns: Sequence[Mapping[str, Any]] = (),
    event_rate: float = RATE,
    journal_size: Union[int, str, None] = None,
    metrics_file: Optional[str] = None,
    metrics_listen: Optional[str] = None,
    guest_metrics: bool = True,
    detached: bool = False,
) -> None:
    """Collect into the journal of a directory (by default this user's own) until SIGTERM or SIGINT.

    ``detached`` lets go of stdout and stderr once it collects; the others are the options of the module ``collector``.

    :raises Error: when another one collects there, or a value cannot be used
    """
    wanted = watches(patterns)
    where = journal_dir or journal.default_directory()
    size = parse_size(journal_size, "journal_size") if isinstance(journal_size, str) else journal_size
    journal.make_directory(where)
    with Lock(where) as lock, contextlib.closing(_Journal(where, size or journal.LIMIT)) as writer:
        recorder = Recorder(writer.append, socket.gethostname())
        loop = Loop(Settings(uml_dirs, wanted, event_rate), recorder, lock.touch)
        order: Dict[str, Any] = {"uml_dirs": uml_dirs, "patterns": list(patterns), "event_rate": event_rate}
        order.update(journal_size=size, metrics_file=metrics_file, metrics_listen=metrics_listen)
        order["guest_metrics"] = guest_metrics
        lock.sign(order)
        with _metrics(order, where, loop, recorder):
            _Session(where, loop, recorder, order).run(lock, detached, Trail(recorder, uml_dirs, event_rate))


@contextlib.contextmanager
def _metrics(order: Mapping[str, Any], directory: str, loop: Loop, recorder: Recorder) -> Iterator[None]:
    """Write and serve the metrics while the loop runs, where that is wanted, and remove them at the end.

    :raises InputError: when that is not possible
    """

    def snapshot() -> Snapshot:
        counters = {**loop.counters, **recorder.counters, "journal_bytes": journal.size(directory)}
        return Snapshot(loop.instances(), loop.crashed(), counters, recorder.kinds)

    path, listen = order["metrics_file"], order["metrics_listen"]
    with contextlib.ExitStack() as opened:
        sampler = Sampler(loop.instances) if order["guest_metrics"] and (path or listen) else None
        metrics = Metrics(snapshot, sampler)
        if sampler is not None:
            opened.callback(sampler.close)
            loop.on_tick.append(sampler.tick)
        if path:
            file = opened.enter_context(contextlib.closing(MetricsFile(path, metrics.text)))
            file.open()
            loop.on_tick.append(file.tick)
        if listen:
            server = opened.enter_context(contextlib.closing(MetricsSocket(parse(listen), metrics.text, loop.selector)))
            loop.attach(server)
            loop.on_tick.append(server.tick)
        yield


class Lock:
    """The right to write a journal. Its file is touched while we live, so the next one knows how long none ran."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, _LOCK)
        self.away_since: Optional[float] = None
        self.was_killed = False

    def __enter__(self) -> Lock:
        """Take it.

        :raises InputError: when another process has it
        """
        existed = os.path.exists(self.path)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise InputError(f"another collector has {self.path}", path=self.path) from None
        if existed:
            self.away_since = os.fstat(self._descriptor).st_mtime
            self.was_killed = os.fstat(self._descriptor).st_size > 0
        return self

    def __exit__(self, *exception: object) -> None:
        self._write("")
        os.close(self._descriptor)

    def sign(self, order: Dict[str, Any]) -> None:
        """Say who has it, and with what settings, for those who find us hung."""
        self._write(json.dumps({"pid": os.getpid(), "order": order}))

    def touch(self) -> None:
        """Note that we live; this works on a full disk too."""
        with contextlib.suppress(OSError):
            os.utime(self._descriptor)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode("ascii"), 0)


def holder(directory: str) -> Optional[Dict[str, Any]]:
    """Return ``pid`` and ``order`` of the process that has the right to write a journal, or None when none has.

    They are not in it where the disk was full.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(os.path.join(directory, _LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            with contextlib.suppress(ValueError):
                found = json.loads(os.pread(descriptor, 1 << 20, 0))
                return found if isinstance(found, dict) else {}
            return {}
        finally:
            os.close(descriptor)
    return None


class _Journal:
    """The journal, opened again when it could not be written to: its disk may have been full, or its files removed.

    :raises Error: when it cannot be opened now
    """

    def __init__(self, directory: str, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._writer: Optional[journal.Writer] = journal.Writer(directory, limit)

    def append(self, event: Event) -> None:
        """Write one event.

        :raises OSError: when that cannot be done now
        """
        if self._writer is None:
            self._writer = journal.Writer(self._directory, self._limit)
        try:
            self._writer.append(event)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class _Session:
    """One run of a collector: what is around its loop."""

    def __init__(self, directory: str, loop: Loop, recorder: Recorder, order: Dict[str, Any]) -> None:
        self._directory = directory
        self._loop = loop
        self._recorder = recorder
        self._order = order
        self._code = bundle.digest(ENTRY)
        self._began = time.time()

    def run(self, lock: Lock, detached: bool, trail: Trail) -> None:
        """Record the start, collect, and record the end."""
        _raise_limit()
        with _Signals(self._loop), contextlib.ExitStack() as doors:
            opened: List[Door] = [StatusSocket(self._directory, self.status), *open_sockets(self._directory, trail)]
            for door in opened:
                doors.callback(door.close)
                self._loop.attach(door)
            self._announce(lock)
            if detached:
                _let_go()
            try:
                self._loop.run()
                self._recorder.add("collector_stopped", "a signal asked it to end")
            except Exception as err:
                told = "".join(traceback.format_exception_only(type(err), err)).strip()
                self._recorder.add("collector_stopped", f"it failed: {told}", severity="critical")
                raise
            finally:
                self._loop.close()

    def status(self) -> Dict[str, Any]:
        """Return the answer of the status socket."""
        return {
            "pid": os.getpid(),
            "code": self._code,
            "started": self._began,
            "journal_dir": self._directory,
            "service": bool(os.environ.get("INVOCATION_ID")),  # systemd's: only systemd ends it
            "order": self._order,
            "instances": self._loop.coverage(),
            "counters": {**self._loop.counters, **self._recorder.counters},
        }

    def _announce(self, lock: Lock) -> None:
        self._recorder.add("collector_started", f"process {os.getpid()}", code=self._code)
        if lock.away_since is not None:
            away = max(self._began - lock.away_since, 0.0)
            how = "it was killed" if lock.was_killed else "it was stopped"
            text = f"nothing was collected for {away:.1f} s, because {how}"
            severity = "warning" if lock.was_killed else "info"
            self._recorder.gap(text, since=lock.away_since, seconds=round(away, 1), severity=severity)
        self._recorder.flush()


class _Signals:
    """Turns the signals that mean the end into the end of the loop, also while it waits."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def __enter__(self) -> _Signals:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._theirs.fileno())
        self._loop.selector.register(self._ours, selectors.EVENT_READ)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.set_wakeup_fd(-1)
        self._ours.close()
        self._theirs.close()

    def _end(self, number: int, frame: Optional[FrameType]) -> None:
        self._loop.ending = True


def _raise_limit() -> None:
    """Have as many open files as may be: each instance takes two."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _let_go() -> None:
    """Close stdout and stderr; the process that started us waits for that."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
