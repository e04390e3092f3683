# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What starts an instance from a backup, and when a backup is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.uml.mconsole.plugins.plugin_utils import _fetched, _restored

DECLARED = {
    "kernel": "/usr/bin/linux.uml",
    "root": {"image": "/srv/base.img", "cow": "/srv/web1.cow", "init": "/init"},
    "devices": {
        "ubd1": {"file": "/srv/data.img", "synchronous": True},
        "ubd2": {"file": "/srv/cd.iso", "read_only": True},
        "ubd3": "/srv/scratch.img",
        "vec0": "transport=tap,ifname=t1",
    },
    "console_log": "/var/log/web1.log",
    "state": "paused",
}
COPIES = [
    {"device": "ubd0", "file": "/srv/web1.cow", "path": "/b/1/web1-ubd0.cow", "backing_file": "/srv/base.img"},
    {"device": "ubd1", "file": "/srv/data.img", "path": "/b/1/web1-ubd1.img", "backing_file": None},
]
MANIFEST = {"umid": "web1", "backing": "keep", "copies": COPIES, "declaration": DECLARED}


def test_another_instance_has_its_own_disks_and_all_else_as_it_was() -> None:
    found = _restored.plan(MANIFEST, "/c/1", "/new", "web2", {"memory": "64M"}, False)
    assert found["copies"] == [
        {"device": "ubd0", "source": "/c/1/web1-ubd0.cow", "dest": "/new/web2-ubd0.cow"},
        {"device": "ubd1", "source": "/c/1/web1-ubd1.img", "dest": "/new/web2-ubd1.img"},
    ]
    options = found["options"]
    assert options["root"] == {"init": "/init", "image": "/srv/base.img", "cow": "/new/web2-ubd0.cow"}
    assert options["devices"]["ubd1"] == {"synchronous": True, "file": "/new/web2-ubd1.img"}
    assert options["devices"]["vec0"] == "transport=tap,ifname=t1"
    assert (options["memory"], found["left_out"]) == ("64M", [])
    assert {"console_log", "state"}.isdisjoint(options)


def test_a_test_writes_to_nothing_that_is_not_its_own() -> None:
    found = _restored.plan(MANIFEST, "/c/1", "/tmp/t", "web1-test", {}, True)
    assert found["copies"] == [{"device": "ubd0", "source": "/c/1/web1-ubd0.cow", "dest": "/tmp/t/web1-test-ubd0.cow"}]
    assert found["options"]["devices"] == {
        "ubd1": {"synchronous": True, "file": "/tmp/t/ubd1.cow", "backing_file": "/c/1/web1-ubd1.img"},
        "ubd2": {"file": "/srv/cd.iso", "read_only": True},
    }
    assert found["left_out"] == ["ubd3", "vec0"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"declaration": None}, "does not say how web1 was started"),
        ({"backing": "copy"}, "was made with backup_backing=copy; expected backup_backing=keep"),
    ],
)
def test_a_backup_that_cannot_be_used_elsewhere_is_refused(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AnsibleActionFail, match=complaint):
        _restored.plan({**MANIFEST, **more}, "/c/1", "/new", "web2", {}, False)


@pytest.mark.parametrize(
    ("checks", "started", "log", "synced", "reason"),
    [
        ({"ubd0": "in order"}, {}, "EXT4-fs (ubda): recovery complete", True, None),
        ({"ubd0": "errors, which e2fsck finds"}, {}, "", True, "ubd0: errors, which e2fsck finds"),
        ({}, {"error": {}, "msg": "it died"}, "", False, "the guest did not come up: it died"),
        ({}, {}, "[ 1.0] EXT4-fs error (device ubda): bad", True, "[ 1.0] EXT4-fs error (device ubda): bad"),
        ({}, {}, "", False, "the guest came up, and left its file systems in no order when it was shut down"),
    ],
)
def test_a_backup_is_whole_if_nothing_speaks_against_it(
    checks: dict[str, str], started: dict[str, Any], log: str, synced: bool, reason: str | None
) -> None:
    found = _restored.verdict(checks, started, log, {"synced": synced})
    assert (found["whole"], found["reasons"]) == (reason is None, [reason] if reason else [])


def test_a_backup_without_its_manifest_does_not_count(tmp_path: Path) -> None:
    """That is one that is being fetched or brought, or removed."""
    for day in ("20260301T031500", "20260302T031500", "20260303T031500"):
        (tmp_path / day).mkdir()
    for day in ("20260301T031500", "20260302T031500"):
        (tmp_path / day / "backup.json").write_text("{}")
    assert [path.name for path in _fetched.backups(tmp_path)] == ["20260301T031500", "20260302T031500"]
    assert _fetched.names(MANIFEST) == ["web1-ubd0.cow", "web1-ubd1.img", "backup.json"]
