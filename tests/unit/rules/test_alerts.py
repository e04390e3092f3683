# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role's alerts and dashboard, and the guide's table, have the metrics that the collector writes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.uml.mconsole.plugins.module_utils._collector import metric_families
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metric_families import Snapshot
from ansible_collections.uml.mconsole.plugins.module_utils._collector.metrics import Metrics
from ansible_collections.uml.mconsole.plugins.module_utils._collector.sampler import Sampler
from support.paths import CHECKOUT

FILES = CHECKOUT / "roles" / "monitor" / "files"
ALERTS = FILES / "uml_mconsole_alerts.yml"
DASHBOARD = FILES / "uml_mconsole_dashboard.json"
GUIDE = CHECKOUT / "docs" / "docsite" / "rst" / "guide_watching.rst"
NAME = re.compile(r"\buml_mconsole_[a-z0-9_]+\b")


def written() -> set[str]:
    """Return the names of all metrics."""
    counters = dict.fromkeys(("journal_bytes", "datagrams", "odd", "matches", "written", "lost", "limited"), 0.0)
    counters.update(Metrics(lambda: Snapshot([], [], {}, {}), Sampler(list))._own())
    return {family.name for family in metric_families.families(Snapshot([], [], counters, {}))}


def promtool(*words: str) -> str:
    """Run promtool, which must be content, and return what it prints."""
    tool = shutil.which("promtool")
    if tool is None:
        raise RuntimeError("no promtool: run tools/setup")
    done = subprocess.run([tool, *words], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[dict[str, Any]]:
    """Return the alert rules."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_the_alerts_fire_when_they_must_and_not_before(tmp_path: Path) -> None:
    cases = (Path(__file__).parent / "alerts_test.yml").read_text()
    path = tmp_path / "alerts_test.yml"
    path.write_text(cases.replace("RULES", str(ALERTS)))
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(path))
    tested = [(case["alertname"], bool(case["exp_alerts"])) for case in _cases(yaml.safe_load(cases))]
    assert {name for name, fires in tested if fires} == {rule["alert"] for rule in alerts()}


def _cases(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for test in document["tests"]:
        yield from test["alert_rule_test"]


def test_alerts_ask_for_metrics_that_are_written() -> None:
    used = {name for rule in alerts() for name in NAME.findall(rule["expr"])}
    assert used
    assert used - written() == set()


def queries(found: Any) -> Iterator[str]:
    """Yield the queries of a dashboard."""
    if isinstance(found, dict):
        yield from (found[key] for key in ("expr", "query") if isinstance(found.get(key), str))
        found = list(found.values())
    for part in found if isinstance(found, list) else ():
        yield from queries(part)


def test_the_dashboard_asks_for_metrics_that_are_written(tmp_path: Path) -> None:
    """And Prometheus can parse each of its queries, with Grafana's variables filled in."""
    found = json.loads(DASHBOARD.read_text())
    texts = [text for text in queries(found) if "uml_mconsole" in text]
    assert {name for text in texts for name in NAME.findall(text)} - written() == set()
    assert len(texts) > 20
    exprs = [text for text in texts if not text.startswith("label_values")]
    rules = [{"record": f"r:{n}", "expr": re.sub(r"\$__\w+", "1m", text)} for n, text in enumerate(exprs)]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_panels_do_not_lie_on_each_other() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _y in own) < 24
        assert not own & cells, panel["title"]
        cells |= own


def test_the_guide_has_all_metrics() -> None:
    rows = GUIDE.read_text().split("* - metric\n", 1)[1].split("\n\n", 1)[0]
    assert set(NAME.findall(rows)) == written()
