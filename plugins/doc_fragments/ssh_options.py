# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of every option of ansible.builtin.ssh, taken from core's own list when it is loaded.

So the connection has exactly the options of the ansible-core at hand, new ones included, and holds no copy.
"""

from __future__ import annotations

import re

from ansible.plugins.connection.ssh import DOCUMENTATION as CORE


def _options(documentation: str) -> str:
    """Return the options section less its version_added lines, which name ansible-core's versions, not ours.

    As text: parsing and dumping it as YAML would cost each task more than the task itself.
    """
    section = documentation[documentation.index("options:") :]
    indent = len(documentation[: documentation.index("options:")].rpartition("\n")[2])
    kept = (line[indent:] if line[:indent].isspace() else line for line in section.splitlines())
    return re.sub(r"(?m)^ +version_added:.*\n", "", "\n".join(kept) + "\n")


class ModuleDocFragment:
    """The options of core's ssh connection."""

    DOCUMENTATION: str = _options(CORE)
