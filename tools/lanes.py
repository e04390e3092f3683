# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run nox sessions in two lanes side by side: lanes.py [SESSION or TAG...] [-- WORD...]

Without names, all default sessions run. Those with the tag `kernels` boot kernels and wait a lot, so they share one
lane; the others compute, and share the other. One line is printed per session; its whole output is in .cache/logs.
The words behind `--` go to the sessions. An interrupt is handed on, and waited for, so that each session cleans up.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".cache" / "logs"
NOX = (sys.executable, "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"))
EXCERPT = 40  # lines of the log of a session that failed
CLOSING = (
    re.compile(r"^=+ (.* in [0-9.]+s(?: \(.*\))?) =+$", re.MULTILINE),  # pytest
    re.compile(r"^TOTAL .* (\d+%)$", re.MULTILINE),  # coverage
    re.compile(r"^nox > (molecule: .* passed, \d+ failed)$", re.MULTILINE),
)
LEFT_OUT = re.compile(r"(?:^nox > left out: |^SKIPPED \[\d+\] )(.+)$", re.MULTILINE)


@dataclass
class Run:
    """One session, and what became of it."""

    session: str
    words: Sequence[str]
    verdict: str = "failed"
    left_out: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """Return the file with the session's output."""
        return LOGS / (re.sub(r"[^\w.-]+", "_", self.session).strip("_") + ".log")

    def start(self, report: Path) -> subprocess.Popen[bytes]:
        """Start the session in its own process group, so that a signal reaches its tools as well."""
        command = [*NOX, "--session", self.session, "--report", str(report), "--", *self.words]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    def finish(self, report: Path, seconds: float) -> str:
        """Take in what nox reports, and return the text to print."""
        text = self.log.read_text(errors="replace")
        self.left_out = LEFT_OUT.findall(text)
        result = json.loads(report.read_text())["sessions"][0] if report.exists() else {}
        self.verdict = {"success": "passed", "skipped": "skipped"}.get(result.get("result", ""), "failed")
        if self.verdict == "skipped":
            self.left_out.append(result.get("reason") or "skipped")
        closing = ", then alone: ".join(CLOSING[0].findall(text))
        closing = ", coverage ".join(filter(None, [closing, *CLOSING[1].findall(text)[-1:]]))
        closing = closing or "; ".join(CLOSING[2].findall(text))
        line = f"{self.session:<18} {self.verdict:<7} {seconds:4.0f} s  {closing}".rstrip()
        return line if self.verdict != "failed" else f"{line}\n{self.excerpt(text)}"

    def excerpt(self, text: str) -> str:
        """Return the end of the log, or the errors of ansible-test."""
        errors = [line for line in text.splitlines() if re.match(r"(ERROR|FATAL): ", line)]
        lines = errors[-EXCERPT:] or text.splitlines()[-EXCERPT:]
        return "\n".join([f"--- end of {self.log.relative_to(ROOT)}", *lines, "---"])


class Lanes:
    """Sessions that run in several lanes, each lane in its order."""

    def __init__(self, lanes: Sequence[Sequence[Run]], folder: Path) -> None:
        self._lanes = lanes
        self._folder = folder
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ended = False

    def run(self) -> None:
        """Run all; an interrupt ends them and is raised again."""
        threads = [threading.Thread(target=self._run_lane, args=(lane,)) for lane in self._lanes]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self._end()
            for thread in threads:
                thread.join()
            raise

    def _run_lane(self, lane: Sequence[Run]) -> None:
        for run in lane:
            begun = time.monotonic()
            report = self._folder / f"{run.log.stem}.json"
            if not self._run_one(run, report):
                return
            print(run.finish(report, time.monotonic() - begun), flush=True)

    def _run_one(self, run: Run, report: Path) -> bool:
        """Run a session to its end; return false if all was interrupted."""
        with self._lock:
            if self._ended:
                return False
            process = run.start(report)
            self._processes.append(process)
        process.wait()
        with self._lock:
            self._processes.remove(process)
        return not self._ended

    def _end(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the sessions clean up in a bounded time
        with self._lock:
            self._ended = True
            for process in self._processes:
                os.killpg(process.pid, signal.SIGTERM)


def listed(*words: str) -> list[dict[str, Any]]:
    """Return the sessions that nox would run, none if it knows no such session."""
    done = subprocess.run([*NOX, "--list", "--json", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return found


def chosen(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the sessions of names and tags, all default ones without names.

    :raises SystemExit: when nox has no such session or tag
    """
    if not names:
        yield from listed()
    for name in names:
        found = listed("--session", name) or listed("--tags", name)
        if not found:
            known = " ".join(session["name"] for session in listed())
            advice = f"expected {known}, or another name that .venv/bin/nox -l shows"
            print(f"{name!r} is not a session or a tag; {advice}", file=sys.stderr)
            raise SystemExit(2)
        yield from found


def report(runs: Sequence[Run]) -> int:
    """Print what was left out and the counts; return the exit status."""
    for run in runs:
        for what in run.left_out:
            print(f"left out of {run.session}: {what}")
    counts = {verdict: sum(run.verdict == verdict for run in runs) for verdict in ("passed", "failed", "skipped")}
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] or not counts["passed"] else 0


def main(words: list[str]) -> int:
    """Run the sessions; return the exit status."""
    end = words.index("--") if "--" in words else len(words)
    names, rest = words[:end], words[end + 1 :]
    lanes: tuple[list[Run], list[Run]] = ([], [])
    for session in chosen(names):
        lanes["kernels" not in session["tags"]].append(Run(session["session"], rest))
    LOGS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="uml.lanes.") as folder:
        try:
            Lanes(lanes, Path(folder)).run()
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 143
    return report([*lanes[0], *lanes[1]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
