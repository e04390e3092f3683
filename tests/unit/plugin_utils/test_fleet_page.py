# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the fleet: its contents, text of guests that stays text, and when the page is written again."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.uml.mconsole.plugins.plugin_utils import (
    _instance_rows,
    _output_file,
    _page,
    _page_diagram,
    _page_model,
    _page_states,
)
from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import Answer
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_text import clean, clean_lines, natural, size, when
from support import fleets
from support.fleets import event, network, row, vm_host
from support.paths import CHECKOUT

TEMPLATES = CHECKOUT / "playbooks" / "templates"
NOW = 1795598745.0
VOID = {"meta", "link", "br", "rect", "circle", "path", "use"}
SIZES = [0, 1, 3, 20, 150]


def model(*answers: Answer, **options: Any) -> dict[str, Any]:
    return _page_model.build(answers, **options)


def page(*answers: Answer, now: float = NOW, title: str = "Fleet") -> str:
    return _page.render(TEMPLATES, model(*answers), title, now)


class Reading(HTMLParser):
    """A page as a browser takes it apart; what is not closed in its order is a fault."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, name: str) -> list[str]:
        return [value for _tag, found, value in self.attributes if found == name]


def texts(*answers: Answer) -> str:
    """Return what a page says."""
    return Reading(page(*answers)).text


# Hostile text


def test_nothing_that_a_guest_says_is_more_than_text() -> None:
    harmless, hostile = Reading(page(*fleets.fleet(20))), Reading(page(*fleets.hostile(20), title=fleets.HOSTILE[0]))
    assert set(hostile.tags) <= set(harmless.tags)
    assert {name for _tag, name, _value in hostile.attributes} <= {name for _tag, name, _value in harmless.attributes}
    assert (hostile.tags["script"], hostile.tags["style"], hostile.tags["img"]) == (0, 1, 0)
    for said in fleets.HOSTILE[:7]:
        assert " ".join(said.split()) in hostile.text
    shown = page(*fleets.hostile(20))
    assert not set(shown) & {
        *map(chr, range(9)),
        "\x0b",
        "\x1b",
        "\x7f",
        "\x9f",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
    }
    shown.encode()  # no half of a pair


@pytest.mark.parametrize("said", fleets.HOSTILE)
def test_one_who_says_one_thing_everywhere_says_it_as_text(said: str) -> None:
    answers = [
        Answer(
            said,
            said,
            each.place,
            "",
            *(fleets.spoken(part, itertools.repeat(said)) for part in (each.seen, each.events)),
        )
        for each in fleets.fleet(9)
    ]
    reading = Reading(page(*answers))
    assert not [name for _tag, name, _value in reading.attributes if name.startswith("on")]
    assert {value for name in ("href", "src") for value in reading.values(name) if value[:1] != "#"} == {
        value for value in reading.values("href") if value.startswith("data:image/svg+xml,%3Csvg")
    }


def test_the_policy_of_the_page_allows_its_own_style_and_nothing_else() -> None:
    (policy,) = [value for value in Reading(page()).values("content") if "default-src" in value]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert Reading(page(*fleets.fleet(20))).values("style") == []


def test_ids_are_ours_and_each_is_there_once() -> None:
    reading = Reading(page(*fleets.hostile(150), *fleets.fleet(20)))
    ids = Counter(reading.values("id"))
    assert max(ids.values()) == 1
    assert [each for each in ids if not re.fullmatch(r"[a-z0-9-]+", each)] == []
    assert {value[1:] for value in reading.values("href") if value.startswith("#")} <= set(ids)
    named = [word for name in ("aria-labelledby",) for value in reading.values(name) for word in value.split()]
    assert set(named) <= set(ids)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("web1", "web1"),
        (None, ""),
        (7, "7"),
        ("a\tb\nc", "a b | c"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("a\u202eb", "ab"),
        ("a\u200bb\u00adc", "a\ufffdb\ufffdc"),
        ("\ue000\U000e0041", "\ufffd\ufffd"),
        ("\ud800", "?"),
        ("e\u0301\u0301\u0301\u0301", "e\u0301\u0301"),
        ("\u05d0\u05d1", "\u05d0\u05d1"),
        ("<&\"'", "<&\"'"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_text_of_anybody_shows_all_that_it_holds(said: object, shown: str) -> None:
    assert clean(said) == shown


def test_lines_stay_lines_where_there_is_room() -> None:
    assert clean_lines("one\r\ntwo\u2028three") == "one\ntwo\nthree"


@given(st.text())
def test_any_text_is_shown_as_characters_that_can_be_seen(text: str) -> None:
    assert not [char for char in clean(text) if ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029"]


def test_sizes_and_times_are_those_that_people_read() -> None:
    assert [size(each) for each in (0, 900, 1024, 1536, 96 << 20, 10 << 30, 3 << 42)] == [
        *("0 bytes", "900 bytes", "1 KB", "1.5 KB", "96 MB", "10 GB", "12 TB"),
    ]
    assert when(None) == when("soon") == when(1e300) == {"text": "", "iso": ""}
    assert when(0)["iso"] == "1970-01-01T00:00:00Z"
    assert sorted(["web10", "web2", "web", "9", "web2a"], key=natural) == ["9", "web", "web2", "web2a", "web10"]


# What it shows


@pytest.mark.parametrize("instances", SIZES)
def test_each_instance_is_told_of_once_in_a_table(instances: int) -> None:
    answers = fleets.fleet(instances) if instances else [vm_host("vm1", [])]
    reading = Reading(page(*answers))
    names = [each["umid"] for answer in answers for each in answer.seen.get("instances", ())]
    assert len([value for value in reading.values("id") if re.fullmatch(r"host\d+-\d+", value)]) == len(names)
    assert all(name in reading.text for name in names)
    assert reading.tags["svg"] >= len(names)


def test_what_is_not_well_is_told_first_with_its_reason() -> None:
    trouble = model(*fleets.fleet(20))["trouble"]
    assert [(each["state"], each["level"]) for each in trouble] == [
        ("hung", "bad"),
        ("unreachable", "bad"),
        ("open", "warn"),
        ("stale", "off"),
    ]
    assert "its process is stopped" in texts(*fleets.fleet(20))
    assert "Connection timed out" in texts(fleets.silent("vm9"))


def test_every_state_is_a_word_and_a_mark_as_well_as_a_colour() -> None:
    text = page(*fleets.fleet(20))
    levels = {**_page_states.LEVELS, **_page_states.SEVERITIES, "open": "warn"}
    found = re.findall(r'class="state (\w+)"><svg[^>]*><use href="#is-(\w+)"/></svg>(\w+)</span>', text)
    assert {state for _level, _mark, state in found} >= {"running", "paused", "booting", "hung", "stale", "unreachable"}
    for level, mark, state in found:
        told = _page_states.state_of(state, levels)
        assert (told["level"], told["mark"]) == (level, mark)
        assert f'id="is-{mark}"' in text


def test_disks_on_one_backing_file_are_told_together_whoever_tells_of_them() -> None:
    """A paused instance is described by its command line, relative to where it was started."""
    paused = row("web2", 4, state="paused", facts=None, arguments=["ubd0=web2.cow,../images/golden.img"], cwd="/home")
    (file,) = model(vm_host("vm1", [row("web1"), paused]))["files"]
    assert (file["path"], file["kind"], file["size"]) == ("/images/golden.img", "backing file", "512 MB")
    assert [(each["umid"], each["disk"], each["via"]) for each in file["users"]] == [
        ("web1", "ubd0", "web1.cow"),
        ("web2", "ubd0", "web2.cow"),
    ]


@pytest.mark.parametrize(("read_only", "danger"), [(False, True), (True, False)])
def test_two_that_write_to_one_file_are_pointed_out(read_only: bool, danger: bool) -> None:
    disks = {"ubd1": {"file": "/srv/data.img", "backing_file": "", "read_only": read_only}}
    rows = [row(name, facts=fleets.facts(name, **disks)) for name in ("a", "b")]
    told = model(vm_host("vm1", rows))
    assert [each["danger"] for each in told["files"]] == [danger]
    assert [each["text"] for each in told["trouble"]] == ["a, b can write to the same file"] * danger


def test_the_disk_that_a_kernel_sets_by_itself_is_nobodys() -> None:
    ghost = {"ubd0": {"file": "root_fs", "backing_file": "", "listed": False}}
    mine = row("mine", facts=fleets.facts("mine", **ghost), arguments=["ubd0=root_fs"])
    theirs = row("theirs", facts=fleets.facts("theirs", **ghost), arguments=[])
    told = model(vm_host("vm1", [mine, theirs]))
    assert [len(each["disks"]) for each in told["vm_hosts"][0]["instances"]] == [1, 0]
    assert [(each["who"], each["text"]) for each in told["trouble"]] == [("mine", "the guest does not list it")]


def test_networks_are_bridges_and_switches_and_lone_taps_are_counted() -> None:
    rows = [
        row("a", networks=[network("tap1", bridge="br0"), network("/run/lan.ctl", "eth0", "daemon", open=None)]),
        row("b", networks=[network("tap2", bridge="br0"), network("tap9", "vec1")]),
        row("c", networks=[network("/run/lan.ctl", "eth0", "daemon"), {"transport": "slirp", "network": None}]),
    ]
    told = model(vm_host("vm1", rows))
    assert [(each["kind"], each["label"], [user["umid"] for user in each["users"]]) for each in told["networks"]] == [
        ("bridge", "br0", ["a", "b"]),
        ("switch", "lan.ctl", ["a", "c"]),
        ("slirp", "slirp", ["c"]),
        ("tap", "tap9", ["b"]),
    ]
    assert (told["shared_networks"], told["lone_networks"]) == (2, 2)


def test_the_same_name_on_two_vm_hosts_is_no_shared_thing() -> None:
    told = model(vm_host("vm1", [row("web1")]), vm_host("vm2", [row("web1")]))
    assert [(each["vm_host"], len(each["users"])) for each in told["files"]] == [("vm1", 1), ("vm2", 1)]


def test_instances_behind_one_address_are_of_one_vm_host_and_told_once() -> None:
    place = ("192.0.2.1", "22")
    seen, skipped = vm_host("vm1", [row("web1")]), {"skipped": True}
    answers = [
        Answer("vm1", "vm1", place, "", seen.seen, seen.events),
        Answer("web1", "192.0.2.1", place, "web1", seen.seen, seen.events),
        Answer("web2", "vm1", ("192.0.2.9", "22"), "web2", skipped, {}),
        Answer("web3", "192.0.2.1", place, "web3", {"instances": []}, {}),
        Answer("web4", "192.0.2.1", ("192.0.2.1", "2222"), "web4", {"unreachable": True, "msg": "no"}, {}),
        Answer("web5", "192.0.2.1", ("192.0.2.1", "2223"), "web5", {"failed": True, "msg": "no"}, {}),
    ]
    told = model(*answers)
    assert [
        (each["name"], [(one["umid"], one["state"]) for one in each["instances"]]) for each in told["vm_hosts"]
    ] == [
        ("192.0.2.1:2222", [("web4", "unreachable")]),
        ("192.0.2.1:2223", [("web5", "failed")]),
        ("vm1", [("web1", "running"), ("web3", "absent")]),
    ]


def test_two_of_one_name_say_where_they_are() -> None:
    assert "in /home/lab/.uml" not in texts(vm_host("vm1", [row("web1")]))
    said = texts(vm_host("vm1", [row("web1"), row("web1", 1, uml_dir="/srv/uml")]))
    assert "in /home/lab/.uml" in said
    assert "in /srv/uml" in said


def test_a_guest_that_calls_itself_otherwise_is_told() -> None:
    assert "calls itself other" in texts(vm_host("vm1", [row("web1", facts=fleets.facts("other"))]))


def test_events_of_all_come_newest_first_and_no_more_than_asked() -> None:
    one = vm_host("vm1", [], [event(each, "message", "info", f"one {each}") for each in (1, 3)])
    two = vm_host("vm2", [], [event(each, "message", "info", f"two {each}") for each in (2, 3)], collecting=False)
    told = model(one, one, two, most_events=3)
    assert [each["text"] for each in told["events"]] == ["one 3", "two 3", "two 2"]
    assert told["more_events"]
    assert told["uncollected"] == ["vm2"]
    assert model(two, most_events=0)["events"] == []


def test_a_journal_that_cannot_be_read_is_told() -> None:
    answer = vm_host("vm1", [])._replace(events={"failed": True, "msg": "the journal /j cannot be read"})
    assert "vm1: the journal /j cannot be read" in texts(answer)


def test_nothing_at_all_is_a_page_too() -> None:
    assert "There are none." in texts()
    assert "No file is shared." in texts(vm_host("vm1", []))


# The drawing


def overlap(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return (
        one["x"] < two["x"] + two["width"]
        and two["x"] < one["x"] + one["width"]
        and one["y"] < two["y"] + two["height"]
        and two["y"] < one["y"] + one["height"]
    )


def inside(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return (
        two["x"] <= one["x"]
        and two["y"] <= one["y"]
        and one["x"] + one["width"] <= two["x"] + two["width"]
        and one["y"] + one["height"] <= two["y"] + two["height"]
    )


Kind = tuple[str, list[int], list[int]]
INSTANCE = st.tuples(
    st.sampled_from(["running", "running", "paused", "hung", "unreachable"]),
    st.lists(st.integers(0, 9), max_size=3, unique=True),
    st.lists(st.integers(0, 9), max_size=3, unique=True),
)


def drawn(kinds: list[Kind]) -> list[dict[str, Any]]:
    """Return the drawings of a VM host with instances in such states, on such bridges and such backing files."""
    rows = []
    for number, (state, bridges, files) in enumerate(kinds):
        disks = {f"ubd{each}": {"file": f"/{number}-{each}", "backing_file": f"/base{each}"} for each in files}
        told = {"facts": fleets.facts("x", **disks) if disks else None, "arguments": [], "state": state}
        told["networks"] = [network(f"t{number}-{each}", bridge=f"bridge{each}") for each in bridges]
        rows.append(row(name_of(number), number, **told))
    (found,) = model(vm_host("vm1", rows))["vm_hosts"]
    return _page_diagram.figures(found)


def name_of(number: int) -> str:
    return f"name{number}" * (1 + number % 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(INSTANCE, min_size=1, max_size=60))
def test_every_drawing_has_each_instance_once_and_nothing_over_another(
    kinds: list[tuple[str, list[int], list[int]]],
) -> None:
    for figure in drawn(kinds):
        whole = {"x": 0, "y": 0, "width": figure["width"], "height": figure["height"]}
        boxes, chips = figure["boxes"], [chip for box in figure["boxes"] for chip in box["chips"]]
        assert sorted(chip["full"] for chip in chips) == sorted(map(name_of, range(len(kinds))))
        assert all(inside(box, whole) and all(inside(chip, box) for chip in box["chips"]) for box in boxes)
        for parts in (boxes, chips):
            assert not [1 for one, two in itertools.combinations(parts, 2) if overlap(one, two)]
        assert len(figure["networks"]) <= 6
        assert len(figure["files"]) <= 6
        for side, rails in (("left", figure["networks"]), ("right", figure["files"])):
            for line in (line for box in boxes for line in box[side]):
                rail = rails[line["index"]]
                assert rail["x"] in (line["x1"], line["x2"])
                assert rail["y1"] <= line["y"] <= rail["y2"]
        for box in boxes:
            assert all(box["y"] < line["y"] < box["y"] + box["height"] for line in box["left"] + box["right"])


def test_a_hundred_and_fifty_alike_are_one_box() -> None:
    narrow, wide = drawn([("running", [0], [0])] * 150)
    assert (len(narrow["boxes"]), len(wide["boxes"])) == (1, 1)
    assert narrow["width"] == _page_diagram.NARROW
    assert wide["width"] < 1048


def test_the_drawing_says_in_words_what_it_shows() -> None:
    (figure,) = drawn([("running", [0], [1]), ("hung", [0], [])])
    assert figure["title"] == "vm1: 2 instances, 1 network, 1 file"
    assert figure["words"] == [
        "running: name0.",
        "hung: name1name1.",
        "On the bridge bridge0: name0, name1name1.",
        "Copy-on-write on base1: name0.",
    ]


# When it is written


def test_the_time_alone_is_no_difference_and_all_else_is() -> None:
    first = page(*fleets.fleet(20))
    assert not _page.differs(first, page(*fleets.fleet(20), now=NOW + 86400))
    assert first != page(*fleets.fleet(20), now=NOW + 86400)
    assert _page.differs(first, page(*fleets.fleet(21)))
    assert _page.differs("", first)


def test_a_guest_cannot_hide_a_difference_behind_the_time() -> None:
    """It could if it could write the mark that the time stands in."""
    said = '<time id="looked"', "</time>"
    one, two = (
        page(vm_host("vm1", [row("a", hostname="x", kernel=f"{said[0]}{word}{said[1]}")])) for word in ("1", "2")
    )
    assert _page.differs(one, two)


def test_memory_and_load_that_hardly_move_are_no_difference() -> None:
    def guest(free: int, load: float) -> Answer:
        facts = {**fleets.facts("a"), "memory_mb": {"nocache": {"free": free}}, "loadavg": {"1m": load}}
        return vm_host("vm1", [row("a", facts=facts)])

    assert not _page.differs(page(guest(45, 0.0)), page(guest(46, 0.04)))
    assert _page.differs(page(guest(45, 0.0)), page(guest(20, 0.0)))
    assert _page.differs(page(guest(45, 0.0)), page(guest(45, 0.5)))


@pytest.fixture(scope="module")
def action() -> Any:
    """Return the module of the action, which lies beside the playbooks."""
    path = CHECKOUT / "playbooks" / "action_plugins" / "uml_page.py"
    spec = importlib.util.spec_from_file_location("uml_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_is_put_in_its_place_whole_with_the_rights_it_had(action: Any, tmp_path: Path) -> None:
    dest = tmp_path / "fleet.html"
    mask = os.umask(0o027)
    try:
        _output_file.replace(dest, "one")
    finally:
        os.umask(mask)
    assert dest.stat().st_mode & 0o777 == 0o640
    dest.chmod(0o604)
    (tmp_path / "link").symlink_to(dest)
    _output_file.replace(tmp_path / "link", "two")
    assert (dest.read_text(), dest.stat().st_mode & 0o777) == ("two", 0o604)
    assert (tmp_path / "link").is_symlink()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fleet.html", "link"]


def test_only_a_page_is_written_over(action: Any, tmp_path: Path) -> None:
    other = tmp_path / "thesis.html"
    other.write_text("years of work")
    with pytest.raises(AnsibleActionFail, match="is not a page of this playbook"):
        action.read(other)
    assert action.read(tmp_path / "new.html") == ""
    other.write_text("")
    assert action.read(other) == ""
    other.write_text(page(), encoding="utf-8")
    assert _page.is_page(action.read(other))


def test_a_place_is_relative_to_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _output_file.place_of("a.html") == tmp_path / "a.html"
    assert _output_file.place_of("~/b.html") == tmp_path / "b.html"
    assert _output_file.place_of(str(tmp_path / "c.html")) == tmp_path / "c.html"
    with pytest.raises(AnsibleActionFail, match="is a directory; expected"):
        _output_file.place_of(".")
    with pytest.raises(AnsibleActionFail, match=r"none is not a directory; expected one for a\.html"):
        _output_file.place_of("none/a.html")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("vm1", ("vm1", "22"), "")),
        ({"ansible_host": "192.0.2.1", "ansible_port": 2222}, ("vm1", ("192.0.2.1", "2222"), "")),
        ({"ansible_connection": "uml.mconsole.mconsole", "ansible_host": "h"}, ("h", ("h", "22"), "vm1")),
        (
            {"ansible_connection": "uml.mconsole.mconsole", "ansible_uml_transport": "local", "ansible_uml_umid": "u"},
            ("localhost", ("localhost", "22"), "u"),
        ),
        (
            {"ansible_connection": "uml.mconsole.mconsole", "ansible_host": "h", "uml_vm_host": "big"},
            ("big", ("h", "22"), "vm1"),
        ),
    ],
)
def test_where_a_host_is(variables: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = _instance_rows.answer_of("vm1", {**variables, "fleet_page__seen": {"instances": []}}, "fleet_page")
    assert (found.vm_host, found.place, found.umid) == expected
    assert (found.seen, found.events) == ({"instances": []}, {})
