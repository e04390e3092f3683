# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draw a VM host: where each line and box goes, in units that are pixels where there is room.

Networks are rails down the left side, files that many disks stand on rails down the right. Instances that are on the
same rails share a box between them, joined to each of its rails by one line with a dot; so a hundred instances are as
easy to follow as three. A line that crosses a rail without a dot does not join it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.uml.mconsole.plugins.plugin_utils._page_text import count, listing, natural, shorten

Part = dict[str, Any]

NARROW = 312  # fits a telephone as it is
_COLUMNS = 9  # of chips, in a drawing for wide windows
_MARGIN = 10
_RAIL = 12  # between one rail and the next
_RAILS = 6  # on a side; more would leave no room for what they join
_LABEL = 22  # height of a rail's label
_GAP = 14  # between a rail and a box, and between boxes
_PADDING = 8  # of a box
_CHIP, _BETWEEN = 26, 6  # height of a chip, and the room around it
_CHIP_WIDTH = 94  # in a narrow drawing at least
_LETTER = 7.2  # width that a letter takes at most, mostly
_LISTED = 24  # names that the description has of each rail


class Rail(NamedTuple):
    """A network or a file, and its place; ``y`` is the middle of its label."""

    part: Part
    x: int
    y: int
    label_x: int
    name: str


class Box(NamedTuple):
    """Instances on the same rails."""

    instances: list[Part]
    networks: list[int]
    files: list[int]


def figures(vm_host: Part) -> list[Part]:
    """Return the drawings of a VM host: one for narrow windows, and one for wide ones where it would be another."""
    if not vm_host["instances"]:
        return []
    networks = [network for network in vm_host["networks"] if network["shared"]]
    sides = (_side(networks[:_RAILS]), _side(vm_host["files"][:_RAILS]))
    boxes = _boxes(vm_host["instances"], networks[:_RAILS], vm_host["files"][:_RAILS])
    longest = max(sum(map(_span, box.instances)) for box in boxes)
    fitting = max(1, _columns(NARROW - sum(sides)))
    wide = min(_COLUMNS, longest)
    narrow = _figure(vm_host, NARROW, fitting)
    if longest <= 4 * fitting:
        return [narrow]
    return [narrow, _figure(vm_host, sum(sides) + wide * (_CHIP_WIDTH + _BETWEEN) - _BETWEEN + 2 * _PADDING, wide)]


def _side(rails: Sequence[Part]) -> int:
    """Return the width of all that is beside the boxes on one side."""
    return _MARGIN + len(rails) * _RAIL + (_GAP if rails else 0)


def _columns(width: int) -> int:
    """Return how many chips fit beside each other into a box."""
    return (width - 2 * _PADDING + _BETWEEN) // (_CHIP_WIDTH + _BETWEEN)


def _span(instance: Part) -> int:
    """Return how many columns an instance takes: what is not simply running has its state's word."""
    return 1 if instance["state"] == "running" else 2


def _figure(vm_host: Part, width: int, columns: int) -> Part:
    """Return what to draw where, and what it says in words."""
    networks = [network for network in vm_host["networks"] if network["shared"]]
    files = vm_host["files"]
    left, right = networks[:_RAILS], files[:_RAILS]
    boxes = _boxes(vm_host["instances"], left, right)
    x, inner = _side(left), width - _side(left) - _side(right)
    top = _MARGIN + len(left) * _LABEL + (_BETWEEN if left else 0)
    placed = list(_placed(boxes, x, top, inner, columns))
    bottom = placed[-1]["y"] + placed[-1]["height"] if placed else top
    rails = [*_left(left, width), *_right(right, width, bottom)]
    return {
        "key": f"{vm_host['key']}-{width}",
        "width": width,
        "height": bottom + len(right) * _LABEL + (_BETWEEN if right else 0) + _MARGIN,
        "networks": [_drawn(rail, _ends(index, 1, placed, rail)) for index, rail in enumerate(rails[: len(left)])],
        "files": [_drawn(rail, _ends(index, 2, placed, rail)) for index, rail in enumerate(rails[len(left) :])],
        "boxes": [_joined(box, rails, len(left), x, inner) for box in placed],
        "left_out": len(networks) - len(left) + len(files) - len(right),
        "title": _title(vm_host, networks, files),
        "words": list(_words(vm_host, networks, files)),
    }


# What is in which box.


def _boxes(instances: Sequence[Part], networks: Sequence[Part], files: Sequence[Part]) -> list[Box]:
    """Return the boxes, those on the first rails first and the lonely ones last."""
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Part]] = {}
    for instance in instances:
        place = (_on(instance, networks), _on(instance, files))
        found.setdefault(place, []).append(instance)
    lonely = ((), ())
    order = sorted(found, key=lambda place: (place == lonely, place[0] or (99,), place[1] or (99,)))
    return [Box(found[place], list(place[0]), list(place[1])) for place in order]


def _on(instance: Part, rails: Sequence[Part]) -> tuple[int, ...]:
    return tuple(index for index, rail in enumerate(rails) if instance["key"] in rail["keys"])


# Where it goes.


def _placed(boxes: Iterable[Box], x: int, y: int, width: int, columns: int) -> Iterator[Part]:
    """Yield each box below the one before, as high as its chips and its lines need."""
    for box in boxes:
        chips = list(_chips(box.instances, x + _PADDING, y + _PADDING, width - 2 * _PADDING, columns))
        end = chips[-1]["y"] + _CHIP + _PADDING
        lines = max(len(box.networks), len(box.files))
        height = max(end - y, 2 * _PADDING + lines * _RAIL)
        yield {"box": box, "x": x, "y": y, "width": width, "height": height, "chips": chips}
        y += height + _GAP


def _chips(instances: Sequence[Part], x: int, y: int, width: int, columns: int) -> Iterator[Part]:
    """Yield the chips in rows."""
    step = (width + _BETWEEN) / columns
    column = 0
    for instance in instances:
        span = min(columns, _span(instance))
        if column + span > columns:
            column, y = 0, y + _CHIP + _BETWEEN
        yield _chip(instance, round(x + column * step), y, round(step * span) - _BETWEEN)
        column += span


def _chip(instance: Part, x: int, y: int, width: int) -> Part:
    word = "" if instance["state"] == "running" else instance["state"]
    letters = int((width - 28) / _LETTER)
    room = letters - len(word) - 1 if word else letters
    place = {"x": x, "y": y, "width": width, "height": _CHIP}
    name = shorten(instance["umid"], max(3, room))
    state = {key: instance[key] for key in ("state", "level", "mark")}
    return {**place, "name": name, "word": word, "full": instance["umid"], **state}


def _left(networks: Sequence[Part], width: int) -> Iterator[Rail]:
    """Yield the rails of the networks, whose labels are above; the outermost is the first."""
    start = _MARGIN + len(networks) * _RAIL + _GAP // 2
    for index, network in enumerate(networks):
        name = _label(network["label"], width - start)
        yield Rail(network, _rail_x(index), _MARGIN + index * _LABEL + 9, start, name)


def _rail_x(index: int) -> int:
    return _MARGIN + index * _RAIL + 3


def _right(files: Sequence[Part], width: int, bottom: int) -> Iterator[Rail]:
    """Yield the rails of the files, whose labels are below; the innermost ends first, so that no label is crossed."""
    start = width - _MARGIN - len(files) * _RAIL - _GAP // 2
    for index, file in enumerate(files):
        y = bottom + _BETWEEN + (len(files) - 1 - index) * _LABEL + 13
        yield Rail(file, width - _rail_x(index), y, start, _label(file["name"], start))


def _label(text: str, room: int) -> str:
    """Return a rail's name as far as there is room, with some kept for how many are on it."""
    return shorten(text, max(8, int((room - 96) / _LETTER)))


def _ends(index: int, side: int, placed: Sequence[Part], rail: Rail) -> tuple[int, int]:
    """Return where a rail starts and ends: at its label, and at the last box that is joined to it."""
    ends = [_line_y(box, side, index) for box in placed if index in box["box"][side]]
    far = (max if side == 1 else min)(ends, default=rail.y)
    return (rail.y, far) if side == 1 else (far, rail.y)


def _line_y(placed: Part, side: int, index: int) -> int:
    """Return the height at which a box is joined to a rail."""
    return int(placed["y"] + _PADDING + _CHIP // 2 + placed["box"][side].index(index) * _RAIL)


def _drawn(rail: Rail, ends: tuple[int, int]) -> Part:
    label = {"label": rail.name, "kind": rail.part["kind"], "users": len(rail.part["keys"])}
    return {"x": rail.x, "y1": ends[0], "y2": ends[1], "y": rail.y, "label_x": rail.label_x, **label}


def _joined(placed: Part, rails: Sequence[Rail], on_left: int, x: int, width: int) -> Part:
    """Return a box with the lines that join it to its rails."""
    box = placed["box"]
    left = [{"x1": rails[index].x, "x2": x, "y": _line_y(placed, 1, index), "index": index} for index in box.networks]
    files = [(index, rails[on_left + index].x) for index in box.files]
    right = [{"x1": x + width, "x2": end, "y": _line_y(placed, 2, index), "index": index} for index, end in files]
    return {**placed, "left": left, "right": right}


# What it says.


def _title(vm_host: Part, networks: Sequence[Part], files: Sequence[Part]) -> str:
    counts = [vm_host["count"], *([count(len(networks), "network")] if networks else [])]
    counts += [count(len(files), "file")] if files else []
    return f"{vm_host['name']}: {', '.join(counts)}"


def _words(vm_host: Part, networks: Sequence[Part], files: Sequence[Part]) -> Iterator[str]:
    """Yield in sentences what the drawing shows, for those who do not see it."""
    for state in vm_host["states"]:
        named = [part["umid"] for part in vm_host["instances"] if part["state"] == state["state"]]
        yield f"{state['state']}: {listing(named, _LISTED)}."
    for network in networks:
        yield f"On the {network['kind']} {network['name']}: {_users(network)}."
    for file in files:
        yield f"{'Copy-on-write on' if file['is_base'] else 'Sharing'} {file['name']}: {_users(file)}."


def _users(part: Part) -> str:
    return listing(sorted({user["umid"] for user in part["users"]}, key=natural), _LISTED)
