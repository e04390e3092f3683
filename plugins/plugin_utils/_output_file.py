# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that playbooks write on the controller for their user."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from ansible.errors import AnsibleActionFail


def place_of(dest: str) -> Path:
    """Return where a file goes: a relative path starts in the user's working directory, not beside the playbook.

    :raises AnsibleActionFail: when it cannot go there
    """
    found = Path(os.environ.get("PWD") or os.getcwd()) / os.path.expanduser(dest)
    if found.is_dir():
        raise AnsibleActionFail(f"{found} is a directory; expected the name of a file")
    if not found.parent.is_dir():
        raise AnsibleActionFail(f"{found.parent} is not a directory; expected one for {found.name}")
    return found


def read(dest: Path) -> str:
    """Return what a file holds, or an empty string when it does not exist.

    :raises AnsibleActionFail: when it cannot be read
    """
    try:
        return dest.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as err:
        raise AnsibleActionFail(f"{dest} cannot be read: {err.strerror}") from None


def replace(dest: Path, text: str) -> None:
    """Put a file in its place at once, so that no program reads half of it; a new one has the rights of any new file.

    :raises AnsibleActionFail: when it cannot be written
    """
    target = Path(os.path.realpath(dest))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as err:
        raise AnsibleActionFail(f"{dest} cannot be written: {err.strerror}") from None
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), rights(target))
        os.replace(name, target)
    except OSError as err:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise AnsibleActionFail(f"{dest} cannot be written: {err.strerror}") from None


def rights(target: Path) -> int:
    """Return the rights that the file has, or those that any new file gets."""
    with contextlib.suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def append(dest: Path, line: str) -> None:
    """Add a line to a file in one write, so that lines of several processes do not mix.

    :raises AnsibleActionFail: when it cannot be written
    """
    try:
        with open(dest, "ab", buffering=0) as stream:
            stream.write(f"{line}\n".encode("utf-8", "backslashreplace"))
    except OSError as err:
        raise AnsibleActionFail(f"{dest} cannot be written: {err.strerror}") from None
