# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of devices share: one instance a kernel, cleaned after each test, and steps of a story."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support import kernels, uml
from support.wait import wait_until

SIZE = 1 << 20
Device = Callable[..., dict[str, Any]]
INTERFACES = ("vec1", "vec2", "vec3", "eth3", "eth4")
GHOST = 15  # the disk that some instances have as a ghost; removing it would panic them
LINES = ("con5", "con6", "ssl5")


@contextlib.contextmanager
def machine(series: str, *words: str, **options: Any) -> Iterator[uml.Instance]:
    """Yield an instance of one kernel; the options are those of `uml.launch`."""
    folder = Path(tempfile.mkdtemp(prefix="uml.dev."))
    folder.chmod(0o755)
    instance = uml.launch("guest", folder, *words, kernel=kernels.path(series), **options)
    try:
        yield instance
    finally:
        instance.close()
        shutil.rmtree(folder)


def clean(instance: uml.Instance) -> None:
    """Take away what a test left, by the rig's own client, and see that the instance outlived it."""
    assert instance.alive(), instance.console_log()[-2000:]
    down = "; ".join(f"ip link set {interface} down" for interface in INTERFACES)
    instance.guest(f"{{ umount /mnt; swapoff -a; {down}; true; }} 2>/dev/null")
    for interface in INTERFACES:
        instance.request(f"remove {interface}")
    for unit in range(1, GHOST):
        if instance.request(f"config ubd{unit}")[1]:
            wait_until(lambda unit=unit: instance.request(f"remove ubd{unit}")[0] == 0, 60, f"ubd{unit} removed")
    for line in LINES:
        instance.request(f"config {line}=null")


def image(path: Path, size: int = SIZE) -> str:
    """Make an empty disk."""
    with path.open("wb") as stream:
        stream.truncate(size)
    return str(path)


def step(device: Device, expected_change: bool, **params: Any) -> dict[str, Any]:
    """Check first, then do: check mode changes nothing and says the very commands that the real run sends."""
    foretold = device(check=True, **params)
    done = device(**params)
    assert not done.get("failed"), done
    assert foretold["commands"] == done["commands"]
    assert foretold["changed"] == done["changed"] == expected_change, done
    assert_foretold(foretold["diff"]["after"], done["diff"]["after"])
    return done


def assert_foretold(foretold: dict[str, Any], done: dict[str, Any]) -> None:
    """See that what was foretold of a device, or of several, is what came; what cannot be foretold is left out."""
    for key, value in foretold.items():
        if isinstance(value, dict):
            assert_foretold(value, done[key])
        elif value is not None and done.get(key) is not None:
            assert done[key] == value, (key, foretold, done)


def story(device: Device, **params: Any) -> dict[str, Any]:
    """Set a device and find that a second run has nothing to do."""
    first = step(device, True, **params)
    second = step(device, False, **params)
    assert second["device"] == first["device"]
    assert second["diff"]["before"] == second["diff"]["after"]
    return first
