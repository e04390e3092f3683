# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what every module supports.

If two fragments of a module document the same attribute, the first one that the module names counts.
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
    description: Can run in check mode and report what would change, without sending anything that changes something.
    support: full
  diff_mode:
    description: Returns what changed, or in check mode what would.
    support: full
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing and says so.
    support: full
  action_group:
    description:
      - Use C(group/uml.mconsole.all) in C(module_defaults) to set defaults for all modules of this collection. Every
        module accepts C(umid), C(umids), C(uml_dir) and C(timeout).
    support: full
    membership:
      - uml.mconsole.all
  structured_errors:
    description: When the task fails, RV(ignore:error) describes the failure for programs.
    support: full
    details:
      - RV(ignore:error.kind) is V(input) for a value that cannot be used, V(not_there) for a missing instance, console
        or file, V(not_allowed) for one that belongs to another user, V(danger) for a command that would kill or freeze
        the instance, V(refused) when the kernel refused, V(unanswered) when no answer came in time, V(protocol) for an
        answer that is not of the mconsole protocol, V(unverified) when the kernel reported success and the result
        contradicts it, V(bug) for a fault of this collection, and V(error) for everything else.
      - The other keys depend on the failure, for example C(umid), C(command), C(path), C(danger) or
        C(console_log_lines).
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: This module never changes anything.
  diff_mode:
    support: N/A
    description: This module never changes anything, so there is no difference to show.
  idempotent:
    support: full
    description: This module never changes anything.
"""

    FACTS = r"""
options: {}
attributes:
  facts:
    description: Returns facts in C(ansible_facts).
    support: full
"""
