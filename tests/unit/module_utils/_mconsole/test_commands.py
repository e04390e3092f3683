# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of words: what is a command, and what it changes."""

from __future__ import annotations

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import commands
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from support.fake_kernel import WORDS as KERNEL_WORDS

COMMANDS = {
    "version": ("version", "", "version"),
    "config con1": ("config", "con1", "config con1"),
    "config  con1 ": ("config", "con1", "config con1"),
    "config ubd1=/a b": ("config", "ubd1=/a b", "config ubd1=/a b"),
    "log two words": ("log", "two words", "log two words\n"),
    "log with an end\n": ("log", "with an end", "log with an end\n"),
    "proc 1/mounts": ("proc", "1/mounts", "proc 1/mounts"),
    "sysrq h": ("sysrq", "h", "sysrq h"),
}
NO_COMMANDS = [
    "",
    " version",
    "Version",
    "halt_me",
    "versionfoo",
    "halt now",
    "config",
    "log",
    "log \n",
    "proc ",
    "go go",
]
NO_COMMANDS += ["halt\n", "config con1\n", "version\0", "cad\tx", "nosuch", "int", "log a\nb", "stack"]
CHANGES = ["halt", "reboot", "cad", "stop", "go", "log x", "remove con1", "config con1=pts", "config mem=-8M"]
CHANGES += ["config vec0:transport=tap", "sysrq b", "sysrq s", "sysrq e", "sysrq 7", "sysrq u"]
ASKS = ["version", "help", "config con1", "config vec0", "proc meminfo", "stack 1"]
ASKS += [f"sysrq {key}" for key in commands.QUIET_SYSRQ]


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_is_read(text: str) -> None:
    command = commands.parse(text)
    assert (command.word.name, command.argument, command.text) == COMMANDS[text]


@pytest.mark.parametrize("text", NO_COMMANDS)
def test_what_is_no_command_is_never_made_one(text: str) -> None:
    with pytest.raises(InputError):
        commands.parse(text)


@pytest.mark.parametrize("text", CHANGES)
def test_it_changes_something(text: str) -> None:
    assert commands.parse(text).changes


@pytest.mark.parametrize("text", ASKS)
def test_it_only_asks(text: str) -> None:
    assert not commands.parse(text).changes


def test_the_words_and_where_they_run_are_those_of_the_kernel() -> None:
    ours = {name: word.context == commands.INTERRUPT for name, word in commands.WORDS.items()}
    assert ours == {name: interrupt for name, (interrupt, _handler) in KERNEL_WORDS.items()}


def test_a_log_line_and_its_newline_fit_together() -> None:
    assert len(commands.parse("log " + "x" * 506).request.to_bytes()) == 12 + 511
    with pytest.raises(InputError, match="512 bytes"):
        commands.parse("log " + "x" * 507)
