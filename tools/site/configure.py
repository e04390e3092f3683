# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Complete the site's Sphinx configuration, so that the site can be built offline: configure.py FOLDER.

Ansible's own documentation is elsewhere. The names that ours refers to there are written into an inventory, in the
place of the one that Sphinx would fetch. The nox session `docs_check` checks that each of these names exists.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

CONFIGURATION = """
project = title = html_short_title = "uml.mconsole"
copyright = "the uml.mconsole contributors"
intersphinx_mapping = {{"ansible_devel": ("https://docs.ansible.com/projects/ansible/devel/", "{inventory}")}}
"""
HEAD = b"""# Sphinx inventory version 2
# Project: Ansible
# Version: devel
# The remainder of this file is compressed using zlib.
"""
LABELS = {"action_plugins", "ansible_configuration_settings", "common_return_values"}


def references(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names in a text that Ansible's documentation defines, each with its kind."""
    for name in sorted(LABELS | set(re.findall(r"ansible_collections\.ansible\.[a-z_.]+", text))):
        yield name, "label"
    variables = {name.replace("\\", "") for name in re.findall(r":envvar:`(ANSIBLE[A-Z\\_]+)", text)}
    for name in sorted(variables):
        yield name, "envvar"


def inventory(text: str) -> bytes:
    """Return an inventory of Sphinx with these names."""
    lines = [f"{name} std:{kind} -1 ansible.html#{name} {name}\n" for name, kind in references(text)]
    return HEAD + zlib.compress("".join(lines).encode())


def main(folder: Path) -> None:
    """Write the inventory, and name it in conf.py."""
    pages = sorted(folder.glob("rst/**/*.rst"))
    (folder / "ansible.inv").write_bytes(inventory("\n".join(page.read_text() for page in pages)))
    with (folder / "conf.py").open("a") as configuration:
        configuration.write(CONFIGURATION.format(inventory=folder / "ansible.inv"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
