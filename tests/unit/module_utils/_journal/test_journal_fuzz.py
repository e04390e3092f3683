# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reader of the journal, on files that anything may have happened to.

Invariants at each read, after files were appended to, rotated away, torn, damaged, removed or started again:

1. reading ends, and raises nothing;
2. what is served is an event that was appended under its number, unchanged (a disk may lose what it holds, and read
   zeros, but not put another letter there: a line has no checksum);
3. numbers go up, and each that is passed over is accounted for: an event or a gap begins where the last one ended,
   except behind a gap without a number, which says that the number is unknown;
4. a reader that has read all of it is where the journal ends;
5. any served event can be filtered and written as JSON that others can read;
6. the files together take no more than their limit, and one line for each.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ansible_collections.uml.mconsole.plugins.module_utils._journal import event_filter, journal

LIMIT = 4 << 10
LONGEST = 600
RUNS = int(os.environ.get("UML_FUZZ_RUNS", "40"))
TEXTS = st.text(max_size=60)
WANTED = event_filter.wanted({"umids": ["a*"], "severity": "warning", "search": "x", "since": "1"})


class Journal(RuleBasedStateMachine):
    """One writer and two readers, of which each looks when it pleases."""

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp(prefix="uml.fuzz.")
        self.folder = str(Path(self.root) / "journal")
        self.appended: dict[int, list[dict[str, Any]]] = {}
        self.places = [0, 0]

    @initialize()
    def begin(self) -> None:
        """Start the writer and the readers."""
        self.writer = journal.Writer(self.folder, LIMIT)
        self.readers = [journal.Reader(self.folder), journal.Reader(self.folder)]

    @rule(data=TEXTS, count=st.integers(1, 12))
    def append(self, data: str, count: int) -> None:
        """Append some events."""
        for _each in range(count):
            event = {"umid": "a", "severity": "error", "type": "message", "time": 2.0, "data": data}
            seq = self.writer.append(event)
            self.appended.setdefault(seq, []).append({"seq": seq, **event})

    @rule(tail=st.binary(max_size=30).filter(lambda each: b"\n" not in each))
    def kill_in_the_middle_of_a_line(self, tail: bytes) -> None:
        """Let another writer go on behind what a killed one has left."""
        self.writer.close()
        with open(journal.files(self.folder)[-1].path, "ab") as stream:
            stream.write(tail)
        self.look(0)
        self.writer = journal.Writer(self.folder, LIMIT)

    @rule()
    def remove_the_oldest(self) -> None:
        """Remove the oldest file, as another program would to free space."""
        found = journal.files(self.folder)
        if len(found) > 1:
            os.unlink(found[0].path)

    @rule(count=st.integers(1, 300), where=st.integers(0, 600))
    def lose_a_block(self, count: int, where: int) -> None:
        """A disk loses what was in the middle of the oldest file: zeros are in its place."""
        found = journal.files(self.folder)
        data = bytearray(Path(found[0].path).read_bytes())
        if len(found) > 1 and where + count < len(data):
            data[where : where + count] = bytes(count)
            Path(found[0].path).write_bytes(data)

    @rule(count=st.integers(1, 60))
    def begin_anew(self, count: int) -> None:
        """Remove all files while no writer runs; the next one begins with 1."""
        self.writer.close()
        shutil.rmtree(self.folder)
        self.writer = journal.Writer(self.folder, LIMIT)
        self.append("anew", count)

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """Let a reader read what there is."""
        for event in self.readers[which].read():
            self.account(which, event)
        assert self.readers[which].position == self.places[which]

    @rule(which=st.integers(0, 1))
    def look_from_elsewhere(self, which: int) -> None:
        """Let a new reader go on where the other was."""
        self.readers[which] = journal.Reader(self.folder, self.places[which])
        self.look(which)

    def account(self, which: int, event: dict[str, Any]) -> None:
        """Hold one served event against the invariants."""
        json.loads(json.dumps(event, allow_nan=False))
        WANTED.fits(event)
        if event["type"] == "gap" and event["lost"] is None:
            self.places[which] = event["seq"]
        elif event["type"] == "gap":
            assert event["seq"] == self.places[which] + event["lost"]
            self.places[which] = event["seq"]
        else:
            assert event["seq"] == self.places[which] + 1, (event, self.places)
            assert event in self.appended[event["seq"]]
            self.places[which] = event["seq"]

    @rule(which=st.integers(0, 1))
    @precondition(lambda self: self.writer.last)
    def catch_up(self, which: int) -> None:
        """Behind one more event a reader is where the journal ends."""
        self.append("last", 1)
        self.look(which)
        assert self.places[which] == self.writer.last

    @invariant()
    def is_bounded(self) -> None:
        """No more than the limit, and a line for each file that is longer than its share."""
        found = journal.files(self.folder)
        assert sum(os.path.getsize(each.path) for each in found) <= LIMIT + LONGEST * len(found)

    def teardown(self) -> None:
        """Remove it all."""
        self.writer.close()
        shutil.rmtree(self.root)


Journal.TestCase.settings = settings(max_examples=RUNS, stateful_step_count=30, deadline=None)
TestJournal = Journal.TestCase

NUMBERS = st.sampled_from([b"1", b"2", b"-1", b"0", b"1.0", b"true", b"null", b"NaN", b"1e999", b"MANY"])
VALUES = st.one_of(NUMBERS, st.sampled_from([b'"x"', b"[]", b"{}", b"DEEP", b"Infinity", b'"\\ud800"']))
FIELDS = st.dictionaries(st.sampled_from([b"seq", b"time", b"severity", b"type", b"umid", b"data"]), VALUES)
OBJECTS = FIELDS.map(lambda each: b"{" + b",".join(b'"%s":%s' % pair for pair in each.items()) + b"}")


@settings(max_examples=RUNS * 5, deadline=None)
@given(lines=st.lists(st.one_of(st.binary(max_size=200), VALUES, OBJECTS), max_size=20))
def test_a_file_of_anything_is_read_to_its_end(lines: list[bytes]) -> None:
    """Invariants 1, 3 and 5 on lines that no writer made; what comes behind them is served."""
    with tempfile.TemporaryDirectory(prefix="uml.fuzz.") as folder:
        path = Path(folder) / "events-0000000000000001.jsonl"
        text = b"\n".join(lines).replace(b"MANY", b"9" * 5000).replace(b"DEEP", b"[" * 100000)
        path.write_bytes(text + b'\n{"seq": 9999999999999999, "type": "last", "time": 1}\n')
        place, last = 0, {}
        for last in journal.Reader(folder).read():
            json.loads(json.dumps(last, allow_nan=False).encode("ascii"))
            WANTED.fits(last)
            assert last["seq"] > place
            place = last["seq"]
        assert last["type"] == "last"
        os.chmod(folder, 0o700)
        journal.Writer(folder).close()
