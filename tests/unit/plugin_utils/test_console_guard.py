# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may go to an instance, and what must never reach its VM host by mistake."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleError

from ansible_collections.uml.mconsole.plugins.plugin_utils import _console_guard

OURS = "ansible_collections.uml.mconsole.plugins.modules.instance_facts"


@pytest.mark.parametrize("word", ["mod_name", "module_fqn"])
def test_a_module_of_ours_may_run(word: str) -> None:
    payload = f"x = 1\nrunpy.run_module({word}='{OURS}', run_name='__main__')".encode()
    assert _console_guard.payload_name(payload, "web1") == OURS


def test_ping_may_run() -> None:
    assert _console_guard.payload_name(b"module_fqn='ansible.modules.ping',", "web1") == _console_guard.PING


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"module_fqn='ansible.modules.command'", "ansible.builtin.command"),
        (b"mod_name='ansible_collections.acme.demo.plugins.modules.x'", "acme.demo"),
        (b"#!/bin/sh\nreboot\n", "only the modules of uml.mconsole"),
        # A user's arguments stand in the payload too; they cannot make another module pass for ours.
        (b"params='module_fqn=\"%s\"' module_fqn='ansible.modules.reboot'" % OURS.encode(), "ansible.builtin.reboot"),
        (b"module_fqn='ansible_collections.uml.mconsolex.plugins.modules.device'", "mconsolex"),
    ],
)
def test_another_payload_is_refused_in_one_sentence(payload: bytes, named: str) -> None:
    with pytest.raises(AnsibleError, match="web1 is a User-Mode Linux instance") as caught:
        _console_guard.payload_name(payload, "web1")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "sent"), [("version", "version"), ("log  hello", "log hello"), ("sysrq m", "sysrq m")]
)
def test_a_console_command_passes(typed: str, sent: str) -> None:
    assert _console_guard.console_command(typed, "web1") == sent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("versio", "'versio' is not a console command"),
        ("halt now", "expected 'halt'"),
        ("echo ~root && sleep 0", "no shell commands"),
        ("( umask 77 && mkdir -p /tmp/x )", "no shell commands"),
        ("reboot; rm -rf /", "expected 'reboot'|no shell commands|not a console command"),
        ("", "not a console command"),
    ],
)
def test_what_is_no_console_command_is_refused(text: str, said: str) -> None:
    with pytest.raises(AnsibleError, match=said):
        _console_guard.console_command(text, "web1")


DISCOVERY = "echo FOUND; command -v 'python3.13'; command -v '/usr/bin/python3'; command -v 'python3'; echo ENDFOUND"


def test_interpreter_discovery_is_answered_without_the_vm_host() -> None:
    assert _console_guard.answer_discovery(DISCOVERY, None) == b"FOUND\n/usr/bin/python3\nENDFOUND\n"
    older = _console_guard.answer_discovery(f"echo PLATFORM; uname; {DISCOVERY}", None)
    assert older is not None
    assert older.startswith(b"PLATFORM\nLinux\nFOUND\n")


@pytest.mark.parametrize("text", ["version", "echo FOUND; reboot; echo ENDFOUND", f"x; {DISCOVERY}"])
def test_what_only_looks_like_discovery_is_not_answered(text: str) -> None:
    assert _console_guard.answer_discovery(text, None) is None


def test_what_only_an_action_may_say_is_taken_out() -> None:
    """As core does with what a module says."""
    facts = {"uml": {"umid": "web1"}, "discovered_interpreter_python": "/tmp/evil"}
    said = {"changed": True, "add_host": {"host_name": "x"}, "add_group": "y", "_ansible_x": 1, "ansible_facts": facts}
    assert _console_guard.as_of_a_module(said) == {"changed": True, "ansible_facts": {"uml": {"umid": "web1"}}}
    assert _console_guard.as_of_a_module({"ansible_facts": "odd"}) == {"ansible_facts": "odd"}


@pytest.mark.parametrize(
    ("action", "advice"),
    [
        ("ansible.builtin.reboot", "use uml.mconsole.instance with state=restarted"),
        ("ansible.legacy.script", "use uml.mconsole.request or ansible.builtin.raw"),
        ("package", "install packages into the guest's image"),
        ("ansible.builtin.copy", "or delegate the task to the VM host"),
    ],
)
def test_a_refusal_names_the_action_and_what_to_do(action: str, advice: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        _console_guard.console_command("echo ~root && sleep 0", "web1", action)
    assert str(caught.value).startswith(f"{action} was refused and nothing was done: web1 is a User-Mode Linux")
    assert advice in str(caught.value)
    assert "echo" not in str(caught.value)


def test_setup_may_run_for_itself_and_not_for_an_action_that_chooses_a_module_by_it() -> None:
    payload = b"module_fqn='ansible.modules.setup',"
    for action in ("setup", "ansible.builtin.gather_facts", None):
        assert _console_guard.payload_name(payload, "web1", action) == _console_guard.SETUP
    with pytest.raises(AnsibleError, match=r"ansible\.builtin\.package was refused"):
        _console_guard.payload_name(payload, "web1", "ansible.builtin.package")


SAID = {"gather_subset": ["!all", "network"], "filter": 'it\'s "x"', "_ansible_check_mode": True}


@pytest.mark.parametrize("line", ["    ANSIBALLZ_PARAMS = {}", "params={},"])
def test_the_arguments_of_a_payload_are_read(line: str) -> None:
    packed = line.format(repr(json.dumps({"ANSIBLE_MODULE_ARGS": SAID})))
    payload = f"# x\nmodule_fqn='{OURS}',\n{packed}\n# y\n".encode()
    assert _console_guard.payload_arguments(payload) == SAID


@pytest.mark.parametrize("payload", [b"", b"params='{}'", b"params='{\"a\": 1}',", b"params='{',\n", b"params={},\n"])
def test_arguments_that_are_packed_otherwise_are_not_guessed(payload: bytes) -> None:
    assert _console_guard.payload_arguments(payload) is None
