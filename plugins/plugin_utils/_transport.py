# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words in front of words: the two transports of a channel."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.text.converters import to_text
from ansible.utils.path import makedirs_safe, unfrackpath

_TRIES = 2  # to learn why ssh ended, before core's own message counts


class Become:
    """The become plugin of a task, held back: the channel applies it once, on the VM host.

    It does all that the plugin does, but leaves command text alone, because core would wrap console commands.
    """

    def __init__(self, plugin: Any) -> None:
        self.plugin = plugin

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plugin, name)

    def build_become_command(self, cmd: str, shell_plugin: Any) -> str:
        """Return the command as it is."""
        return cmd

    @property
    def identity(self) -> str:
        """Return what distinguishes one become from another."""
        options = ("become_user", "become_exe", "become_flags")
        return " ".join([self.plugin.name, *(str(self._option(name)) for name in options)])

    def asks(self) -> bool:
        """Return whether become asks for a password."""
        return bool(self._option("become_pass")) or self.plugin.name in ("su", "enable", "runas")

    def wrap(self, command: str, shell_plugin: Any) -> str:
        """Return the command that runs a command as the other user."""
        return str(self.plugin.build_become_command(command, shell_plugin))

    def _option(self, name: str) -> Any:
        try:
            return self.plugin.get_option(name)
        except KeyError:
            return None


class _Transport:
    """What both transports share: the way to become."""

    def __init__(self, connection: Any, where: str) -> None:
        self._connection = connection
        self._become: Become | None = connection.vm_host_become
        self.where = where

    def background_command(self, words: list[str]) -> str | None:
        """Return the shell text that runs these words as the user to become, or None if that asks for a password."""
        text = shlex.join(words)
        if self._become is None:
            return text
        return None if self._become.asks() else self._become.wrap(text, self._connection._shell)

    def _text(self, words: list[str], become: bool) -> str:
        if become and self._become is not None:
            return self._become.wrap(shlex.join(words), self._connection._shell)
        return shlex.join(words)


class SshTransport(_Transport):
    """ssh, with the options, the master and the error handling of Ansible's own connection."""

    def address(self, key: str) -> str:
        """Return a path beside the ControlMaster's own socket."""
        connection = self._connection
        directory = unfrackpath(connection.get_option("control_path_dir"))
        makedirs_safe(directory, 0o700)
        words = connection.ssh_words()
        told = "\0".join([key, str(connection.host), *words])  # the words name the host only where ControlPath does
        return os.path.join(directory, f"uml-{hashlib.sha256(told.encode()).hexdigest()[:12]}")

    def execute(self, words: list[str], data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        """Run a command on the VM host with data as its stdin.

        Core does not wait for the end of an ssh that read nothing, so it cannot say why.
        """
        command = shell_text(self._text(words, become))
        for _attempt in range(_TRIES):
            try:
                return self._connection.execute_on_vm_host(command, data, become)
            except AnsibleConnectionFailure as err:
                if not isinstance(err.__cause__ or err.__context__, BrokenPipeError):
                    raise
        return self._connection.execute_on_vm_host(command, data, become)

    def forward(self, address: str, remote: str) -> None:
        """Let the ControlMaster forward address to the socket remote; after a failure no client greets there."""
        self._master("forward", "-L", f"{address}:{remote}")

    def cancel_forward(self, address: str) -> None:
        """Let the ControlMaster forget the forwarding, if there is one."""
        if os.path.exists(address):
            self._master("cancel", "-L", f"{address}:{address}")

    def reset_dead_master(self, timeout: float) -> None:
        """End a ControlMaster that passes nothing on any more, because every command over it would hang.

        A user may have started it, without the options by which ours ends by itself.
        """
        try:
            command = [*self._connection.ssh_words(), self._connection.host, "true"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            if not self._master("exit", timeout=timeout):
                self._forget_master()

    def _forget_master(self) -> None:
        """Remove the socket of a ControlMaster that does not even end; ssh itself prints the path."""
        command = [*self._connection.ssh_words("-G"), self._connection.host]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        for line in to_text(done.stdout).splitlines():
            word, _space, path = line.partition(" ")
            if word == "controlpath":
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _master(self, what: str, *words: str, timeout: float = 20) -> bool:
        """Send a command to the ControlMaster; False when it did not answer in time."""
        command = [*self._connection.ssh_words("-O", what, *words), self._connection.host]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return False
        self._connection.note(f"ssh -O {what}: status {done.returncode} {to_text(done.stderr).strip()}")
        return True


class LocalTransport(_Transport):
    """No ssh: the VM host is the controller."""

    def address(self, key: str) -> str:
        """Return a link in the user's own directory to the client's socket."""
        directory = unfrackpath(self._connection.get_option("control_path_dir"))
        makedirs_safe(directory, 0o700)
        return os.path.join(directory, f"uml-{hashlib.sha256(key.encode()).hexdigest()[:12]}")

    def execute(self, words: list[str], data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        """Run a command here with data as its stdin."""
        if become and self._become is not None and self._become.asks():
            raise AnsibleConnectionFailure(
                "ansible_uml_transport=local cannot answer a become password prompt; allow the user without one"
            )
        done = subprocess.run(
            ["/bin/sh", "-c", self._text(words, become)], input=data, capture_output=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def forward(self, address: str, remote: str) -> None:
        """Make address a link to the socket."""
        os.symlink(remote, address)

    def cancel_forward(self, address: str) -> None:
        """Forget the link."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)

    def reset_dead_master(self, timeout: float) -> None:
        """Do nothing: no network is in between."""


def channel_options(connection: Any) -> tuple[str, ...]:
    """Return the options that every ssh of a channel has behind those of the user, which count where both say the same.

    With them ssh itself notices that the network is gone, which takes TCP alone a quarter of an hour. A terminal would
    garble what goes to the client and what comes from it, so -T is the last word about that.
    """
    interval = max(round(float(connection.get_option("timeout"))), 1)
    return ("-o", f"ServerAliveInterval={interval}", "-o", "ServerAliveCountMax=2", "-T")


def shell_text(text: str) -> str:
    """Return shell text so that any login shell hands it to sh whole."""
    return f"/bin/sh -c {shlex.quote(text)}"
