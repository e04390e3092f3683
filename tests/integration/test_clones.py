# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clones of one image: one task, and each has its own name, identity, address and copy-on-write file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import guest as guests
from support import kernels, processes
from support.run_operation import operate

NAMES = ["c1", "c2", "c3"]
MOST = 1 << 20  # bytes that a clone may take on the disk


@pytest.fixture
def lent(uml_dir: Path) -> Iterator[Path]:
    """Yield a uml_dir whose instances end with the test."""
    yield uml_dir
    pids = [int(path.read_text()) for path in uml_dir.glob("*/pid")]
    processes.kill_all(lambda: [pid for leader in pids for pid in processes.of_session(leader)], "a clone")


@pytest.mark.parametrize("series", kernels.wanted())
def test_each_clone_is_its_own(series: str, lent: Path) -> None:
    image = guests.copy_root_image(lent / "guest.img")
    before = image.stat()
    options: dict[str, Any] = {
        "umids": NAMES,
        "uml_dir": str(lent),
        "kernel": str(kernels.path(series)),
        "root": {"image": str(image), "cow": f"{lent}/{{umid}}.cow", "init": "/init"},
        "kernel_args": {"hostname": "{umid}", "systemd.machine_id": "{machine_id}", "address": "{mac}/{mac1}"},
    }
    done = operate("instance", **options)
    assert (done.get("failed"), done["changed"]) == (None, True), done
    assert not operate("instance", **options)["changed"]
    seen = operate("instance_facts", umids=NAMES, uml_dir=str(lent))["instances"]
    facts = {umid: row["ansible_facts"] for umid, row in seen.items()}
    assert {umid: found["ansible_hostname"] for umid, found in facts.items()} == {umid: umid for umid in NAMES}
    lines = [found["ansible_cmdline"] for found in facts.values()]
    assert len({line["systemd.machine_id"] for line in lines}) == len(NAMES)
    addresses = [address for line in lines for address in line["address"].split("/")]
    assert len(set(addresses)) == 2 * len(NAMES)
    assert {int(address[:2], 16) & 3 for address in addresses} == {2}, "administered locally, of one interface"
    assert image.stat().st_mtime_ns == before.st_mtime_ns
    assert [path for path in lent.glob("*.cow") if path.stat().st_blocks * 512 > MOST] == []
    assert len(list(lent.glob("*.cow"))) == len(NAMES)
