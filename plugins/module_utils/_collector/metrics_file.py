# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The metrics of a collector and of the instances that it covers, as a file that node_exporter reads."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Callable, Dict, List, Mapping, Sequence

from .._mconsole import procfs
from .._mconsole.errors import InputError
from .._metrics import usage
from .._metrics.exposition import Family, Labels, text_of
from .._metrics.usage import Usage
from .tracked import TrackedInstance

INTERVAL = 15.0  # seconds, as often as Prometheus usually looks
MOST = 1000  # instances whose series are written
_NAME = "uml_mconsole"
Counters = Mapping[str, int]


class MetricsFile:
    """The file; ``read`` returns the instances, the collector's counters, and the events by type and severity."""

    def __init__(self, path: str, read: Callable[[], Snapshot]) -> None:
        self._path = path
        self._read = read
        self._due = 0.0
        self._began = time.time()

    def open(self) -> None:
        """Write it for the first time.

        :raises InputError: when that is not possible
        """
        try:
            self._write()
        except OSError as err:
            raise InputError(f"metrics_file {self._path} cannot be written: {err.strerror}", path=self._path) from err

    def tick(self) -> None:
        """Write it when its time has come; one that cannot be written stays as it is, and its age shows that."""
        if time.monotonic() >= self._due:
            with contextlib.suppress(OSError):
                self._write()

    def close(self) -> None:
        """Remove it, because its values are no longer true."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _write(self) -> None:
        """Replace the file as a whole; node_exporter, another user, reads files that end in .prom."""
        self._due = time.monotonic() + INTERVAL
        text = text_of(families(self._read(), self._began))
        directory, name = os.path.split(self._path)
        temporary = os.path.join(directory, f".{name}.new")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o644), "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(text)
        os.replace(temporary, self._path)


class Snapshot:
    """The knowledge of a collector at one moment."""

    def __init__(self, instances: Sequence[TrackedInstance], counters: Counters, events: Mapping[Any, int]) -> None:
        self.instances = list(instances)[:MOST]
        self.left_out = max(len(instances) - MOST, 0)
        self.counters = counters
        self.events = events


def families(found: Snapshot, began: float) -> List[Family]:
    """Return all metrics."""
    used = usage.usage(tuple(tracked.pid for tracked in found.instances))
    return [*_of_collector(found, began), *_of_instances(found.instances, used)]


def _of_collector(found: Snapshot, began: float) -> List[Family]:
    nothing: Labels = {}
    counts = [({"type": kind, "severity": severity}, count) for (kind, severity), count in sorted(found.events.items())]
    single = (
        ("collector_start_time_seconds", "gauge", "Time when the collector started, in seconds since 1970.", began),
        ("instances", "gauge", "Running instances.", len(found.instances) + found.left_out),
        ("instances_left_out", "gauge", f"Running instances beyond the first {MOST}.", found.left_out),
        ("datagrams_total", "counter", "Notifications that were received.", found.counters["datagrams"]),
        ("events_written_total", "counter", "Events in the journal.", found.counters["written"]),
        ("events_lost_total", "counter", "Events that could not be written.", found.counters["lost"]),
        ("events_limited_total", "counter", "Events that came too fast.", found.counters["limited"]),
    )
    families = [Family(f"{_NAME}_{name}", kind, text, [(nothing, value)]) for name, kind, text, value in single]
    return [*families, Family(f"{_NAME}_events_total", "counter", "Events since the collector started.", counts)]


def _of_instances(tracked: Sequence[TrackedInstance], used: Dict[int, Usage]) -> List[Family]:
    labels = {each.pid: {"umid": each.place.umid, "uml_dir": each.place.uml_dir} for each in tracked}
    known = {pid: usage for pid, usage in used.items() if pid in labels}

    def family(name: str, kind: str, text: str, values: Mapping[int, float]) -> Family:
        return Family(f"{_NAME}_instance_{name}", kind, text, [(labels[pid], value) for pid, value in values.items()])

    return [
        family("up", "gauge", "1 for each instance that runs.", {each.pid: 1 for each in tracked}),
        family("paused", "gauge", "Whether its console is stopped.", {each.pid: each.paused for each in tracked}),
        family("panicked", "gauge", "Whether its kernel has panicked.", {each.pid: each.panicked for each in tracked}),
        family("boots_total", "counter", "Boots that the collector saw.", {each.pid: each.boot for each in tracked}),
        family("start_time_seconds", "gauge", "Time when its process started.", _started(tracked)),
        family("cpu_seconds_total", "counter", "Processor time on the VM host.", {k: v.cpu for k, v in known.items()}),
        family("resident_memory_bytes", "gauge", "Resident memory.", {k: v.resident for k, v in known.items()}),
        family("processes", "gauge", "Processes on the VM host.", {k: v.processes for k, v in known.items()}),
        family("console_log_bytes", "gauge", "Size of its console log.", _sizes(tracked)),
    ]


def _started(tracked: Sequence[TrackedInstance]) -> Dict[int, float]:
    lines = procfs.read_text("/proc/stat").splitlines()
    booted = next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
    hertz = os.sysconf("SC_CLK_TCK")
    return {each.pid: booted + each.start / hertz for each in tracked if booted and each.start}


def _sizes(tracked: Sequence[TrackedInstance]) -> Dict[int, float]:
    return {each.pid: each.follower.size() for each in tracked if each.follower is not None}
