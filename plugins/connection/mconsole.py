# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mconsole
version_added: 1.0.0
author: The uml.mconsole contributors (@uml-mconsole)
short_description: Talk to the management console of a User-Mode Linux instance
description:
  - Makes a User-Mode Linux instance an inventory host. The instance is reached through its management console
    (mconsole) by a small client that runs on the VM host, beside the instance.
  - C(ansible_host), C(ansible_port), C(ansible_user), keys, jump hosts and become describe how to reach the VM host,
    with every option of P(ansible.builtin.ssh#connection).
  - The modules of this collection work over this connection, and so do M(ansible.builtin.wait_for_connection),
    M(ansible.builtin.ping) and M(ansible.builtin.raw). The text of C(raw) is a console command. Terminal escapes and
    control characters are removed from its output; M(uml.mconsole.request) returns the unchanged reply.
  - M(ansible.builtin.setup) and M(ansible.builtin.gather_facts) return the facts of M(uml.mconsole.instance_facts).
    They follow the C(gather_subset) and C(filter) of a task or play as far as a console can read such facts. V(all)
    stands for the facts that M(uml.mconsole.instance_facts) gathers by default. To gather facts with the options of
    that module, set C(ansible_facts_modules=uml.mconsole.instance_facts), and set the options in C(module_defaults).
  - The connection refuses all other modules, for example M(ansible.builtin.command), M(ansible.builtin.copy) or
    M(ansible.builtin.reboot), so that they never change the VM host by mistake.
  - A task with C(delegate_to) is about the instance that it is delegated to.
notes:
  - The VM host needs Linux, an ssh server and Python 3.8 or later. The controller needs OpenSSH's client.
  - The client ends two minutes after the last task.
  - A task with C(async) is refused. C(timeout) of a task and O(uml_timeout) limit its time. C(forks) is the number of
    instances that work at the same time.
  - ssh gives up if the VM host has been silent for three times C(ansible_timeout). The connection sets
    C(ServerAliveInterval) and C(ServerAliveCountMax) for this. C(ansible_ssh_args) and similar variables can change it.
extends_documentation_fragment:
  - ansible.builtin.connection_pipelining
  - uml.mconsole.ssh_options
  - uml.mconsole.vm_host
options:
  uml_python:
    description: The Python interpreter on the VM host that runs the client, 3.8 or later.
    type: str
    default: python3
    vars:
      - name: ansible_python_interpreter
"""

EXAMPLES = r"""
# A static inventory of two instances; that of uml.mconsole.instances finds them by itself
all:
  hosts:
    web1:
      ansible_host: vm1.example.org
    web2:
      ansible_host: vm2.example.org
      ansible_user: lab
      ansible_uml_umid: web # what it is called there
  vars:
    ansible_connection: uml.mconsole.mconsole
"""

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection.ssh import Connection as SshConnection
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.plugin_utils import (
    _console_guard,
    _identity,
    _option_definitions,
    _origin,
)
from ansible_collections.uml.mconsole.plugins.plugin_utils._channel import Channel, result_of
from ansible_collections.uml.mconsole.plugins.plugin_utils._transport import (
    Become,
    LocalTransport,
    SshTransport,
    channel_options,
)

# The process of each task imports all this, and core compiles the source of a collection each time. So what few tasks
# need is imported where it is used.
display = Display()
PYTHON_VARIABLE = "ansible_python_interpreter"
_option_definitions.register(__name__, DOCUMENTATION)


class Connection(SshConnection):
    """The console of one instance, through the local client on its VM host."""

    transport = "uml.mconsole.mconsole"
    allow_executable = False  # what arrives here is a console command, not text for a shell
    always_pipeline_modules = True  # a module payload is judged as a whole

    become: Any  # the property `become` of core, which has no types
    _channel: Channel | None = None
    _task_keywords: Mapping[str, Any] = {}
    _host_variables: Mapping[str, Any] = {}

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Set the options, and keep what says which instance and which action the task is about."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._task_keywords, self._host_variables = task_keys or {}, var_options or {}
        self._channel = None

    def update_vars(self, variables: dict[str, Any]) -> None:
        """Add the variables of the connection, and a Python, so that core looks for none on the VM host."""
        super().update_vars(variables)
        host = self._task_keywords.get("delegate_to")
        own = variables.get("ansible_delegated_vars", {}).get(host) if host else variables
        if own is not None and str(own.get(PYTHON_VARIABLE, "auto")).startswith("auto"):
            own[PYTHON_VARIABLE] = self._python  # which the local client runs with

    def set_become_plugin(self, plugin: Any) -> None:
        """Keep core from wrapping console commands; the channel becomes the instance's owner on the VM host."""
        super().set_become_plugin(Become(plugin) if plugin is not None else None)

    @property
    def vm_host_become(self) -> Become | None:
        """Return who the local client becomes on the VM host: the user that the task becomes."""
        become: Become | None = self.become
        return become

    @property
    def umid(self) -> str:
        """Return the instance that this connection is to."""
        return _identity.umid_of(self._task_keywords, self._host_variables)

    @property
    def _action(self) -> str | None:
        action = self._task_keywords.get("action")
        return str(action) if action else None

    def call(self, operation: str, params: dict[str, Any], check: bool = False) -> dict[str, Any]:
        """Run an operation of this collection on the instance and return its result.

        :raises AnsibleConnectionFailure: when the VM host or its client cannot be reached
        :raises AnsibleError: when params name another instance, or no answer came: it may have happened
        """
        no_log = bool(self._task_keywords.get("no_log"))
        return self._send(_origin.order(operation, self._addressed(params), check, no_log))

    def ask_vm_host(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run an operation that is about the VM host as a whole; the host of this connection is the VM host then."""
        return self._send(_origin.order(operation, params, True, False))

    def _addressed(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return params with this connection's instance as their default."""
        if params.get("umids") is not None or params.get("umid") not in (None, self.umid):
            named = params.get("umid") or params.get("umids")
            raise AnsibleError(
                f"The host {self.umid!r} is itself an instance, so its task cannot be about {named!r};"
                " leave umid and umids out, or run the task on the VM host."
            )
        defaults = {"umid": self.umid, "uml_dir": self.get_option("uml_dir")}
        return {**params, **{name: value for name, value in defaults.items() if params.get(name) is None}}

    def _send(self, order: dict[str, Any]) -> dict[str, Any]:
        return result_of(self.channel.call(order), self._vm_host)

    @property
    def channel(self) -> Channel:
        """Return the channel to the VM host; options are read here, not before they are set."""
        if self._channel is None:
            local = self.get_option("uml_transport") == "local"
            self.host = self.get_option("host") or self._play_context.remote_addr
            transport = LocalTransport(self, "here") if local else SshTransport(self, str(self.host))
            become = self.vm_host_become
            identity = f"{self._python} {become.identity if become is not None else ''}"
            self._channel = Channel(transport, _console_guard.digest(identity), self._python, self._patience, self.note)
        return self._channel

    @property
    def _python(self) -> str:
        named = str(self.get_option("uml_python"))
        return "python3" if named.startswith("auto") else named

    @property
    def _patience(self) -> float:
        return float(self.get_option("timeout")) + 2

    @property
    def _vm_host(self) -> str:
        return str(self.host)

    def note(self, text: str) -> None:
        """Show text to those who asked for details."""
        display.vvv(text, host=self._vm_host)

    # What the transports need of core's ssh.

    def _build_command(self, binary: str, subsystem: str, *other_args: Any) -> list[bytes]:
        """Give every ssh of this connection the options of the channel."""
        words: list[bytes] = super()._build_command(binary, subsystem, *channel_options(self), *other_args)
        return words

    def ssh_words(self, *words: str) -> list[str]:
        """Return the ssh command line with every option that is set, and words behind it."""
        return [to_text(word) for word in self._build_command(self.get_option("ssh_executable"), "ssh", *words)]

    def execute_on_vm_host(self, text: str, data: bytes, become: bool) -> tuple[int, bytes, bytes]:
        """Run shell text on the VM host as core's ssh does, its prompts for become included."""
        asked = self.vm_host_become if become else None
        held, self.become = self.become, asked.plugin if asked is not None else None
        try:
            return super().exec_command(text, in_data=data, sudoable=become)
        finally:
            self.become = held

    # What core asks of a connection.

    def is_pipelining_enabled(self, wrap_async: bool = False) -> bool:
        """Take every module as a whole; core's ssh would write files where a terminal is asked for."""
        return not wrap_async

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Send a console command, or run a module of this collection; refuse everything else."""
        if self._task_keywords.get("async_val"):
            raise AnsibleError(_console_guard.refuse_async(self.umid, self._action))
        canned = _console_guard.answer_discovery(cmd, in_data)
        if canned is not None:
            return 0, canned, b""
        if in_data:
            return self._payload(to_bytes(in_data))
        return self._console_command(_console_guard.console_command(cmd, self.umid, self._action))

    def _console_command(self, command: str) -> tuple[int, bytes, bytes]:
        from ansible_collections.uml.mconsole.plugins.module_utils._guest.console_log import harmless

        result = self.call("request", {"commands": [command], "force": False, "timeout": self._timeout})
        said = to_bytes(harmless(result.get("stdout", "")))  # raw prints it as it is
        return (1, said, to_bytes(result["msg"])) if result.get("failed") else (0, said, b"")

    def _payload(self, payload: bytes) -> tuple[int, bytes, bytes]:
        """Run the module of a payload: ours as operations, setup as instance_facts, ping by asking the console."""
        name = _console_guard.payload_name(payload, self.umid, self._action)
        arguments = _console_guard.payload_arguments(payload)
        if name == _console_guard.PING:
            return _module_output(self._ping((arguments or {}).get("data", "pong")))
        if name == _console_guard.SETUP:
            return _module_output(self._reached(self._setup(arguments or {})))
        if arguments is None:
            return self._packed(payload)
        return _module_output(self._reached(self._operation(name.rpartition(".")[2], arguments)))

    def _reached(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a task that gathers facts.

        :raises AnsibleConnectionFailure: when the instance does not answer, which core takes for an unreachable host
        """
        if result.get("failed") and result.get("error", {}).get("kind") in _console_guard.UNREACHABLE:
            raise AnsibleConnectionFailure(result["msg"])
        return result

    def _operation(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the result of one of our modules, which core packed because no action plugin runs it."""
        from ansible_collections.uml.mconsole.plugins.plugin_utils import _parameters

        try:
            params = _parameters.validate(name, arguments, self._timeout)
        except AnsibleError as err:
            return {"failed": True, "changed": False, "msg": str(err)}
        return self.call(name, params, bool(arguments.get("_ansible_check_mode")))

    def _packed(self, payload: bytes) -> tuple[int, bytes, bytes]:
        """Run a payload as it is, where its arguments cannot be read."""
        environment = {"UML_MCONSOLE_UMID": self.umid, "UML_MCONSOLE_TIMEOUT": str(self._timeout)}
        if self.get_option("uml_dir"):
            environment["UML_MCONSOLE_DIR"] = self.get_option("uml_dir")
        text = payload.decode("utf-8", "surrogateescape")
        done = self._send({"kind": "module", "payload": text, "environment": environment})
        return done.get("rc", 1), to_bytes(done.get("stdout", "")), to_bytes(done.get("stderr", ""))

    def _setup(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of the instance in the place of setup's, which are of the machine that runs it."""
        from ansible_collections.uml.mconsole.plugins.plugin_utils import _setup

        subsets, foreign = _setup.translate(arguments)
        result = self._operation("instance_facts", {"gather_subset": subsets})
        if "ansible_facts" in result:
            result["ansible_facts"] = _setup.select(result["ansible_facts"], arguments)
        if foreign:
            text = f"{self.umid}: a console cannot read the facts of {', '.join(foreign)}, so they are left out"
            result["warnings"] = [*result.get("warnings", ()), text]
        return result

    def _ping(self, data: Any) -> dict[str, Any]:
        """Return ping's result when the console answers.

        :raises AnsibleConnectionFailure: when it does not
        """
        status, _out, err = self._console_command("version")
        if status != 0:
            raise AnsibleConnectionFailure(to_text(err))
        return {"ping": data, "changed": False}

    @property
    def _timeout(self) -> float:
        return float(self.get_option("uml_timeout"))

    def put_file(self, in_path: str, out_path: str) -> None:
        """Refuse: a console takes no files."""
        raise AnsibleError(_console_guard.refusal(self.umid, self._action, f"takes no files (for {out_path!r})"))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Refuse: a console gives no files."""
        raise AnsibleError(_console_guard.refusal(self.umid, self._action, f"gives no files (from {in_path!r})"))

    def transport_test(self, connect_timeout: float) -> None:
        """Let wait_for_connection see whether the console answers.

        :raises AnsibleError: when it does not
        """
        status, _out, err = self._console_command("version")
        if status != 0:
            raise AnsibleError(to_text(err))

    def reset(self) -> None:
        """Drop a channel that does not work; one that does is shared with the other instances of the VM host."""
        if not self.channel.alive():
            self.channel.drop()
            if self.get_option("uml_transport") == "ssh":
                super().reset()
        self._channel = None


def _module_output(result: dict[str, Any]) -> tuple[int, bytes, bytes]:
    """Return a result as core gets it from a module: status, stdout, stderr."""
    return int(bool(result.get("failed"))), to_bytes(json.dumps(result)), b""
