# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layers of plugins/: which package may import which, and what belongs in each.

tests/unit/rules/test_layers.py holds the code to this table, and docs/design.md to its text.
"""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """One row: a package or a file below plugins/, how high it stands, and what belongs there and what does not.

    Imports go to a lower number, or stay within the package.
    """

    path: str
    height: int
    holds: str
    not_here: str


# The first row that a path begins with counts.
LAYERS = (
    Layer(
        "module_utils/_mconsole",
        1,
        "The console's protocol, the instances of a VM host, and what the kernel of a VM host offers: processes,"
        " sockets, locks.",
        "Devices, guests, and anything that knows a module's options.",
    ),
    Layer(
        "module_utils/_program",
        1,
        "The program that runs from memory: how it is packed, and its first code.",
        "What the program does.",
    ),
    Layer(
        "module_utils/_task",
        2,
        "What each operation is given: its instance, its options, check mode, and sending one command.",
        "Knowledge of a certain device, file or operation.",
    ),
    Layer(
        "module_utils/_files",
        2,
        "Disk image files on a VM host: copy-on-write headers, merging, copying.",
        "Whether an instance uses a file.",
    ),
    Layer(
        "module_utils/_journal",
        2,
        "The journal of events: its files, reading and writing them, filtering events.",
        "Where events come from.",
    ),
    Layer(
        "module_utils/_guest",
        3,
        "What can be seen of one instance from outside: its files in /proc, its console log, its memory.",
        "What should change.",
    ),
    Layer(
        "module_utils/_guest_shell",
        3,
        "The way into a guest: its line, its login, a shell that reads commands, and how files get in and out.",
        "The commands that run in the guest.",
    ),
    Layer(
        "module_utils/_devices",
        4,
        "The classes of devices, and changing a set of devices in one transaction.",
        "Starting an instance.",
    ),
    Layer(
        "module_utils/_facts",
        5,
        "Facts about a guest, with the values that Ansible's setup gives inside it, and about the VM host.",
        "Anything that changes something.",
    ),
    Layer(
        "module_utils/_lifecycle",
        5,
        "Starting, stopping, pausing and describing instances: kernel arguments, checks before a start, readiness.",
        "Devices of a running instance.",
    ),
    Layer(
        "module_utils/_metrics",
        5,
        "Numbers of instances for monitoring systems, and their text.",
        "When they are written, and events.",
    ),
    Layer(
        "module_utils/_backup",
        5,
        "Consistent copies of the disks of a running instance.",
        "Copying a file as such.",
    ),
    Layer(
        "module_utils/_collector",
        6,
        "The process that receives notifications and follows console logs, and writes them to the journal.",
        "Reading the journal.",
    ),
    Layer(
        "module_utils/_operations",
        7,
        "One file per module: its options and its run function; and what runs them for one or many instances.",
        "Ansible itself, and how an order gets to the VM host.",
    ),
    Layer(
        "module_utils/_client",
        8,
        "The local client: a process on the VM host that answers orders on a Unix socket.",
        "What an operation does.",
    ),
    Layer(
        "module_utils",
        9,
        "The two files that know AnsibleModule.",
        "Anything that the local client needs.",
    ),
    Layer(
        "plugin_utils",
        10,
        "The controller's side: reaching VM hosts, packing the program, the fleet page.",
        "Anything that runs on a VM host.",
    ),
    Layer(
        "",
        11,
        "The plugins themselves: documentation, options, and a few lines that call the layers below.",
        "Logic that a second plugin could need.",
    ),
)
HIGHEST_ON_VM_HOST = 8  # layers up to this one run on the VM host's own Python


def layer_of(module: str) -> Layer:
    """Return the row of a module such as `module_utils/_mconsole/wire`."""
    return next(layer for layer in LAYERS if f"{module}/".startswith(f"{layer.path}/") or not layer.path)


def table() -> str:
    """Return the table for docs/design.md, the highest layer first."""
    rows = [f"| {row.height} | `plugins/{row.path}` | {row.holds} | {row.not_here} |" for row in reversed(LAYERS)]
    return "\n".join(["| layer | where | what belongs here | what does not |", "|---|---|---|---|", *rows])
