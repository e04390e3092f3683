# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random stories of device changes on real kernels; UML_EXAMPLES says how many of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from support import devices, kernels, uml
from support.random_devices import LINES, UNITS, Story
from support.run_operation import operate
from support.wait import wait_until

EXAMPLES = int(os.environ.get("UML_EXAMPLES", "6"))
NO_DEVICE = -19


class RealWorld:
    """A real instance and a folder of the host."""

    def __init__(self, instance: uml.Instance, folder: Path, sockets: ReplySockets) -> None:
        self.instance, self.folder, self.sockets = instance, folder, sockets

    def run(self, operation: str, check: bool = False, **params: Any) -> dict[str, Any]:
        """Run an operation."""
        return operate(operation, check, self.sockets, umid="guest", uml_dir=str(self.instance.uml_dir), **params)

    def request(self, text: str) -> tuple[int, str]:
        """Send a console command by the rig's own client."""
        return self.instance.request(text)

    def flags(self, unit: int) -> dict[str, Any]:
        """Return read_only, discard and serial as the guest shows them."""
        block = f"proc 1/root/sys/block/ubd{chr(ord('a') + unit)}"
        names = ("ro", "queue/discard_max_bytes", "serial")
        read_only, discard, serial = (self.request(f"{block}/{name}")[1].strip("\n") for name in names)
        serial = "" if serial == "(null)" else serial
        return {"read_only": read_only == "1", "discard": discard != "0", "serial": serial}

    def reset(self) -> None:
        """Take all devices of the story away, and the COW files with them."""
        for unit in UNITS:
            wait_until(lambda unit=unit: self.request(f"remove ubd{unit}")[0] == NO_DEVICE, 60, f"ubd{unit} removed")
        for line in LINES:
            assert self.request(f"config {line}=null")[0] == 0
        shutil.rmtree(self.folder)
        self.folder.mkdir()


@pytest.mark.timeout(0)  # UML_EXAMPLES says how long
@pytest.mark.parametrize("series", kernels.wanted())
def test_random_stories_end_as_the_model_says(series):
    with (
        devices.machine(series) as instance,
        tempfile.TemporaryDirectory(prefix="uml.disk.", ignore_cleanup_errors=True) as folder,
    ):
        sockets = ReplySockets()
        world = RealWorld(instance, Path(folder) / "files", sockets)
        world.folder.mkdir()
        story = type("RealStory", (Story,), {"make_world": staticmethod(lambda: world)})
        try:
            run_state_machine_as_test(
                story,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=12,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    database=None,
                    phases=[Phase.generate],  # a story on a real kernel takes too long to be shrunk
                ),
            )
        finally:
            sockets.close()
