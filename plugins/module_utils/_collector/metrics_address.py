# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where metrics are served: an address of this host with a port, or the path of a Unix socket."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple, Tuple, Union

from .._mconsole import names
from .._mconsole.errors import InputError

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")


class MetricsAddress(NamedTuple):
    """A family of sockets and what one of them is bound to."""

    family: socket.AddressFamily
    target: Union[str, Tuple[str, int]]

    @property
    def path(self) -> str:
        """Return the path of a Unix socket, or nothing."""
        return self.target if isinstance(self.target, str) else ""


def parse(text: str) -> MetricsAddress:
    """Return an address from ``127.0.0.1:9749``, ``[::1]:9749`` or ``/run/uml-metrics.sock``.

    :raises InputError: when it is another text
    """
    if text.startswith(("/", "~")):
        path = names.host_path(text, "metrics_listen")
        if len(path.encode("utf-8", "surrogateescape")) > names.MAX_SOCKET_PATH:
            raise InputError(f"metrics_listen {path!r} has over {names.MAX_SOCKET_PATH} bytes", path=path)
        return MetricsAddress(socket.AF_UNIX, path)
    match = _ADDRESS.fullmatch(text)
    host, port = (match["six"] or match["four"], int(match["port"])) if match is not None else ("", 0)
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_UNSPEC
    if family == socket.AF_UNSPEC or not 0 < port < 1 << 16:
        raise InputError(
            f"metrics_listen is {text!r}; expected an address with a port such as 127.0.0.1:9749, or the path of a"
            " Unix socket",
            metrics_listen=text,
        )
    return MetricsAddress(family, (host, port))
