# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows: each is a fault, how it is made and mended, and how the tasks end that are run under it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from faults import injectors
from faults.injectors import Fault
from faults.lab import ELSEWHERE

Expected = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One fault.

    ``expected`` are the tasks under it and how they end, ``says`` what a message must match (or one for each task),
    ``within`` the seconds that all of it may take, ``warm`` whether there is a way to the VM host already, ``state``
    what instance_info finds, ``is_done`` whether the requested state is there already when the next run begins.
    ``slow`` rows are left out unless all are wanted.
    """

    name: str
    fault: Fault
    expected: Expected
    says: str | Mapping[str, str] = ""
    within: float = 30
    warm: bool = True
    state: str = "running"
    is_done: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False

    @property
    def slug(self) -> str:
        """Return the name as a file's."""
        return re.sub(r"\W+", "-", self.name)


NO_ANSWER = "no answer"  # the controller was killed before there was one
BOTH_OK = {"read": "ok", "change": "ok, changed"}
BOTH_FAIL = {"read": "failed", "change": "failed"}
UNREACHABLE = {"read": "unreachable", "change": "unreachable"}
PATIENT = {"ansible_uml_timeout": 60}  # where something else happens while a console is asked


def _of(subject: str, rows: list[Row]) -> list[Row]:
    """Return rows with the subject before their names."""
    return [replace(row, name=f"{subject} {row.name}") for row in rows]


INSTANCE = [
    Row("is killed", injectors.killed_instance, {"info": "ok", **BOTH_FAIL}, "'guest' is gone", state="stale"),
    Row(
        "is stopped by a signal",
        injectors.stopped_instance,
        {"info": "ok", **BOTH_FAIL},
        "guest did not answer .*within .*it may have happened",
        state="hung",
    ),
    Row("is paused", injectors.paused_instance, {"info": "ok", **BOTH_FAIL}, "paused", state="paused"),
    Row("boots", injectors.booting_instance, {"info": "ok", **BOTH_FAIL}, "guest.*boot", state="booting"),
    Row(
        "panics in the middle of a change",
        injectors.panicking_instance,
        {"change": "failed"},
        "it may have happened, and the instance has ended or has restarted",
    ),
    Row(
        "reboots in the middle of a change",
        injectors.rebooting_instance,
        {"change": "failed"},
        "ended or has restarted",
    ),
    Row(
        "is replaced by another of the same name before a setting is sent",
        injectors.replaced_before_a_change,
        {"change": "ok, changed"},
        is_done=True,
        options=PATIENT,
        slow=True,
    ),
    Row(
        "is replaced by another of the same name after a setting was sent",
        injectors.replaced_after_a_change,
        {"change": "failed"},
        "has restarted",
        options=PATIENT,
    ),
    Row("has lost its directory", injectors.lost_directory, BOTH_FAIL, "no instance 'guest'"),
]

CLIENT = [
    Row("is killed", injectors.killed_client, BOTH_OK, is_done=True),
    Row(
        "is killed in the middle of a change",
        injectors.client_killed_in_a_change,
        {"change": "failed"},
        "it may have happened",
        is_done=True,
        options=PATIENT,
    ),
    Row(
        "is killed in the middle of a transaction",
        injectors.client_killed_in_a_set,
        {"set": "failed"},
        "it may have happened",
        options=PATIENT,
    ),
    Row("is stopped by a signal", injectors.stopped_client, BOTH_OK, is_done=True, slow=True),
    Row(
        "is stopped in the middle of a change",
        injectors.client_stopped_in_a_change,
        {"change": "failed"},
        "it may have happened",
        within=60,
        is_done=True,
        options=PATIENT,
        slow=True,
    ),
    Row("has lost its socket", injectors.removed_socket, BOTH_OK, is_done=True),
    Row("has lost the directory of its sockets", injectors.removed_directory, BOTH_OK, is_done=True),
    Row(
        "finds the directory for its sockets taken by another user",
        injectors.foreign_directory,
        UNREACHABLE,
        "is not a directory of user .* remove it",
        warm=False,
    ),
]

WAY = [
    Row("the ssh master is killed", injectors.killed_master, BOTH_OK, is_done=True),
    Row("the ssh master is stopped by a signal", injectors.stopped_master, BOTH_OK, within=60, is_done=True, slow=True),
    Row("sshd restarts, and all sessions are lost", injectors.restarted_sshd, BOTH_OK, is_done=True),
    Row("sshd does not run", injectors.ended_sshd, UNREACHABLE, "Connection refused"),
    Row(
        "the network of the VM host is cut for five seconds",
        injectors.shortly_cut_network,
        BOTH_OK,
        is_done=True,
        slow=True,
    ),
    Row(
        "the network of the VM host is cut for good",
        injectors.cut_network,
        UNREACHABLE,
        r"vm1|198\.1[89]\.",
        within=60,
        slow=True,
    ),
    Row(
        "the network is cut in the middle of a change",
        injectors.network_cut_in_a_change,
        {"change": "failed"},
        "it may have happened",
        within=60,
        is_done=True,
        options=PATIENT,
        slow=True,
    ),
    Row("sshd refuses to forward sockets", injectors.refused_forwarding, BOTH_OK, warm=False, is_done=True),
    Row("sshd allows one session at a time", injectors.one_session, BOTH_OK, warm=False, is_done=True, slow=True),
    Row("ssh keeps no master (ControlMaster=no)", injectors.no_master, BOTH_OK, warm=False, is_done=True, slow=True),
    Row("the VM host's key is not known", injectors.unknown_host, UNREACHABLE, "Host key verification", warm=False),
]

CONTROLLER = [
    Row(
        "is killed in the middle of a change",
        injectors.controller_killed_in_a_change,
        {"change": NO_ANSWER},
        is_done=True,
        options=PATIENT,
    ),
    Row(
        "is killed in the middle of a transaction",
        injectors.controller_killed_in_a_set,
        {"set": NO_ANSWER},
        is_done=True,
        options=PATIENT,
    ),
    Row(
        "starts a transaction while another controller is in the middle of one",
        injectors.second_controller,
        {"set": "ok, changed", f"set {ELSEWHERE}": "ok"},
        within=60,
        is_done=True,
        options=PATIENT,
    ),
    Row(
        "has its clock set back by a day in a change", injectors.clock_set_back, BOTH_OK, is_done=True, options=PATIENT
    ),
    Row(
        "has its clock set ahead by a day in a change",
        injectors.clock_set_ahead,
        BOTH_OK,
        is_done=True,
        options=PATIENT,
        slow=True,
    ),
    Row(
        "has a home directory with the longest path that ssh can take",
        injectors.longest_home,
        BOTH_OK,
        warm=False,
        is_done=True,
        slow=True,
    ),
    Row(
        "has a home directory with a path of 100 characters",
        injectors.too_long_home,
        UNREACHABLE,
        "ControlPath too long",
        warm=False,
    ),
    Row("has no room for its sockets", injectors.full_controller, UNREACHABLE, "No space left", warm=False),
]

VM_HOST = [
    Row("has no room for the client's sockets", injectors.full_vm_host, UNREACHABLE, "No space left", warm=False),
    Row(
        "has no room for a backup",
        injectors.full_destination,
        {"change": "ok, changed", "backup": "failed"},
        "No space left",
        is_done=True,
    ),
    Row("has the uml_dir on a read-only file system", injectors.read_only_uml_dir, BOTH_OK, is_done=True),
    Row(
        "has the uml_dir on a read-only file system, and an instance starts",
        injectors.read_only_for_a_start,
        {"start": "failed"},
        "[Rr]ead-only",
    ),
    Row(
        "has net.unix.max_dgram_qlen at 1",
        injectors.short_queue,
        {"long": "ok", **BOTH_OK},
        warm=False,
        is_done=True,
    ),
    Row("has no Python", injectors.no_python, UNREACHABLE, "Python 3.8 or later", warm=False),
    Row("has a Python that reports version 3.7", injectors.old_python, UNREACHABLE, "Python 3.8 or later", warm=False),
    Row(
        "runs the client where the monotonic clock is ten days ahead",
        injectors.other_clock,
        BOTH_OK,
        warm=False,
        is_done=True,
    ),
    Row(
        "does not let the user become another", injectors.forbidden_become, UNREACHABLE, "sudo: .*password", warm=False
    ),
    Row("has lost the home directory of the user", injectors.no_home, BOTH_OK, warm=False, is_done=True, slow=True),
    Row("has a console whose path is 107 bytes long", injectors.longest_console, BOTH_OK, slow=True),
    Row(
        "has a uml_dir that makes the path 108 bytes long",
        injectors.too_long_console,
        {"read": "failed", "start": "failed"},
        {"read": "no instance 'guest': looked in", "start": "at most 107"},
    ),
]

PARTS = {
    "The instance": _of("the instance", INSTANCE),
    "The local client on the VM host": _of("the local client", CLIENT),
    "The way to the VM host": WAY,
    "The controller": _of("the controller", CONTROLLER),
    "The VM host": _of("the VM host", VM_HOST),
}
ROWS = [row for rows in PARTS.values() for row in rows]
