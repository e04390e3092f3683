# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random stories of device changes on the fake, as each kernel; UML_EXAMPLES says how many of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from support import mconsole
from support.fake import FakeConsole
from support.fake_disks import KernelWithSysfs
from support.random_devices import LINES, UNITS, Story
from support.run_operation import operate

EXAMPLES = int(os.environ.get("UML_EXAMPLES", "12"))


class FakeWorld:
    """A fake instance and a folder of the host."""

    def __init__(self, fake: FakeConsole, folder: Path, sockets: ReplySockets) -> None:
        self.fake, self.folder, self.sockets = fake, folder, sockets

    def run(self, operation: str, check: bool = False, **params: Any) -> dict[str, Any]:
        """Run an operation."""
        uml_dir = str(self.fake.directory.parent)
        known = {"umid": self.fake.umid, "uml_dir": uml_dir, "timeout": 60.0}  # this machine may be busy
        return operate(operation, check, self.sockets, **known, **params)

    def request(self, text: str) -> tuple[int, str]:
        """Send a console command by the rig's own client."""
        return mconsole.request(self.fake.console, text)

    def flags(self, unit: int) -> dict[str, Any]:
        """Return read_only, discard and serial as the guest shows them."""
        disk = self.fake.kernel.disks[unit]
        return {
            "read_only": "r" in disk.flags,
            "discard": "t" not in disk.flags,
            "serial": self.fake.kernel.serial(disk),
        }

    def reset(self) -> None:
        """Take all devices of the story away, and the files with them."""
        for unit in UNITS:
            self.fake.kernel.disks.pop(unit, None)
        self.fake.kernel.lines.update(dict.fromkeys(LINES, "null"))
        self.fake.kernel.backings.clear()
        shutil.rmtree(self.folder)
        self.folder.mkdir()


@pytest.mark.timeout(0)  # UML_EXAMPLES says how long
@pytest.mark.parametrize("series", ["6.1", "6.12", "7.2"])
def test_random_stories_end_as_the_model_says(series):
    with tempfile.TemporaryDirectory(prefix="uml.") as folder:
        sockets = ReplySockets()
        files = Path(folder) / "files"
        files.mkdir()
        with FakeConsole(Path(folder), kernel=KernelWithSysfs(series=series)) as fake:
            world = FakeWorld(fake, files, sockets)
            story = type("FakeStory", (Story,), {"make_world": staticmethod(lambda: world)})
            checks = settings(
                max_examples=EXAMPLES,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            )
            try:
                run_state_machine_as_test(story, settings=checks)
            finally:
                sockets.close()
