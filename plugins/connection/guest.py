# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: guest
version_added: 1.0.0
author: The uml.mconsole contributors (@uml-mconsole)
short_description: Run tasks inside a User-Mode Linux instance, without a network
description:
  - Makes the inside of a User-Mode Linux instance an inventory host. Tasks run in its guest, through one of its lines
    (a pseudo-terminal of the VM host) that has a shell or a login prompt at its other end. The guest needs neither a
    network nor an ssh server.
  - C(ansible_host), C(ansible_port), C(ansible_user), keys and jump hosts describe how to reach the VM host, with every
    option of P(ansible.builtin.ssh#connection). O(uml_become) and the related options describe which user to become
    there.
  - C(become) of a task changes the user inside the guest, as on any host.
  - Every module runs in the guest, except those of this collection, which run on the VM host for the instance, as with
    P(uml.mconsole.mconsole#connection). So one play can attach a disk from outside, and make a file system on it and
    mount it inside.
  - M(ansible.builtin.raw) and M(ansible.builtin.script) need only a POSIX shell and the usual small programs in the
    guest, as busybox has them. Other modules need Python there. On a guest without Python, M(ansible.builtin.ping) only
    checks that the shell answers, so M(ansible.builtin.wait_for_connection) also works there.
notes:
  - One task at a time uses a line. A task waits O(uml_guest_timeout) seconds for the line. Then it fails, and the
    message names the process that has it.
  - If the guest's user is root and its kernel has hostfs, the input and output of a task go through a folder of the VM
    host. The guest mounts this folder for the session, and detaches the mount from its path, so that no other program
    can reach it by a path. Otherwise input and output go through the line itself, in small pieces, each with a checksum
    and an acknowledgement.
  - A session stays until the local client ends, which is two minutes after the last task. Then the guest's end of the
    line is hung up. The task C(meta=reset_connection) ends a session at once.
  - If the controller disappears during a task, the local client ends the task's command in the guest within some
    seconds.
extends_documentation_fragment:
  - ansible.builtin.connection_pipelining
  - uml.mconsole.ssh_options
  - uml.mconsole.vm_host
options:
  uml_line:
    description:
      - Line of the instance that has a shell or a login prompt at its other end, such as V(ssl1) or V(con1).
      - By default V(ssl1), or the first other one that something in the guest has open.
    type: str
    vars:
      - name: ansible_uml_line
  uml_guest_user:
    description: User that logs in if the line has a login prompt. Tasks without become have the rights of this user.
    type: str
    default: root
    vars:
      - name: ansible_uml_guest_user
  uml_guest_password:
    description: Password of that user, if the login prompt asks for one.
    type: str
    vars:
      - name: ansible_uml_guest_password
  uml_guest_shell:
    description: POSIX shell of the guest that reads the commands.
    type: str
    default: /bin/sh
    vars:
      - name: ansible_uml_guest_shell
  uml_guest_timeout:
    description: Seconds that a task waits for the line, and for a shell at its other end.
    type: float
    default: 30.0
    vars:
      - name: ansible_uml_guest_timeout
  uml_transfer:
    description:
      - How input, output and files get into the guest and out of it.
      - V(hostfs) uses a folder of the VM host that the guest mounts for the session. V(disk) uses a disk that the guest
        has for each transfer of more than 256 KiB, and otherwise the line. V(line) uses the line itself. V(auto) uses
        the first of them that works.
    type: str
    choices: [auto, hostfs, disk, line]
    default: auto
    vars:
      - name: ansible_uml_transfer
  uml_become:
    description: Whether the local client on the VM host becomes another user, for example the owner of the instance.
    type: bool
    default: false
    vars:
      - name: ansible_uml_become
  uml_become_method:
    description: Become plugin that is used on the VM host.
    type: str
    default: sudo
    vars:
      - name: ansible_uml_become_method
  uml_become_user:
    description: User to become on the VM host.
    type: str
    default: root
    vars:
      - name: ansible_uml_become_user
  uml_become_exe:
    description: Program that becomes another user on the VM host. By default the become plugin's own.
    type: str
    vars:
      - name: ansible_uml_become_exe
  uml_become_flags:
    description: Options of that program. By default the become plugin's own.
    type: str
    vars:
      - name: ansible_uml_become_flags
  uml_become_password:
    description: Password with which to become another user on the VM host.
    type: str
    vars:
      - name: ansible_uml_become_password
  uml_python:
    description: Python on the VM host that runs the local client.
    type: str
    default: python3
    vars:
      - name: ansible_uml_python
"""

EXAMPLES = r"""
# The inside of two instances of one VM host; hosts of uml.mconsole.mconsole may stand beside them
all:
  hosts:
    web1.inside:
      ansible_uml_umid: web1
    db1.inside:
      ansible_uml_umid: db1
      ansible_uml_line: con1
      ansible_uml_guest_user: admin
      ansible_uml_guest_password: "{{ vault_db1 }}"
  vars:
    ansible_connection: uml.mconsole.guest
    ansible_host: vm1.example.org
"""

import base64
import os
from collections.abc import Iterator
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection.ssh import Connection as SshConnection
from ansible.plugins.loader import become_loader

from ansible_collections.uml.mconsole.plugins.connection.mconsole import Connection as ConsoleConnection
from ansible_collections.uml.mconsole.plugins.plugin_utils import _console_guard, _option_definitions, _prompts
from ansible_collections.uml.mconsole.plugins.plugin_utils._transport import Become

_PART = 4 << 20  # bytes of a file that one order carries
_NO_PROGRAM = 127
_PONG = b'{"ping": "pong", "changed": false}'
_SAY = {"not_there", "not_allowed", "unanswered"}  # kinds of errors that leave no way into the guest
_option_definitions.register(__name__, DOCUMENTATION)


class Connection(ConsoleConnection):
    """The inside of one instance, through the local client on its VM host and a line of the instance."""

    transport = "uml.mconsole.guest"
    allow_executable = True
    _builds = False

    def update_vars(self, variables: dict[str, Any]) -> None:
        """Add the variables of the connection; which Python is in the guest is for core to find."""
        SshConnection.update_vars(self, variables)

    def set_become_plugin(self, plugin: Any) -> None:
        """Take a task's become as core means it: it is about the guest."""
        SshConnection.set_become_plugin(self, plugin)

    @property
    def vm_host_become(self) -> Become | None:
        """Return the user that the local client becomes on the VM host, from separate variables."""
        if not self.get_option("uml_become"):
            return None
        method = self.get_option("uml_become_method")
        plugin = become_loader.get(method)
        if plugin is None:
            raise AnsibleError(f"ansible_uml_become_method={method} is not a become plugin; expected one such as sudo")
        names = {"become_pass": "uml_become_password"}
        given = {name: self.get_option(names.get(name, f"uml_{name}")) for name in _prompts.OPTIONS}
        plugin.set_options(direct={name: value for name, value in given.items() if value is not None})
        return Become(plugin)

    def get_option(self, option: str, hostvars: dict[str, Any] | None = None) -> Any:
        """Return an option; the user of a task is that of the guest, and ssh alone is given that of the VM host."""
        user = option == "remote_user" and not self._builds
        return super().get_option("uml_guest_user" if user else option, hostvars)

    def _build_command(self, binary: str, subsystem: str, *other_args: Any) -> list[bytes]:
        """Return ssh's words, with the user of the VM host."""
        self._builds = True
        try:
            return super()._build_command(binary, subsystem, *other_args)
        finally:
            self._builds = False

    @property
    def always_pipeline_modules(self) -> bool:  # type: ignore[override]
        """Return whether core sends each module as a whole; it forgets about ``async`` where it does."""
        return not self._task_keywords.get("async_val")

    def is_pipelining_enabled(self, wrap_async: bool = False) -> bool:
        """Take a module as a whole wherever core allows it: each command costs a round trip."""
        asks = self.become is not None and not self.become.pipelining
        return not (wrap_async or asks or C.DEFAULT_KEEP_REMOTE_FILES)

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command in the guest, or a module of this collection on the VM host."""
        payload = to_bytes(in_data) if in_data else b""
        name = _console_guard.name_of_payload(payload) or ""
        if name.startswith(_console_guard.OURS):
            return self._payload(payload)
        become = _prompts.of(self.become) if sudoable else None
        answer = self._order("run", payload if in_data is not None else None, command=cmd, become=become)
        found = answer["rc"], self._content(answer["out"]), self._content(answer["err"])
        if become is not None and found[0] != 0:
            self._check_become(found[1] + found[2])
        return (0, _PONG, b"") if name == _console_guard.PING and found[0] == _NO_PROGRAM else found

    def _check_become(self, said: bytes) -> None:
        """Say of a command that failed whether it was for the password."""
        if self.become.check_incorrect_password(said):
            raise AnsibleAuthenticationFailure(f"Incorrect {self.become.name} password in the guest {self.umid}")
        if self.become.check_missing_password(said):
            raise AnsibleAuthenticationFailure(f"Missing {self.become.name} password in the guest {self.umid}")

    def _order(self, action: str, data: bytes | None = None, **words: Any) -> dict[str, Any]:
        """Have the local client do something inside the guest, with what goes along sent before where it is large."""
        order = {"kind": "guest", "action": action, "where": self._where(), **words}
        order["patience"] = words.get("patience") or float(self.get_option("uml_guest_timeout"))
        if isinstance(data, bytes) and len(data) > _PART:
            order["token"] = self._send_parts(data)
        elif data is not None:
            order["data"] = base64.b64encode(data).decode("ascii")
        return self._judged(self._send(order))

    def _where(self) -> dict[str, Any]:
        names = {"umid": "uml_umid", "uml_dir": "uml_dir", "line": "uml_line", "timeout": "uml_timeout"}
        names.update(user="uml_guest_user", password="uml_guest_password", shell="uml_guest_shell", way="uml_transfer")
        return {name: self.get_option(option) for name, option in names.items()}

    def _judged(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return an answer that is not an error.

        :raises AnsibleConnectionFailure: when there is no way into the guest
        :raises AnsibleError: when it is another error
        """
        if not answer.get("failed"):
            return answer
        kind = answer.get("error", {}).get("kind")
        raised = AnsibleConnectionFailure if kind in _SAY else AnsibleError
        raise raised(f"{answer.get('msg')} (VM host {self._vm_host})")

    def _send_parts(self, data: bytes) -> str:
        """Send what is large part by part, and return what the local client calls it."""
        token = None
        for offset in range(0, len(data), _PART):
            part = base64.b64encode(data[offset : offset + _PART]).decode("ascii")
            order = {"kind": "guest", "action": "part", "token": token, "offset": offset, "data": part}
            token = self._judged(self._send(order))["token"]
        return str(token)

    def _parts(self, given: dict[str, Any]) -> Iterator[bytes]:
        """Yield what the local client gives, be it in its answer or part by part."""
        if "data" in given:
            yield base64.b64decode(given["data"])
            return
        size, offset = int(given["size"]), 0
        while offset < size:
            last = offset + _PART >= size
            order = {"kind": "guest", "action": "rest", "token": given["token"], "offset": offset, "last": last}
            part = base64.b64decode(self._judged(self._send(order))["data"])
            if not part:
                raise AnsibleError(f"the local client on {self._vm_host} lost a part of what {self.umid} gave")
            offset += len(part)
            yield part

    def _content(self, given: dict[str, Any]) -> bytes:
        return b"".join(self._parts(given))

    def put_file(self, in_path: str, out_path: str) -> None:
        """Write a file of the guest, whose checksum is compared with that of ours."""
        if not os.path.exists(to_bytes(in_path, errors="surrogate_or_strict")):
            raise AnsibleFileNotFound(f"file or module does not exist: {to_text(in_path)}")
        self.note(f"PUT {in_path} TO {out_path} in {self.umid}")
        with open(to_bytes(in_path, errors="surrogate_or_strict"), "rb") as stream:
            self._order("put", stream.read(), path=out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Read a file of the guest, whose checksum is compared with the guest's."""
        self.note(f"FETCH {in_path} FROM {self.umid} TO {out_path}")
        given = self._order("fetch", path=in_path)["file"]
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as stream:
            for part in self._parts(given):
                stream.write(part)

    def transport_test(self, connect_timeout: float) -> None:
        """Let wait_for_connection see whether a shell of the guest answers.

        :raises AnsibleError: when it does not
        """
        self._order("run", command="true", patience=float(connect_timeout))

    def reset(self) -> None:
        """Hang up the line, so that the next task logs in; the channel to the VM host stays when it works."""
        if self.channel.alive():
            self._order("reset")
        super().reset()
