# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task whose inventory host is the VM host through the local client there, as tasks of its instances are.

Its connection, become user, Python and environment are those of the task. Where no client can stay or be reached, the
task runs as an ordinary module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.common.text.converters import to_text

from . import _console_guard
from ._channel import Channel, ChannelUnavailable, NoClient, result_of
from ._transport import Become, SshTransport, channel_options

_CORE_SSH = "ansible.plugins.connection.ssh"


class Surroundings(NamedTuple):
    """The environment that the module of a task would run with on the VM host."""

    python: str
    environment: Mapping[str, Any]


class PlainSsh:
    """ansible-core's own ssh connection, as a transport needs it."""

    def __init__(self, connection: Any, log: Callable[[str], None]) -> None:
        self._connection = connection
        self._shell = connection._shell
        self.vm_host_become = Become(connection.become) if connection.become is not None else None
        self.host = connection.host = connection.get_option("host") or connection._play_context.remote_addr
        self.note = log

    def get_option(self, name: str) -> Any:
        """Return an option of the connection."""
        return self._connection.get_option(name)

    def ssh_words(self, *words: str) -> list[str]:
        """Return the ssh command line with every option that is set, and words behind it."""
        build = self._connection._build_command
        more = (*channel_options(self._connection), *words)
        return [to_text(word) for word in build(self._connection.get_option("ssh_executable"), "ssh", *more)]

    def execute_on_vm_host(self, text: str, data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        """Run shell text on the VM host as the login user."""
        found: tuple[int, bytes, bytes] = self._connection.exec_command(text, in_data=data, sudoable=become)
        return found


def run(
    connection: Any, surroundings: Surroundings, order: dict[str, Any], log: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the result of an order, or None when the task has to run as a module; then nothing was sent.

    :raises AnsibleConnectionFailure: when the VM host cannot be reached
    :raises AnsibleError: when the order was sent and no answer came: it may have happened
    """
    if type(connection).__module__ != _CORE_SSH:
        return None
    try:
        channel = _channel(connection, surroundings, log)
        return result_of(channel.ask_client(order), str(connection.host))
    except (ChannelUnavailable, NoClient, AttributeError) as err:  # the latter: a core whose ssh is built otherwise
        log(f"no local client for this task, which runs as a module: {err}")
        return None


def _channel(connection: Any, surroundings: Surroundings, log: Callable[[str], None]) -> Channel:
    plain = PlainSsh(connection, log)
    variables = [f"{name}={value}" for name, value in sorted(surroundings.environment.items())]
    who = plain.vm_host_become.identity if plain.vm_host_become is not None else ""
    identity = "\0".join([f"{surroundings.python} {who}", *variables])
    patience = float(connection.get_option("timeout")) + 2
    transport = SshTransport(plain, str(plain.host))
    words = ["env", *variables] if variables else []
    return Channel(transport, _console_guard.digest(identity), surroundings.python, patience, log, words)
