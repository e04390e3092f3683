# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a function as an ordinary user who has no account: a child of the test, with what it has imported."""

from __future__ import annotations

import ctypes
import os
import pickle
import traceback
import warnings
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
NOBODY_IN_PARTICULAR = 61234
SOMEBODY_ELSE = 61235
_PR_SET_DUMPABLE = 4


def as_user(uid: int, action: Callable[[], T]) -> T:
    """Return what the function returns to that user; what it raises is raised here."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child of a threaded process; it leaves by _exit
        child = os.fork()
    if child == 0:
        _act(uid, action, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    good, value, trace = pickle.loads(data)
    if not good:
        value.add_note(f"as user {uid}:\n{trace}")
        raise value
    result: T = value
    return result


def _act(uid: int, action: Callable[[], object], writing: int) -> None:
    """Run as the child: become the user, report the outcome, and do not return to pytest."""
    try:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1)  # as after an exec: else our own /proc/self is not ours
            outcome = pickle.dumps((True, action(), ""))
        except BaseException as err:
            outcome = pickle.dumps((False, _plain(err), traceback.format_exc()))
        with os.fdopen(writing, "wb") as stream:
            stream.write(outcome)
    finally:
        os._exit(0)


def _plain(err: BaseException) -> BaseException:
    """Return the error, or its text when it cannot travel."""
    try:
        pickle.loads(pickle.dumps(err))
    except Exception:
        return RuntimeError(repr(err))
    return err
