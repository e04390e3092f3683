# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Changes of a paused instance: refused, or done around the pause."""

from __future__ import annotations

import contextlib
from typing import Iterator

from .._mconsole.errors import DangerError, Error, RefusedError
from .task import Task


def refusal(task: Task) -> DangerError:
    """Return the error of a change that would freeze a paused instance for good."""
    return DangerError(
        f"{task.umid} is paused, and a change of its devices can freeze it for good; set resume=true"
        " to resume it for the change, or resume it first",
        umid=task.umid,
        danger="guest-while-paused",
    )


@contextlib.contextmanager
def resumed(task: Task) -> Iterator[None]:
    """Resume a paused instance, and pause it again also after an error; in check mode do neither."""
    if task.check:
        yield
        return
    task.console.command("go")
    try:
        yield
    except Error as err:
        err.facts.setdefault("commands", ["go", "stop"])
        raise
    finally:
        with contextlib.suppress(RefusedError):  # "Already stopped": another client was faster
            task.console.command("stop")
