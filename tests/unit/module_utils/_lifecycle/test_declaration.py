# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a command line to the options that stand for it, and back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._lifecycle import (
    declaration,
    kernel_arg_groups,
    kernel_args,
)
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.instances import Place

PLACE = Place("web1", "/run/uml")
IDENTITY = ["umid=web1", "uml_dir=/run/uml/"]
LINES: list[tuple[str, dict[str, Any]]] = [
    ("mem=98304k", {"memory": "96M"}),
    ("ncpus=2 seccomp=on", {"ncpus": 2, "seccomp": "on"}),
    ("initrd=/i rdinit=/init", {"root": {"initrd": "/i", "init": "/init"}}),
    ("initrd=/i root=/dev/ram0", {"root": {"initrd": "/i"}, "kernel_args": {"root": "/dev/ram0"}}),
    ("ubd0=/r root=/dev/ubda rw", {"root": {"image": "/r"}}),
    ("ubd0=/c,/r root=/dev/ubda1 rw", {"root": {"image": "/r", "cow": "/c", "partition": 1}}),
    ("ubd0r=/r root=/dev/ubda ro", {"root": {"image": "/r", "read_only": True}}),
    ("ubd0=/r root=/dev/ubda", {"devices": {"ubd0": "/r"}, "kernel_args": {"root": "/dev/ubda"}}),
    ("rootfstype=hostfs rootflags=/t rw init=/bin/sh", {"root": {"hostfs": "/t", "init": "/bin/sh"}}),
    ("con1=pts con=xterm ssl3=pty", {"devices": {"con1": "pts", "ssl3": "pty"}, "kernel_args": {"con": "xterm"}}),
    ("ubdbr=/d", {"devices": {"ubd1": {"file": "/d", "read_only": True}}}),
    ("eth0=tuntap,,,10.0.0.1", {"devices": {"eth0": "tuntap,,,10.0.0.1"}}),
    ("con=null con0=null,fd:1 ssl=null ssl1=pts ubd0c=/dev/null", {}),
    ("quiet panic=5 a=01", {"kernel_args": {"quiet": True, "panic": 5, "a": "01"}}),
    ("console=tty0 console=ttyS0", {"kernel_args": ["console=tty0", "console=ttyS0"]}),
    ("mconsole=notify:/n", {"notify": "/n"}),
    ("mconsole=notify:/run/uml/.notify", {}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "options"), LINES, ids=[line for line, _options in LINES])
def test_a_command_line_becomes_options_and_these_become_the_command_line(line: str, options: dict[str, Any]) -> None:
    words = kernel_arg_groups.split([*IDENTITY, *line.split()])
    made = declaration.from_words(PLACE, words)
    assert (made.options, made.notes) == (options, [])
    assert kernel_args.differences(kernel_args.desired(made.options, "web1"), words) == {}


@pytest.mark.parametrize(
    "line", ["mem=64M mem=96M", "a=1 a=2", "initrd=rel", "con1=odd con1=pts", 'a="b" c=d\x01 e f=g h']
)
def test_what_cannot_be_declared_is_left_out_and_the_rest_agrees(line: str) -> None:
    words = kernel_arg_groups.split([*IDENTITY, *line.split(" ")])
    made = declaration.from_words(PLACE, words)
    assert kernel_args.differences(kernel_args.desired(made.options, "web1"), words) == {}


def test_paths_are_absolute_and_a_serial_number_is_not_a_path() -> None:
    made = [
        kernel_arg_groups.absolute(word, "/w") for word in ("ubd1r=a,b,s1", "ubda=/a:b", "initrd=i", "x=y", "ubd0=")
    ]
    assert made == ["ubd1r=/w/a,/w/b,s1", "ubda=/a:/w/b", "initrd=/w/i", "x=y", "ubd0="]
