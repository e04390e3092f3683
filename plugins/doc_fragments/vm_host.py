# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that both connections share: which instance, and how its VM host is reached."""

from __future__ import annotations


class ModuleDocFragment:
    """The instance and the way to its VM host."""

    DOCUMENTATION = r"""
options:
  uml_umid:
    description:
      - Name of the instance, as given to its kernel with C(umid=). By default the name of the inventory host; of a
        task with C(delegate_to), the name of the host that it is delegated to.
      - It must be text. Put quotes around a name that YAML would read as a number, a date or a boolean.
    type: raw
    vars:
      - name: inventory_hostname
      - name: ansible_uml_umid
  uml_dir:
    description:
      - Directory on the VM host that holds C(UMID/mconsole).
      - By default C(~/.uml) of the user that the client runs as. If the instance is not there, the directory in which
        an instance of that name runs. A module that would change the instance fails in that case, and its message names
        the directory.
    type: str
    vars:
      - name: ansible_uml_dir
  uml_transport:
    description: How to reach the VM host. Use V(local) if the VM host is the controller itself.
    type: str
    choices: [ssh, local]
    default: ssh
    vars:
      - name: ansible_uml_transport
  uml_timeout:
    description: Maximum number of seconds for one exchange with the console, unless the task sets C(timeout).
    type: float
    default: 5.0
    vars:
      - name: ansible_uml_timeout
"""
