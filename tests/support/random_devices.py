# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random stories of device changes: the instance shows what the model says, and each step reports what it did.

The model is kept here, apart from the collection's: what was asked for last, by device. The same story runs on the
fake and on real kernels; a world is one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.devices import image

UNITS = range(1, 5)
LINES = ("con5", "con6", "ssl5")
CHANNELS = ("pts", "fd:1", "null", "fd:2", "pts,null", "none")
PLAIN = ("a", "b", "c")
COWS = {"cow1": "base1", "cow2": "base1", "cow3": "base2"}
ABSENT: dict[str, Any] = {"state": "absent"}

disk_options = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*PLAIN, *COWS]),
        "read_only": st.booleans(),
        "discard": st.booleans(),
        "serial": st.sampled_from(["", "s1", "s2"]),
    }
)
disks = st.one_of(st.just(None), disk_options)
channels = st.sampled_from(CHANNELS)
units = st.sampled_from(UNITS)


class World(Protocol):
    """An instance, real or not, with a folder of files."""

    folder: Path

    def run(self, operation: str, check: bool = False, **params: Any) -> dict[str, Any]:
        """Run an operation."""

    def request(self, text: str) -> tuple[int, str]:
        """Send a console command by the rig's own client."""

    def flags(self, unit: int) -> dict[str, Any]:
        """Return read_only, discard and serial as the guest shows them."""

    def reset(self) -> None:
        """Take all devices of the story away."""


class Story(RuleBasedStateMachine):
    """One story; a subclass gives `make_world`."""

    make_world: Callable[[], World]

    @initialize()
    def begin(self) -> None:
        """Start with the files and no devices."""
        self.world = type(self).make_world()
        self.world.reset()
        self.disks: dict[int, dict[str, Any]] = {}
        self.lines = dict.fromkeys(LINES, "null")
        for name in (*PLAIN, *COWS.values()):
            if not (self.world.folder / name).exists():
                image(self.world.folder / name)

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "world"):
            self.world.reset()

    # The requested state, and what follows from it.

    def options(self, wish: dict[str, Any] | None) -> dict[str, Any]:
        """Return the module's options of a disk."""
        if wish is None:
            return dict(ABSENT)
        found = {key: wish[key] for key in ("read_only", "discard", "serial")}
        found["file"] = str(self.world.folder / wish["name"])
        if wish["name"] in COWS:
            found["backing_file"] = str(self.world.folder / COWS[wish["name"]])
        return found

    def refusal(self, wishes: dict[int, dict[str, Any] | None]) -> bool:
        """Return whether two disks would have one file, or a COW file that does not exist yet would be read-only."""
        after = {unit: wishes.get(unit, self.disks.get(unit)) for unit in UNITS}
        names = [wish["name"] for wish in after.values() if wish is not None]
        new = [wish for wish in wishes.values() if wish is not None and wish["name"] in COWS]
        unmade = [wish for wish in new if wish["read_only"] and not (self.world.folder / wish["name"]).exists()]
        return len(set(names)) < len(names) or bool(unmade)

    def apply(self, operation: str, changes: bool, refused: bool, **params: Any) -> None:
        """Do it, twice, with a check run before; every report is compared with what the model says."""
        foretold = self.world.run(operation, check=True, **params)
        done = self.world.run(operation, **params)
        assert bool(foretold.get("failed")) == bool(done.get("failed")) == refused, (foretold, done)
        assert foretold["commands"] == done["commands"], (foretold, done)
        if refused:
            assert not done["changed"], done
            assert done["commands"] == []
            return
        assert done["changed"] == foretold["changed"] == changes, done
        assert bool(done["commands"]) == changes
        again = self.world.run(operation, **params)
        assert not again["changed"], again
        assert not again.get("failed"), again

    # Steps.

    @rule(unit=units, wish=disks)
    def one_disk(self, unit: int, wish: dict[str, Any] | None) -> None:
        """Set or remove one disk."""
        changes, refused = self.disks.get(unit) != wish, self.refusal({unit: wish})
        self.apply("device", changes, refused, name=f"ubd{unit}", **self.options(wish))
        if not refused:
            self.know({unit: wish})

    @rule(line=st.sampled_from(LINES), channel=channels)
    def one_line(self, line: str, channel: str) -> None:
        """Set or remove one line; of a closed one the kernel shows the input alone."""
        changes = shown(self.lines[line]) != shown(channel)
        self.apply("device", changes, False, name=line, config=channel)
        if changes:
            self.lines[line] = channel

    @rule(wishes=st.dictionaries(units, disks, min_size=2), channel=channels)
    def several(self, wishes: dict[int, dict[str, Any] | None], channel: str) -> None:
        """Set several disks and a line at once: all of it, or nothing."""
        refused = self.refusal(wishes)
        changes = any(self.disks.get(unit) != wish for unit, wish in wishes.items())
        line_changes = shown(self.lines["con5"]) != shown(channel)
        config: dict[str, Any] = {f"ubd{unit}": self.options(wish) for unit, wish in wishes.items()}
        self.apply("devices", changes or line_changes, refused, config={**config, "con5": channel})
        if not refused:
            self.know(wishes)
            if line_changes:
                self.lines["con5"] = channel

    @rule(wishes=st.dictionaries(units, disk_options, max_size=2))
    def these_and_no_others(self, wishes: dict[int, dict[str, Any] | None]) -> None:
        """Remove all disks but these."""
        all_wishes = {**dict.fromkeys(UNITS), **wishes}
        refused = self.refusal(all_wishes)
        config = {f"ubd{unit}": self.options(wish) for unit, wish in wishes.items()}
        changes = any(self.disks.get(unit) != wish for unit, wish in all_wishes.items())
        self.apply("devices", changes, refused, config=config, state="overridden", classes=["ubd"])
        if not refused:
            self.know(all_wishes)

    @rule(unit=units, how=st.sampled_from(["missing", "folder", "comma", "bad line", "bad channel"]))
    def nonsense(self, unit: int, how: str) -> None:
        """Ask for what cannot be."""
        folder = self.world.folder
        params: dict[str, Any] = {
            "missing": {"name": f"ubd{unit}", "file": f"{folder}/missing"},
            "folder": {"name": f"ubd{unit}", "file": str(folder)},
            "comma": {"name": f"ubd{unit}", "file": f"{folder}/a,b"},
            "bad line": {"name": "con16", "channel": "null"},
            "bad channel": {"name": "con5", "channel": "nosuch"},
        }[how]
        self.apply("device", False, True, **params)

    @rule(unit=units, flag=st.sampled_from("dct"))
    def leave_a_flag(self, unit: int, flag: str) -> None:
        """Let a refused setting of another program leave its flag in a slot."""
        if unit not in self.disks:
            assert self.world.request(f"config ubd{unit}{flag}={self.world.folder}/missing")[0] == -2

    @rule(unit=units)
    def remove_behind_our_back(self, unit: int) -> None:
        """Let another program remove a disk."""
        if unit in self.disks:
            while self.world.request(f"remove ubd{unit}")[0] == -16:
                pass
            del self.disks[unit]

    def know(self, wishes: dict[int, dict[str, Any] | None]) -> None:
        """Remember what was brought about."""
        for unit, wish in wishes.items():
            self.disks.pop(unit, None)
            if wish is not None:
                self.disks[unit] = wish

    @invariant()
    def the_instance_is_as_the_model_says(self) -> None:
        """Ask the console and the guest by the rig's own client."""
        if not hasattr(self, "world"):
            return
        for unit in UNITS:
            assert self.world.request(f"config ubd{unit}") == (0, self.text(unit))
            wish = self.disks.get(unit)
            if wish is not None:
                assert self.world.flags(unit) == {key: wish[key] for key in ("read_only", "discard", "serial")}
        for line, channel in self.lines.items():
            assert self.world.request(f"config {line}") == (0, shown(channel))

    def text(self, unit: int) -> str:
        """Return what the console says of a disk."""
        wish = self.disks.get(unit)
        if wish is None:
            return ""
        names = [wish["name"], *([COWS[wish["name"]]] if wish["name"] in COWS else [])]
        return ",".join(str(self.world.folder / name) for name in names)


def shown(channel: str) -> str:
    """Return what the kernel shows of a closed line."""
    return channel.partition(",")[0]
