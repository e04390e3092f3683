# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The metrics of a collector and of the instances that it covers: their names, and where each value comes from."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._journal.event_filter import SEVERITIES
from .._mconsole import procfs
from .._mconsole.instances import Place
from .._metrics import taps, usage
from .._metrics.exposition import Family, Labels
from .._metrics.guest import Sample
from .._metrics.taps import Traffic
from .._metrics.usage import Usage
from .recorder import SEVERITY
from .tracked import TrackedInstance

MOST = 1000  # instances whose series are written
_NAME = "uml_mconsole"
Counters = Mapping[str, float]
Value = Optional[float]


class Snapshot:
    """The knowledge of a collector at one moment: the instances that run, and the places of those that crashed."""

    def __init__(
        self,
        instances: Sequence[TrackedInstance],
        down: Sequence[Place],
        counters: Counters,
        events: Mapping[Any, int],
    ) -> None:
        self.instances = list(instances)[:MOST]
        self.down = list(down)[: MOST - len(self.instances)]
        self.left_out = len(instances) + len(down) - len(self.instances) - len(self.down)
        self.running = len(instances)
        self.counters = counters
        self.events = events


class View(NamedTuple):
    """All that is known of one running instance."""

    tracked: TrackedInstance
    host: Optional[Usage]
    sample: Optional[Sample]
    taps: Mapping[str, Traffic]
    booted: float  # when the VM host did, in seconds since 1970

    @property
    def labels(self) -> Labels:
        """Return the labels of all its series."""
        return _labels(self.tracked.place)

    def memory(self, name: str) -> Value:
        """Return bytes of the guest's memory by meminfo's name, or None."""
        return self.sample.memory.get(name) if self.sample is not None else None

    def load(self, minutes: str) -> Value:
        """Return the guest's load, or None."""
        return self.sample.load.get(minutes) if self.sample is not None else None


def _start_time(view: View) -> Value:
    start = view.tracked.start
    return view.booted + start / os.sysconf("SC_CLK_TCK") if view.booted and start else None


Row = Tuple[str, str, str, Callable[[View], Value]]
_OF_COLLECTOR = (
    ("collector_start_time_seconds", "gauge", "Time when the collector started, in seconds since 1970.", "began"),
    ("collector_write_time_seconds", "gauge", "Time when these metrics were made, in seconds since 1970.", "now"),
    ("collector_make_seconds", "gauge", "How long the last metrics took to make.", "make_seconds"),
    ("collector_ask_seconds", "gauge", "How long the last round of questions to all consoles took.", "ask_seconds"),
    ("collector_cpu_seconds_total", "counter", "Processor time of the collector.", "cpu_seconds"),
    ("collector_resident_memory_bytes", "gauge", "Resident memory of the collector.", "resident"),
    ("collector_journal_bytes", "gauge", "Size of the journal.", "journal_bytes"),
    ("datagrams_total", "counter", "Notifications that were received.", "datagrams"),
    ("datagrams_unknown_total", "counter", "Datagrams that no notification of an instance was in.", "odd"),
    ("log_matches_total", "counter", "Lines of console logs that matched a pattern.", "matches"),
    ("events_written_total", "counter", "Events in the journal.", "written"),
    ("events_lost_total", "counter", "Events that could not be written.", "lost"),
    ("events_limited_total", "counter", "Events that came too fast.", "limited"),
)
_OF_INSTANCE: Tuple[Row, ...] = (
    ("paused", "gauge", "Whether its console is stopped.", lambda view: view.tracked.paused),
    ("panicked", "gauge", "Whether its kernel has panicked.", lambda view: view.tracked.panicked),
    ("boots_total", "counter", "Boots that the collector saw.", lambda view: view.tracked.boot),
    ("panics_total", "counter", "Panics that its kernel reported.", lambda view: view.tracked.seen.get("panic", 0)),
    ("hangs_total", "counter", "Hangs that its kernel reported.", lambda view: view.tracked.seen.get("hang", 0)),
    (
        "notifications_total",
        "counter",
        "Notifications that it sent.",
        lambda view: sum(view.tracked.seen.values()),
    ),
    ("start_time_seconds", "gauge", "Time when its process started.", _start_time),
    ("boot_time_seconds", "gauge", "Time when its kernel made its console.", lambda view: view.tracked.boot_time),
    (
        "cpu_seconds_total",
        "counter",
        "Processor time on the VM host.",
        lambda view: view.host.cpu if view.host else None,
    ),
    (
        "resident_memory_bytes",
        "gauge",
        "Resident memory on the VM host.",
        lambda view: view.host.resident if view.host else None,
    ),
    ("processes", "gauge", "Processes on the VM host.", lambda view: view.host.processes if view.host else None),
    (
        "console_log_bytes",
        "gauge",
        "Size of its console log.",
        lambda view: view.tracked.follower.size() if view.tracked.follower is not None else None,
    ),
    (
        "console_answers",
        "gauge",
        "Whether its console answered when it was last asked.",
        lambda view: view.sample.latency is not None if view.sample else None,
    ),
    (
        "console_latency_seconds",
        "gauge",
        "Time that its console took to answer.",
        lambda view: view.sample.latency if view.sample else None,
    ),
    ("memory_size_bytes", "gauge", "Memory of the guest.", lambda view: view.memory("MemTotal")),
    ("memory_free_bytes", "gauge", "Memory that the guest does not use.", lambda view: view.memory("MemFree")),
    (
        "memory_available_bytes",
        "gauge",
        "Memory that the guest can give to a process.",
        lambda view: view.memory("MemAvailable"),
    ),
    ("load1", "gauge", "Load of the guest over 1 minute.", lambda view: view.load("1m")),
    ("load5", "gauge", "Load of the guest over 5 minutes.", lambda view: view.load("5m")),
    ("load15", "gauge", "Load of the guest over 15 minutes.", lambda view: view.load("15m")),
)
_OF_DISK = (
    ("reads_total", "counter", "Reads of the guest from a disk.", "reads"),
    ("read_bytes_total", "counter", "Bytes that the guest read from a disk.", "read_bytes"),
    ("writes_total", "counter", "Writes of the guest to a disk.", "writes"),
    ("written_bytes_total", "counter", "Bytes that the guest wrote to a disk.", "written_bytes"),
    ("size_bytes", "gauge", "Size of a disk.", "size"),
    ("allocated_bytes", "gauge", "Space of a disk's own file on the VM host, without a backing file.", "allocated"),
)
_OF_TAP = (
    ("receive_bytes_total", "counter", "Bytes that the guest received through a tap.", "received_bytes"),
    ("receive_packets_total", "counter", "Packets that the guest received through a tap.", "received_packets"),
    ("receive_drops_total", "counter", "Packets to the guest that were dropped at a tap.", "received_drops"),
    ("transmit_bytes_total", "counter", "Bytes that the guest sent through a tap.", "sent_bytes"),
    ("transmit_packets_total", "counter", "Packets that the guest sent through a tap.", "sent_packets"),
    ("transmit_drops_total", "counter", "Packets of the guest that were dropped at a tap.", "sent_drops"),
)


def families(found: Snapshot) -> List[Family]:
    """Return all metrics, and read from the VM host's /proc what they need."""
    views = _views(found.instances)
    of_instance = [_single(row, views) for row in _OF_INSTANCE]
    disks = [(view, "disk", view.sample.disks) for view in views if view.sample is not None]
    of_disk = [_of_parts(f"disk_{name}", kind, text, disks, field) for name, kind, text, field in _OF_DISK]
    through = [(view, "interface", view.taps) for view in views]
    of_tap = [_of_parts(f"network_{name}", kind, text, through, field) for name, kind, text, field in _OF_TAP]
    return [*_of_collector(found), _up(found), *of_instance, *of_disk, *of_tap]


def _views(instances: Sequence[TrackedInstance]) -> List[View]:
    pids = tuple(tracked.pid for tracked in instances)
    used, through, booted = usage.usage(pids), taps.traffic(pids), _boot_of_vm_host()
    return [View(one, used.get(one.pid), one.sample, through.get(one.pid, {}), booted) for one in instances]


def _labels(place: Place) -> Labels:
    return {"umid": place.umid, "uml_dir": place.uml_dir}


def _of_collector(found: Snapshot) -> List[Family]:
    events = {**_no_events(), **found.events}
    counts = [({"type": kind, "severity": severity}, count) for (kind, severity), count in sorted(events.items())]
    nothing: Labels = {}
    single = [
        Family(f"{_NAME}_{name}", kind, text, [(nothing, found.counters[key])])
        for name, kind, text, key in _OF_COLLECTOR
        if key in found.counters
    ]
    return [
        *single,
        Family(f"{_NAME}_instances", "gauge", "Running instances.", [(nothing, found.running)]),
        Family(
            f"{_NAME}_instances_left_out",
            "gauge",
            f"Instances beyond the first {MOST}.",
            [(nothing, found.left_out)],
        ),
        Family(f"{_NAME}_events_total", "counter", "Events since the collector started.", counts),
    ]


def _no_events() -> Dict[Tuple[str, str], int]:
    """Return a zero for each kind of event: the first one of a series that was not there before raises no rate."""
    logs = {("log", severity): 0 for severity in SEVERITIES}
    return {**dict.fromkeys(SEVERITY.items(), 0), **logs}


def _up(found: Snapshot) -> Family:
    running = [(_labels(tracked.place), 1) for tracked in found.instances]
    down = [(_labels(place), 0) for place in found.down]
    text = "1 for each instance that runs, 0 for one that crashed and was not started again or removed."
    return Family(f"{_NAME}_instance_up", "gauge", text, [*running, *down])


def _single(row: Row, views: Sequence[View]) -> Family:
    name, kind, text, value_of = row
    values = [(view.labels, value_of(view)) for view in views]
    samples = [(labels, float(value)) for labels, value in values if value is not None]
    return Family(f"{_NAME}_instance_{name}", kind, text, samples)


def _of_parts(
    name: str, kind: str, text: str, parts: Sequence[Tuple[View, str, Mapping[str, Any]]], field: str
) -> Family:
    """Return a metric of the disks or interfaces of all instances, each with its name as a further label."""
    values = [
        ({**view.labels, label: part}, getattr(found[part], field)) for view, label, found in parts for part in found
    ]
    return Family(f"{_NAME}_instance_{name}", kind, text, [(labels, one) for labels, one in values if one is not None])


def _boot_of_vm_host() -> float:
    lines = procfs.read_text("/proc/stat").splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)
