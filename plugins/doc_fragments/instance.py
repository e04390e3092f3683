# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which every module names its instances."""

from __future__ import annotations


class ModuleDocFragment:
    """The instances that a task is about."""

    DOCUMENTATION = r"""
options:
  umid:
    description:
      - Name of the instance, as its kernel received it in C(umid=). A pattern is refused; use O(umids) for one.
      - Not needed if the instance itself is the inventory host, with the connection
        P(uml.mconsole.mconsole#connection).
      - Mutually exclusive with O(umids).
    type: str
  umids:
    description:
      - Names of instances, or patterns such as V(web*). All instances must be on the same VM host.
      - The task acts on all of them in parallel, and returns the result of each under RV(ignore:instances).
      - If O(uml_dir) is not set, a pattern matches the instances of the default directory for tasks that change
        something, and all instances of the VM host that the user can see for tasks that only read.
    type: list
    elements: str
  uml_dir:
    description:
      - Directory on the VM host that holds C(UMID/mconsole) and C(UMID/pid). Must be an absolute path, or start with
        C(~).
      - By default C(~/.uml) of the user that the task runs as on the VM host.
      - Without this option, a task that only reads also finds an instance in another directory. A task that changes
        something fails in that case, and the message names the directory.
    type: str
  timeout:
    description: Seconds that each exchange with a console may take.
    type: float
    default: 5.0
"""

    # For a module that acts on the VM host alone, and has these options for the defaults of the action group.
    UNUSED = r"""
options:
  umid:
    description: Accepted so that defaults of the action group apply to every module. This module does not use it.
    type: str
  umids:
    description: Accepted so that defaults of the action group apply to every module. This module does not use it.
    type: list
    elements: str
  uml_dir:
    description: Accepted so that defaults of the action group apply to every module. This module does not use it.
    type: str
  timeout:
    description: Accepted so that defaults of the action group apply to every module. This module does not use it.
    type: float
    default: 5.0
"""
