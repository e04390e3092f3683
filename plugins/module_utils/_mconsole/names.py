# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Names of instances and of their files, checked once."""

from __future__ import annotations

import os

from .errors import InputError
from .wire import encode_text

MAX_UMID = 63  # UMID_LEN - 1; a longer one silently becomes six random characters
MAX_SOCKET_PATH = 107  # sun_path less its NUL; beyond it an instance boots without a console


def check_umid(umid: str) -> str:
    """Return umid when a kernel would take it as it is.

    ``.`` and ``..`` are deadly (the kernel's clean-up deletes the files of uml_dir or of its parent);
    a slash or more than 63 bytes silently become a random name (linux arch/um/os-Linux/umid.c).

    :raises InputError: when it would not
    """
    if umid in ("", ".", ".."):
        raise InputError(f"{umid!r} is not a umid; expected the name of an instance", umid=umid)
    if any(char in umid for char in "/\0\n"):
        raise InputError(f"the umid {umid!r} contains a slash, a NUL or a newline; expected a plain name", umid=umid)
    size = len(encode_text(umid))
    if size > MAX_UMID:
        raise InputError(f"the umid {umid!r} is {size} bytes long; the kernel takes at most {MAX_UMID}", umid=umid)
    return umid


def check_named(umid: str) -> None:
    """Refuse what a kernel would take for a umid and a user hardly means: a pattern, or a control character.

    :raises InputError: when it is one
    """
    if any(char in umid for char in "*?["):
        raise InputError(f"umid {umid!r} is a pattern; expected the name of one instance; for a pattern, use umids")
    if any(ord(char) < 32 or ord(char) == 127 for char in umid):
        raise InputError(f"the umid {umid!r} contains a control character; expected a plain name", umid=umid)


def host_path(text: str, what: str) -> str:
    """Return a path of the VM host, with ``~`` of this user; ``what`` names the option.

    :raises InputError: when it is relative: its base would depend on the way of the task to the VM host
    """
    if "\0" in text:
        raise InputError(f"{what} {text!r} contains a NUL; expected a path")
    found = os.path.expanduser(text)
    if not os.path.isabs(found):
        raise InputError(f"{what} {text!r} is a relative path; expected an absolute one, or one that starts with ~")
    return os.path.normpath(found)


def console_path(uml_dir: str, umid: str) -> str:
    """Return the path of an instance's console socket.

    :raises InputError: when the path does not fit a socket address
    """
    path = os.path.join(uml_dir, check_umid(umid), "mconsole")
    size = len(encode_text(path))
    if "\0" in path:
        raise InputError(f"the uml_dir {uml_dir!r} holds a NUL; expected a path", umid=umid)
    if size > MAX_SOCKET_PATH:
        raise InputError(
            f"the console path {path!r} is {size} bytes long; a socket path has at most {MAX_SOCKET_PATH}, so choose"
            " a shorter uml_dir or umid",
            umid=umid,
        )
    return path
