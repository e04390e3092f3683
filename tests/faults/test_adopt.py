# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every way to start an instance by hand is declared on every kernel, and each kind of drift is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import by_hand, guest, kernels, uml
from support.adoption import Adoption, Unsafe
from support.vmhost import VmHost


@pytest.fixture
def adoption(vm_host: VmHost, ansible_home: Path, folder: Path) -> Adoption:
    """Return the playbooks on the VM host."""
    return Adoption(vm_host, ansible_home, folder)


@pytest.mark.parametrize("series", kernels.SERIES)
def test_every_way_on_every_kernel(adoption: Adoption, folder: Path, series: str) -> None:
    ways = [(name, series) for name, way in by_hand.WAYS.items() if series in way.series]
    with by_hand.started(folder, ways) as found:
        adoption.check_nothing_changes(set(found))


# What is declared otherwise, and the drift that it is; tests/integration has ten other kinds.
DECLARED: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "kernel": ({"kernel": str(kernels.path("7.2"))}, {("kernel", "kernel")}),
    "ncpus": ({"ncpus": 2}, {("ncpus", "ncpus")}),
    # The words that it had include one about the root file system.
    "words": ({"kernel_args": ["other"]}, {("kernel_args", "kernel_args"), ("root", "root")}),
    "root": ({"root": {"initrd": "{folder}/other.gz"}}, {("root", "root")}),
    "none": ({"devices": {"con3": "null"}}, {("devices", "con3")}),
    "plus": ({"devices": {"con3": "pts", "ubd4": "{folder}/disk"}}, {("devices", "ubd4")}),
    "rest": ({"state": "paused"}, {("running", "state")}),
    "ends": ({"state": "stopped"}, {("not ended", "state")}),
    "away": ({"state": "absent"}, {("not ended", "state")}),
}


def test_ten_more_kinds_of_drift_are_found_and_none_is_invented(
    adoption: Adoption, launch_guest: Callable[..., uml.Instance], uml_dir: Path, folder: Path
) -> None:
    """Nine are declared otherwise; the kernel of one was replaced; one is as declared."""
    disk = guest.ext4_image(folder / "disk")
    shutil.copy(guest.initrd(), folder / "other.gz")
    kernel = Path(shutil.copy(uml.kernel_path(), folder / "linux"))
    for umid in (*DECLARED, "calm"):
        launch_guest(umid, "con3=pts")
    launch_guest("upgraded", kernel=kernel)
    adoption.run("adopt", "-e", f"adopt_uml_dir={uml_dir}").ok()
    assert adoption.drift() == (0, set())

    shutil.copy(kernel, folder / "new")
    (folder / "new").rename(kernel)
    declared = yaml.load(adoption.file.read_text(), Unsafe)
    for row in declared["instances_fleet"]:
        row.update(_filled(DECLARED.get(row["umid"], ({}, set()))[0], str(disk.parent)))
    adoption.file.write_text(yaml.safe_dump(declared))
    status, found = adoption.drift()
    assert status != 0
    wanted = {(umid, *each) for umid, (_options, kinds) in DECLARED.items() for each in kinds}
    assert found == wanted | {("upgraded", "kernel", "kernel"), ("upgraded", "replaced", str(kernel))}


def _filled(value: Any, folder: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, folder) for key, item in value.items()}
    return value.replace("{folder}", folder) if isinstance(value, str) else value
