# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what every module supports.

Of two fragments that say the same of one module, the one that it names first counts.
"""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of the modules."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - Python 3.8 or later on the VM host, and nothing else there
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without sending anything that changes something.
    support: full
  diff_mode:
    description: Returns what changed, or in check mode what would.
    support: full
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing and says so.
    support: full
  action_group:
    description: Use C(group/uml.mconsole.all) in C(module_defaults) to set defaults for all modules of this collection.
    support: full
    membership:
      - uml.mconsole.all
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Changes nothing in any case.
  diff_mode:
    support: N/A
    description: Changes nothing, so there is no difference to show.
  idempotent:
    support: full
    description: Changes nothing.
"""

    FACTS = r"""
options: {}
attributes:
  facts:
    description: Returns facts in C(ansible_facts).
    support: full
"""
