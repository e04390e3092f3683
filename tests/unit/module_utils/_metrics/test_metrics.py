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

from ansible_collections.uml.mconsole.plugins.module_utils._collector import metrics_file
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metrics_file import MetricsFile, Snapshot
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import procfs
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.module_utils._metrics import exposition, usage
from ansible_collections.uml.mconsole.plugins.module_utils._metrics.exposition import Family

LINE = re.compile(r'# (HELP|TYPE) uml_mconsole_\w+ .+|uml_mconsole_\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? [-+.e\d]+')
COUNTERS = {"datagrams": 3, "written": 5, "lost": 0, "limited": 1}


def instance(umid: str, pid: int = 0, uml_dir: str = "/u") -> Any:
    """Return what the metrics take of an instance: this process, unless another is named."""
    found = procfs.stat(pid or os.getpid())
    place = SimpleNamespace(umid=umid, uml_dir=uml_dir)
    start = found.start if found is not None else 0
    flags = {"paused": False, "panicked": True, "boot": 2, "follower": None}
    return SimpleNamespace(place=place, pid=pid or os.getpid(), start=start, **flags)


def text_of(*instances: Any) -> str:
    """Return the text of the metrics of instances."""
    snapshot = Snapshot(instances, COUNTERS, {("panic", "critical"): 4})
    return exposition.text_of(metrics_file.families(snapshot, 1700000000.5))


def values(text: str) -> dict[str, float]:
    """Return {series: value}."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_an_instance_has_its_numbers() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
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
    assert own["processes"] == 1
    assert own["resident_memory_bytes"] > 1 << 12
    assert 0 < time.time() - own["start_time_seconds"] < 24 * 3600
    assert found['uml_mconsole_events_total{type="panic",severity="critical"}'] == 4
    assert found["uml_mconsole_collector_start_time_seconds"] == 1700000000.5


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
    many = [instance(f"i{number}", pid=4000000 + number) for number in range(metrics_file.MOST + 7)]
    found = values(text_of(*many))
    assert found["uml_mconsole_instances"] == metrics_file.MOST + 7
    assert found["uml_mconsole_instances_left_out"] == 7
    assert sum("instance_up" in name for name in found) == metrics_file.MOST


def test_prometheus_takes_it_without_complaint() -> None:
    """The package of tools/setup that has promtool is Debian's prometheus."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise RuntimeError("no promtool: run tools/setup")
    text = text_of(*(instance(umid) for umid in ("web1", *HOSTILE)))
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_follow_the_rules_of_openmetrics() -> None:
    snapshot = Snapshot([instance("web1")], COUNTERS, {("panic", "critical"): 4})
    for family in metrics_file.families(snapshot, 0.0):
        assert re.fullmatch(r"uml_mconsole_[a-z_]+", family.name)
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert family.help.endswith(".")


def test_numbers_keep_their_digits() -> None:
    family = Family("m", "gauge", "h.", [({}, 1700000000.25), ({"a": "b"}, 1 << 40)])
    assert exposition.text_of([family]) == '# HELP m h.\n# TYPE m gauge\nm 1700000000.25\nm{a="b"} 1099511627776\n'


# The file.


def written(path: Path) -> MetricsFile:
    """Return a file that was written once."""
    found = MetricsFile(str(path), lambda: Snapshot([instance("web1")], COUNTERS, {}))
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
