# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a real collector, about real kernels."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import guest, kernels, uml
from support.events import Collecting, collecting
from support.paths import CHECKOUT
from support.wait import wait_until

Launch = Callable[..., uml.Instance]
Values = dict[str, float]


@pytest.fixture
def collect(uml_dir: Path) -> Iterator[Collecting]:
    """Yield a collector that is not started yet."""
    with collecting(uml_dir) as found:
        yield found


def values(text: str) -> Values:
    """Return {series: value}."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _space, value in lines}


def of(umid: str, found: Values) -> Values:
    """Return {short name, with the other labels: value} of one instance."""
    pattern = re.compile(rf'uml_mconsole_instance_(\w+)\{{umid="{umid}",uml_dir="[^"]+"(?:,\w+="(\w+)")?\}}')
    matches = ((pattern.fullmatch(series), value) for series, value in found.items())
    return {" ".join(filter(None, match.groups())): value for match, value in matches if match is not None}


def free_port() -> int:
    """Return a port of the loopback that no process uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def fetch(url: str) -> str:
    """Return the body that a server of this machine answers with."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def network_of(tap: str) -> str:
    """Return the first three numbers of the addresses at a tap."""
    return f"10.99.{tap[-1]}"


@contextlib.contextmanager
def taps(*names: str) -> Iterator[None]:
    """Lend taps that are up."""
    try:
        for name in names:
            subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
            subprocess.run(["ip", "addr", "add", f"{network_of(name)}.2/24", "dev", name], check=True)
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", name], check=False)


def meminfo(text: str) -> Values:
    """Return bytes by name."""
    return {name: float(size) * 1024 for name, size in re.findall(r"(\w+): +(\d+) kB", text)}


WORK = """mkdir -p /mnt && mount -t ext4 /dev/ubdb /mnt && dd if=/dev/zero of=/mnt/zero bs=64k count=20 2>/dev/null
umount /mnt; sync; ip link set vec0 up; ip addr add NETWORK.1/24 dev vec0; ping -c 3 -s 1400 NETWORK.2"""
WATCHED = "grep ubdb /proc/diskstats; cat /sys/class/net/vec0/statistics/tx_bytes; cat /proc/meminfo /proc/loadavg"


def test_every_kernel_has_its_numbers_until_it_ends(collect: Collecting, launch_guest: Launch, tmp_path: Path) -> None:
    """Those of the VM host and, once it has run for a while, those of its own /proc, as its console shows them."""
    path, port = collect.uml_dir / "uml.prom", free_port()
    base = guest.ext4_image(tmp_path / "base")
    names = kernels.wanted()
    with taps(*(f"umlm{number}" for number, _name in enumerate(names))):
        guests = {
            f"k{number}": launch_guest(
                f"k{number}",
                f"ubd1={tmp_path}/k{number}.cow,{base}",
                f"vec0:transport=tap,ifname=umlm{number}",
                kernel=kernels.path(name),
                notify=collect.notify,
            )
            for number, name in enumerate(names)
        }
        assert collect(metrics_file=str(path), metrics_listen=f"127.0.0.1:{port}")["changed"]
        assert not collect()["changed"]  # it keeps both
        for umid, instance in guests.items():
            instance.guest(WORK.replace("NETWORK", network_of(umid)))
            check_host(wait_until(functools.partial(of_running, umid, port), 20, umid))
        truth = {umid: instance.guest(WATCHED) for umid, instance in guests.items()}
        found = wait_until(lambda: all_asked(guests, values(path.read_text())), 60, path.read_text)
        for umid in guests:
            check_guest(of(umid, found), truth[umid], (tmp_path / f"{umid}.cow").stat())
        first, *_others = guests
        with contextlib.suppress(TimeoutError):
            guests[first].request("sysrq c", timeout=0.2)
        guests[first].wait_dead()

        def number(name: str) -> float | None:
            return of(first, values(fetch(f"http://127.0.0.1:{port}/metrics"))).get(name)

        wait_until(lambda: number("up") == 0, 40, lambda: number("up"))
        assert number("cpu_seconds_total") is None
        shutil.rmtree(guests[first].directory)
        wait_until(lambda: number("up") is None, 40, lambda: number("up"))
        found = values(fetch(f"http://127.0.0.1:{port}/metrics"))
        assert found['uml_mconsole_events_total{type="crashed",severity="critical"}'] == 1
        collect("stopped")
    assert not path.exists()
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/metrics")


def of_running(umid: str, port: int) -> Values:
    """Return the numbers of an instance over HTTP, or nothing before it was found."""
    return of(umid, values(fetch(f"http://127.0.0.1:{port}/metrics")))


def all_asked(guests: dict[str, uml.Instance], found: Values) -> Values | None:
    """Return the values once each guest's memory is among them, and its disk as it is after the work."""
    return found if all(of(umid, found).get("disk_written_bytes_total ubdb", 0) > 1 << 20 for umid in guests) else None


def check_host(found: Values) -> None:
    """Check the numbers that need no answer of the guest."""
    assert (found["up"], found["boots_total"], found["paused"], found["panics_total"]) == (1, 1, 0, 0)
    assert 0.01 < found["cpu_seconds_total"] < 600
    assert 8 << 20 < found["resident_memory_bytes"] < 1 << 30
    assert found["processes"] >= 1
    assert 0 < time.time() - found["boot_time_seconds"] < time.time() - found["start_time_seconds"] < 600
    assert found["console_log_bytes"] > 1000


def check_guest(found: Values, said: str, file: os.stat_result) -> None:
    """Compare what the guest said of itself when its work was done with its metrics of some seconds later."""
    memory = meminfo(said)
    assert found["memory_size_bytes"] == memory["MemTotal"]
    assert found["memory_free_bytes"] == pytest.approx(memory["MemFree"], abs=8 << 20)
    assert found["memory_available_bytes"] == pytest.approx(memory["MemAvailable"], abs=8 << 20)
    assert found["load1"] == pytest.approx(float(said.splitlines()[-1].split()[0]), abs=1)
    words, sent = said.splitlines()[0].split(), int(said.splitlines()[1])
    assert [found[f"disk_{name}_total ubdb"] for name in ("reads", "writes")] == [int(words[3]), int(words[7])]
    assert [found[f"disk_{name}_bytes_total ubdb"] for name in ("read", "written")] == [
        int(words[5]) * 512,
        int(words[9]) * 512,
    ]
    assert found["disk_size_bytes ubdb"] == 8 << 20
    assert found["disk_allocated_bytes ubdb"] == pytest.approx(file.st_blocks * 512, abs=64 << 10)
    [tap] = [name.split()[1] for name in found if name.startswith("network_transmit_bytes_total")]
    assert 4200 < sent == pytest.approx(found[f"network_transmit_bytes_total {tap}"], abs=1000)
    assert found[f"network_receive_packets_total {tap}"] >= 3
    assert found[f"network_receive_drops_total {tap}"] < 100  # before the guest's interface was up
    assert (found["console_answers"], found["notifications_total"]) == (1, pytest.approx(1, abs=1))
    assert 0 < found["console_latency_seconds"] < 3


# What people already have.


@contextlib.contextmanager
def server(*command: str, ready: str) -> Iterator[None]:
    """Run a program of Debian's until it answers at a URL, and end it."""
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"no {command[0]}: run tools/setup")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(functools.partial(answers, ready), 60, ready)
            yield
        finally:
            process.kill()


def answers(url: str) -> bool:
    """Return whether a server says that it is ready."""
    with contextlib.suppress(OSError):
        fetch(url)
        return True
    return False


class Prometheus:
    """A real Prometheus that asks a collector and a node_exporter each second."""

    def __init__(self, folder: Path, **targets: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        jobs = [{"job_name": name, "static_configs": [{"targets": [to]}]} for name, to in targets.items()]
        path = folder / "prometheus.yml"
        times = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        path.write_text(json.dumps({"global": times, "rule_files": [str(ALERTS)], "scrape_configs": jobs}))
        words = [f"--config.file={path}", f"--storage.tsdb.path={folder}/data"]
        self.command = ["prometheus", *words, f"--web.listen-address={self.url.partition('//')[2]}"]

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer of its interface."""
        text = fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        return json.loads(text)["data"]

    def find(self, query: str) -> dict[str, float]:
        """Return {job: value} of a query."""
        found = self.ask("query", query=query)["result"]
        return {series["metric"].get("job", ""): float(series["value"][1]) for series in found}


ALERTS = CHECKOUT / "roles" / "monitor" / "files" / "uml_mconsole_alerts.yml"


def test_prometheus_reads_both_ways_out(collect: Collecting, launch_guest: Launch, tmp_path: Path) -> None:
    """Debian's Prometheus and node_exporter, with our alerts; the instance crashes while they look."""
    web1 = launch_guest("web1", notify=collect.notify)
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    own, node = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    collect(metrics_file=str(textfiles / "uml.prom"), metrics_listen=own)
    prometheus = Prometheus(tmp_path, uml=own, node=node)
    exporter = ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile"]
    exporter += [f"--collector.textfile.directory={textfiles}", f"--web.listen-address={node}"]
    with (
        server(*exporter, ready=f"http://{node}/metrics"),
        server(*prometheus.command, ready=f"{prometheus.url}/-/ready"),
    ):
        wait_until(lambda: prometheus.find('uml_mconsole_instance_up{umid="web1"}') == {"uml": 1, "node": 1}, 60, "up")
        [target] = [one for one in prometheus.ask("targets")["activeTargets"] if one["labels"]["job"] == "uml"]
        assert (target["health"], target["lastError"]) == ("up", "")
        assert target["lastScrapeDuration"] < 1
        assert prometheus.find("scrape_samples_scraped")["uml"] > 40
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        assert not prometheus.ask("alerts")["alerts"]
        with contextlib.suppress(TimeoutError):
            web1.request("sysrq c", timeout=0.2)
        web1.wait_dead()
        wait_until(
            lambda: {"UmlInstanceDown", "UmlPanic"} <= {one["labels"]["alertname"] for one in alerts_of(prometheus)},
            40,
            lambda: alerts_of(prometheus),
        )
        [panic] = [one for one in alerts_of(prometheus) if one["labels"]["alertname"] == "UmlPanic"]
        assert panic["state"] == "firing"


def alerts_of(prometheus: Prometheus) -> list[dict[str, Any]]:
    """Return the alerts of what the collector serves itself."""
    return [one for one in prometheus.ask("alerts")["alerts"] if one["labels"].get("job") == "uml"]
