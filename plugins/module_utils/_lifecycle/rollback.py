# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The way back of a restart: how the instance ran before, checked while it still runs.

A package that brings a new kernel replaces the file of the old one. Only the process has that file then, so it is
copied out of the process before that ends, and removed when the new kernel has come up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import NamedTuple

from .._mconsole import procfs
from .._mconsole.errors import Error, InputError
from .._mconsole.instances import Instance, Place
from . import inherited, launch_spec, preflight
from .launch import LEFT, Launch

_DELETED = " (deleted)"


class Previous(NamedTuple):
    """How an instance ran: what starts it so again, whether it was paused, and whether systemd kept it."""

    launch: Launch
    kernel: str  # where its kernel can be read now
    was_paused: bool
    is_by_unit: bool


def prepare(place: Place, found: Instance, state: str, is_by_unit: bool, force: bool) -> Previous:
    """Return the way back of an instance that runs.

    :raises InputError: when it could not be started again as it is
    """
    launch = launch_spec.merge({}, place, {}, launch_spec.from_running(found))
    kernel = launch.argv[0]
    if (procfs.link(f"/proc/{found.pid}/exe") or "").endswith(_DELETED):
        kernel = f"/proc/{found.pid}/exe"
        launch = launch._replace(argv=[copy_of(place), *launch.argv[1:]])
    try:
        inherited.check(found, launch.argv, force)
        now = launch._replace(argv=[kernel, *launch.argv[1:]])
        preflight.check(now, True, (found.pid or 0, *found.members), "ignore")
    except Error as err:
        raise InputError(
            f"{place.umid} could not be started again as it runs now: {err}; set rollback=false to restart it without a"
            " way back",
            umid=place.umid,
        ) from err
    return Previous(launch, kernel, state == "paused", is_by_unit)


def copy_of(place: Place) -> str:
    """Return where the copy of a kernel is kept whose own file was replaced."""
    return f"{place.directory}.kernel"


def keep_kernel(previous: Previous) -> None:
    """Copy the kernel out of its process where its file was replaced."""
    program = previous.launch.argv[0]
    if previous.kernel == program:
        return
    descriptor, draft = tempfile.mkstemp(prefix=".kernel", dir=os.path.dirname(program))
    try:
        with open(descriptor, "wb") as target, open(previous.kernel, "rb") as source:
            shutil.copyfileobj(source, target, 1 << 20)
            os.fchmod(target.fileno(), 0o755)
        os.replace(draft, program)
    except BaseException:
        os.unlink(draft)
        raise


def forget_kernel(place: Place) -> None:
    """Remove the copy of a kernel that an instance no longer runs with."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(copy_of(place))


def reason(err: Error) -> str:
    """Return why a start failed, in which the instance was not left as it was."""
    return str(err).replace(LEFT, "it was ended")
