# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be there before systemd can keep an instance, and what is read of its unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import systemd_unit
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle.launch import Launch
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError, NotAllowedError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Place

PLACE = Place("web1", "/srv/uml")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Yield a VM host that systemd runs, as its files show, where this user is root and the role has run."""
    (tmp_path / "template").touch()
    monkeypatch.setattr(systemd_unit, "_BOOTED", str(tmp_path))
    monkeypatch.setattr(systemd_unit, "TEMPLATE", str(tmp_path / "template"))
    monkeypatch.setattr(systemd_unit, "FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def launch(place: Place) -> Launch:
    """Return how an instance is launched."""
    return Launch(place, ["/linux"], {}, "/", "/log")


def test_where_all_is_there_systemd_can_keep_it(host: Path) -> None:
    systemd_unit.check(PLACE)
    assert systemd_unit.place_of("web1") is None
    systemd_unit._write("web1", launch(PLACE))
    assert systemd_unit.place_of("web1") == PLACE
    systemd_unit.check(PLACE)
    assert ((host / "units" / "web1.json").stat().st_mode & 0o777, len(list((host / "units").iterdir()))) == (0o600, 1)


def test_who_is_not_root_is_told_so(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NotAllowedError, match="the unit of web1 is root's; run the task as root"):
        systemd_unit.check(PLACE)


def test_without_systemd_or_the_template_there_is_no_unit(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "template").unlink()
    with pytest.raises(InputError, match="is not there; the role uml"):
        systemd_unit.check(PLACE)
    monkeypatch.setattr(systemd_unit, "_BOOTED", str(host / "nothing"))
    with pytest.raises(InputError, match="systemd does not run this VM host"):
        systemd_unit.check(PLACE)


@pytest.mark.parametrize("umid", ["a b", "*", "web@1", "-a", ".a", "a\\x20b", "\xe4", "a\n"])
def test_a_name_that_systemctl_would_take_otherwise_is_refused(umid: str, host: Path) -> None:
    with pytest.raises(InputError, match="is not a name for a unit"):
        systemd_unit.check(Place(umid, "/srv/uml"))


def test_a_name_has_one_unit_on_a_machine(host: Path) -> None:
    systemd_unit._write("web1", launch(Place("web1", "/elsewhere")))
    with pytest.raises(InputError, match="is that of the instance of that name in /elsewhere"):
        systemd_unit.check(PLACE)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"launch": {"place": 3}}', '{"launch": {"place": ["a"]}}'])
def test_a_broken_description_is_named(text: str, host: Path) -> None:
    (host / "units").mkdir()
    (host / "units" / "web1.json").write_text(text)
    with pytest.raises(InputError, match="does not say how web1 is launched"):
        systemd_unit.place_of("web1")


@pytest.mark.parametrize(
    ("groups", "kept"),
    [
        ("0::/system.slice/system-uml\\x2dmconsole.slice/uml-mconsole@web1.service\n", True),
        ("4:memory:/\n1:name=systemd:/system.slice/uml-mconsole@web1.service\n0::/\n", True),
        ("0::/system.slice/uml-mconsole@web11.service\n", False),
        ("0::/user.slice/uml-mconsole@web1.service/child\n", False),
        ("", False),
    ],
)
def test_the_control_group_tells_who_keeps_it(groups: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_unit.procfs, "read_text", lambda path: groups)
    assert systemd_unit.owns(4711, "web1") is kept
    assert systemd_unit.owns(None, "web1") is False
