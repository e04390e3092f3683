# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics as text, and the file that node_exporter reads: whole, true to its format, and safe from names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.module_utils._collector import metric_families
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metric_families import Snapshot
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metrics import Metrics
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metrics_file import MetricsFile
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import procfs
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError, UnansweredError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Place
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.wire import Reply
from ansible_collections.uml.mconsole.plugins.module_utils._metrics import exposition, guest, taps, usage
from ansible_collections.uml.mconsole.plugins.module_utils._metrics.exposition import Family
from ansible_collections.uml.mconsole.plugins.module_utils._metrics.guest import Disk, Sample
from support.wait import wait_until

LINE = re.compile(r'# (HELP|TYPE) uml_mconsole_\w+ .+|uml_mconsole_\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? [-+.e\d]+')
COUNTERS = {"datagrams": 3, "odd": 0, "matches": 2, "journal_bytes": 9, "written": 5, "lost": 0, "limited": 1}
DISK = Disk(1, 512, 2, 1024, 1 << 40, None)
SAMPLE = Sample(0.25, {"MemTotal": 1 << 27}, {"1m": 0.5}, {"ubda": DISK})


def instance(umid: str, pid: int = 0, uml_dir: str = "/u") -> Any:
    """Return what the metrics take of an instance: this process, unless another is named."""
    found = procfs.stat(pid or os.getpid())
    place = SimpleNamespace(umid=umid, uml_dir=uml_dir)
    start = found.start if found is not None else 0
    flags: dict[str, Any] = {"paused": False, "panicked": True, "boot": 2, "boot_time": 9.5, "follower": None}
    flags.update(seen={"panic": 1, "message": 4}, sample=SAMPLE)
    return SimpleNamespace(place=place, pid=pid or os.getpid(), start=start, **flags)


def text_of(*instances: Any) -> str:
    """Return the text of the metrics of instances."""
    return Metrics(lambda: snapshot_of(*instances), None).text()


def snapshot_of(*instances: Any) -> Snapshot:
    """Return what a collector knows: these instances, and one that crashed."""
    return Snapshot(instances, [Place("lost", "/u")], COUNTERS, {("panic", "critical"): 4})


def values(text: str) -> dict[str, float]:
    """Return {series: value}."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_an_instance_has_its_numbers() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        wait_until(lambda: usage.usage((process.pid,))[process.pid].resident, 20, "it has executed its program")
        text = text_of(instance("web1", process.pid))
        process.kill()
    found = values(text)
    own = {
        re.sub(r"\{.*", "", name).removeprefix("uml_mconsole_instance_"): value
        for name, value in found.items()
        if name.endswith('{umid="web1",uml_dir="/u"}')
    }
    assert {name: own[name] for name in ("up", "paused", "panicked", "boots_total")} == {
        "up": 1,
        "paused": 0,
        "panicked": 1,
        "boots_total": 2,
    }
    assert (own["panics_total"], own["hangs_total"], own["notifications_total"]) == (1, 0, 5)
    assert (own["console_answers"], own["console_latency_seconds"]) == (1, 0.25)
    assert (own["memory_size_bytes"], own["load1"]) == (1 << 27, 0.5)
    assert not {"memory_free_bytes", "load5"} & own.keys()  # it did not say
    assert own["processes"] == 1
    assert own["resident_memory_bytes"] > 1 << 12
    assert 0 < time.time() - own["start_time_seconds"] < 24 * 3600
    assert found['uml_mconsole_events_total{type="panic",severity="critical"}'] == 4
    assert found['uml_mconsole_events_total{type="hang",severity="error"}'] == 0
    assert 0 <= time.time() - found["uml_mconsole_collector_start_time_seconds"] < 60
    assert 1 << 20 < found["uml_mconsole_collector_resident_memory_bytes"] < 1 << 30
    disk = '{umid="web1",uml_dir="/u",disk="ubda"}'
    assert found[f"uml_mconsole_instance_disk_written_bytes_total{disk}"] == 1024
    assert f"uml_mconsole_instance_disk_allocated_bytes{disk}" not in found
    assert found['uml_mconsole_instance_up{umid="lost",uml_dir="/u"}'] == 0


def test_processor_time_is_that_of_the_kernel() -> None:
    """One process in its own session, with a child that it has waited for."""
    child = "import os, sys\nif os.fork() == 0:\n  x = sum(range(6000000)); os._exit(0)"
    code = child + "\nos.wait(); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        ["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = usage.usage((process.pid,))[process.pid]
        words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        process.communicate(b"")
    assert found.processes == 1
    assert found.cpu == pytest.approx(sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK"))
    assert int(words[13]) > 0  # the child's


HOSTILE = ['a"b', "a\\b", "a\nb 1\numl_mconsole_up 1", "\x1b[2J", "\udcff\ud800", "x" * 9999, ""]


@pytest.mark.parametrize("umid", HOSTILE)
def test_no_name_breaks_out_of_its_label(umid: str) -> None:
    lines = text_of(instance(umid, uml_dir=umid)).splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert max(map(len, lines)) < 1000


@given(st.text())
def test_any_label_is_one_line_that_reads_back(text: str) -> None:
    value = exposition.label_value(text)
    assert "\n" not in value
    assert re.fullmatch(r'([^"\\]|\\["\\n])*', value)
    assert len(value) <= 400


def test_a_series_is_there_once_and_their_number_is_bounded() -> None:
    twins = text_of(instance("web1"), instance("web1"))
    assert len(values(twins)) == len([line for line in twins.splitlines() if line[0] != "#"])
    many = [instance(f"i{number}", pid=4000000 + number) for number in range(metric_families.MOST + 7)]
    found = values(text_of(*many))
    assert found["uml_mconsole_instances"] == metric_families.MOST + 7
    assert found["uml_mconsole_instances_left_out"] == 8  # the one that crashed as well
    assert sum("instance_up" in name for name in found) == metric_families.MOST


def test_a_crashed_instance_that_was_started_again_is_up() -> None:
    found = values(text_of(instance("lost")))
    assert found['uml_mconsole_instance_up{umid="lost",uml_dir="/u"}'] == 1


def test_prometheus_takes_it_without_complaint() -> None:
    """The package of tools/setup that has promtool is Debian's prometheus."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise RuntimeError("no promtool: run tools/setup")
    text = text_of(*(instance(umid) for umid in ("web1", *HOSTILE)))
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_follow_the_rules_of_openmetrics() -> None:
    for family in metric_families.families(snapshot_of(instance("web1"))):
        assert re.fullmatch(r"uml_mconsole_[a-z_]+(1|5|15)?", family.name)
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert family.help.endswith(".")


def test_numbers_keep_their_digits() -> None:
    family = Family("m", "gauge", "h.", [({}, 1700000000.25), ({"a": "b"}, 1 << 40)])
    assert exposition.text_of([family]) == '# HELP m h.\n# TYPE m gauge\nm 1700000000.25\nm{a="b"} 1099511627776\n'


# The file.


def written(path: Path) -> MetricsFile:
    """Return a file that was written once."""
    found = MetricsFile(str(path), lambda: text_of(instance("web1")))
    found.open()
    return found


def test_the_file_is_replaced_as_a_whole_and_others_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "uml.prom"

    before = os.umask(0o077)
    try:
        metrics = written(path)
    finally:
        os.umask(before)
    first = path.stat()
    assert first.st_mode & 0o777 == 0o644
    metrics.tick()
    assert path.stat().st_ino == first.st_ino  # it is not due
    metrics._due = 0.0
    with path.open() as reader:
        metrics.tick()
        assert reader.read().endswith("\n")  # a reader keeps the whole one that it has opened
    assert path.stat().st_ino != first.st_ino
    assert [each.name for each in tmp_path.iterdir()] == ["uml.prom"]
    metrics.close()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".uml.prom.new").symlink_to(victim)
    written(tmp_path / "uml.prom")
    assert victim.read_text() == "precious"


def test_a_directory_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics_file .*/none/uml.prom cannot be written: No such file or directory"):
        written(tmp_path / "none" / "uml.prom")


def test_a_file_that_can_not_be_written_later_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    metrics = written(folder / "uml.prom")
    folder.rename(tmp_path / "b")
    metrics._due = 0.0
    metrics.tick()
    metrics.close()


# What a guest says.


class FakeConsole:
    """A console that answers with given texts; an exception is raised."""

    umid = "web1"
    is_young = False

    def __init__(self, answers: dict[str, Any], paused: bool | None = False) -> None:
        self.answers = answers
        self.sent: list[str] = []
        self._paused = paused

    def exchange(self, request: Any) -> Reply:
        """Answer."""
        self.sent.append(request.text)
        found = self.answers.get(request.text, Reply(1, "no such file"))
        if isinstance(found, Exception):
            raise found
        return found

    def paused(self) -> bool | None:
        """Return what was given."""
        return self._paused

    def pid(self) -> int:
        """Return a process whose files can be looked at."""
        return os.getpid()


MEMINFO = "MemTotal:         118044 kB\nMemFree:           97392 kB\nMemAvailable:      96808 kB\nBuffers: 0 kB\n"
DISKSTATS = "   1       0 ram0 0 0 0 0 0 0 0 0 0 0 0\n  98      16 ubdb 12 0 42 1 57 8 2602 17 0 0 20 0 0 0 0 11 0\n"
PARTITIONS = "major minor  #blocks  name\n\n  98       16       8192 ubdb\n"


def console_of(meminfo: str, diskstats: str, loadavg: str = "0.50 0.25 0.00 1/40 99", **more: Any) -> Any:
    """Return a console whose guest has these files, and a disk whose file is /dev/null."""
    texts = {"meminfo": meminfo, "diskstats": diskstats, "loadavg": loadavg, "partitions": PARTITIONS}
    answers = {f"proc {name}": Reply(0, "\n" + text) for name, text in texts.items()}
    return FakeConsole(
        {"version": Reply(0, "Linux"), "config ubdb": Reply(0, "/dev/null,/base"), **answers, **more}, False
    )


def test_a_guest_that_says_what_kernels_say() -> None:
    console = console_of(MEMINFO, DISKSTATS)
    found = guest.sample(console)
    assert found is not None
    assert 0 <= (found.latency or 0) < 1
    assert found.memory == {"MemTotal": 118044 << 10, "MemFree": 97392 << 10, "MemAvailable": 96808 << 10}
    assert found.load == {"1m": 0.5, "5m": 0.25, "15m": 0.0}
    assert found.disks == {"ubdb": Disk(12, 42 * 512, 57, 2602 * 512, 8 << 20, 0)}
    assert console.sent == []  # what it keeps does not grow


LIES = [
    "MemTotal: -5 kB\nMemFree: 99999999999999999999999999 kB\nMemTotal: 1e309 kB\n",
    "MemTotal:         1 kB\n" * 50000,
    "\udcff\x1b[2J\nMemTotal: kB\n",
    "",
]


@pytest.mark.parametrize("text", LIES, ids=range(len(LIES)))
def test_a_guest_that_lies_adds_no_series_and_no_text(text: str) -> None:
    stats = "".join(f" 98 {n} ubd{chr(97 + n % 99)} {'9' * 40} 0 1 2 3 4 5 6 7 8 9\n" for n in range(500)) + text
    found = guest.sample(console_of(text, stats, text))
    assert found is not None
    assert found.memory.keys() <= {"MemTotal"}
    assert found.disks == {}
    assert len(found.load) in (0, 3)
    one = instance("web1")
    one.sample = found
    assert [line for line in text_of(one).splitlines() if not LINE.fullmatch(line)] == []


def test_a_cut_answer_counts_for_nothing() -> None:
    cut = {"proc meminfo": Reply(0, "\n" + MEMINFO, truncated=True)}
    found = guest.sample(console_of("", DISKSTATS, **cut))
    assert found is not None
    assert found.memory == {}


@pytest.mark.parametrize(("paused", "is_young"), [(True, False), (None, False), (False, True)])
def test_files_are_read_only_of_a_guest_that_runs(paused: bool | None, is_young: bool) -> None:
    console = console_of(MEMINFO, DISKSTATS)
    console._paused, console.is_young = paused, is_young
    asked: list[str] = []
    console.exchange = lambda request: (asked.append(request.text), Reply(0, "Linux"))[1]
    found = guest.sample(console)
    assert found is not None
    assert (found.memory, found.disks, asked) == ({}, {}, ["version"])


def test_one_that_hangs_does_not_answer_and_one_that_is_gone_has_no_sample() -> None:
    assert guest.sample(console_of("", "", version=UnansweredError("late"))) == Sample(None, {}, {}, {})  # type: ignore[arg-type]
    assert guest.sample(console_of("", "", version=InputError("gone"))) is None  # type: ignore[arg-type]


# What the VM host counts.


def test_a_process_without_taps_has_no_traffic() -> None:
    assert taps.traffic([os.getpid(), 4000001]) == {os.getpid(): {}, 4000001: {}}


def test_the_guest_receives_what_the_vm_host_sends() -> None:
    found = taps._seen_from_guest(list(range(16)))
    assert (found.received_bytes, found.received_packets, found.received_drops) == (8, 9, 11)
    assert (found.sent_bytes, found.sent_packets, found.sent_drops) == (0, 1, 3)
