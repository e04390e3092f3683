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
      - Name of the instance, as given to its kernel with C(umid=).
      - Not needed where the instance itself is the inventory host, with the connection
        P(uml.mconsole.mconsole#connection).
    type: str
  umids:
    description:
      - Names of instances, or globs such as V(web*), all on the same VM host.
      - The task acts on all of them at once, and returns each one's result under RV(ignore:instances).
      - Without O(uml_dir) a glob is matched with all instances of the VM host, which for root are those of all users.
        The module M(uml.mconsole.instance), which ends instances, takes the user's own alone.
    type: list
    elements: str
  uml_dir:
    description:
      - Directory on the VM host that holds C(UMID/mconsole) and C(UMID/pid).
      - By default C(~/.uml) of the user that the task runs as on the VM host; an instance that is not there is looked
        for among all running instances of the VM host.
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
