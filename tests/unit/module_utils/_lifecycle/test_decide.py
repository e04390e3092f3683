# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps from what is there to what a task asks for."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import decide
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle.decide import Request, Unit
from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle.observation import Observation
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import Error, InputError, NotAllowedError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Instance, Place
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.states import STATES, Probe
from support.run_operation import operate

DEAD = ("absent", "stale", "orphaned")
ALONE = Unit()
WANTED = ("running", "paused", "stopped", "restarted", "absent")


def seen(state: str, is_up: bool | None = None) -> Observation:
    """Return an observation of an instance in a state."""
    alive = state not in DEAD if is_up is None else is_up
    instance = Instance(Place("a", "/d"), 7, alive, (7,), "S" if alive else "", ("linux", "umid=a"), 0, 1)
    return Observation(None if state == "absent" else instance, Probe(state, "so it is"))


def request(state: str, limits: dict[str, Any] | None = None, **params: Any) -> Request:
    """Return what a task asks for."""
    given = {"state": state, "restart": "never", "stop_methods": ["kill"], "supervisor": None, **params}
    return Request("a", given, {}, limits or {})


def steps(wanted: Request, there: Observation, unit: Unit = ALONE, differences: Any = ()) -> tuple[str, ...]:
    """Return the steps from a state without a unit."""
    before = {"state": there.state, "starts_at_boot": unit.is_declared, "supervisor": "none", "limits": {}}
    return decide.steps(wanted, there, unit, before, dict.fromkeys(differences))


@pytest.mark.parametrize("state", [*STATES, "absent"])
@pytest.mark.parametrize("wanted", WANTED)
def test_each_state_leads_to_each_or_to_an_error(wanted: str, state: str) -> None:
    if wanted in ("running", "paused") and state in ("booting", "hung", "frozen", "unknown"):
        with pytest.raises(Error, match=f"is {state}|cannot be {wanted}"):
            steps(request(wanted), seen(state))
        return
    found = steps(request(wanted), seen(state))
    assert ("start" in found) == (wanted == "restarted" or (wanted in ("running", "paused") and state in DEAD))
    assert ("stop" in found) == (wanted in ("stopped", "restarted", "absent") and state not in DEAD)
    after = decide.predicted(request(wanted), seen(state), Unit(), {"state": state}, found)["state"]
    assert after == {"restarted": "running", "stopped": after, "absent": "absent"}.get(wanted, wanted)


@pytest.mark.parametrize("wanted", WANTED)
def test_what_cannot_be_seen_is_left_alone(wanted: str) -> None:
    """Its process is hidden (hidepid), in another pid namespace, or on another machine."""
    with pytest.raises(NotAllowedError, match="so it is; run the task where the instance runs"):
        steps(request(wanted), seen("unknown", is_up=False))


def test_a_difference_restarts_only_when_that_is_required() -> None:
    there = seen("running")
    assert steps(request("running"), there, differences=["memory"]) == ()
    assert steps(request("running", restart="when_required"), there) == ()
    wanted = request("paused", restart="when_required")
    assert steps(wanted, there, differences=["memory"]) == ("stop", "clear", "start", "pause")


def test_a_stop_needs_a_method() -> None:
    with pytest.raises(InputError, match="stop_methods is empty"):
        steps(request("stopped", stop_methods=[]), seen("running"))
    assert steps(request("stopped", stop_methods=[]), seen("absent")) == ()


def test_a_unit_is_enabled_and_disabled_with_its_instance() -> None:
    kept = Unit(is_declared=True, keeps=True)
    assert steps(request("running", supervisor="systemd"), seen("absent")) == ("start", "enable")
    assert steps(request("stopped"), seen("running"), kept) == ("stop", "disable")
    assert steps(request("stopped"), seen("running"), kept._replace(is_own=True)) == ("stop",)
    assert steps(request("running", supervisor="none"), seen("running"), kept) == ()
    assert decide.needs_systemd(request("running", supervisor="systemd"), seen("absent"), Unit(), ("start",))
    assert not decide.needs_systemd(request("stopped"), seen("running"), Unit(), ("stop",))


def test_limits_need_a_unit() -> None:
    limits = {"tasks_max": 50}
    with pytest.raises(InputError, match="tasks_max of a cannot be set; expected supervisor=systemd"):
        steps(request("running", limits), seen("running"))
    assert steps(request("running", limits, supervisor="systemd"), seen("running"))[0] == "limit"
    assert steps(request("stopped", limits), seen("absent")) == ()


@pytest.mark.parametrize("wanted", WANTED)
def test_an_open_console_of_an_unseen_process_is_not_stale(wanted: str, tmp_path: Path) -> None:
    """As in another pid namespace over the same directory: its pid file names a process that is not there."""
    directory = tmp_path / "a"
    directory.mkdir()
    (directory / "pid").write_text("999999999\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as console:
        console.bind(str(directory / "mconsole"))
        result = operate("instance", umid="a", uml_dir=str(tmp_path), state=wanted)
        assert result["failed"]
        assert "cannot be seen here" in result["msg"]
        assert sorted(path.name for path in directory.iterdir()) == ["mconsole", "pid"]
