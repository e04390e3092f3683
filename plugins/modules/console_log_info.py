#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: console_log_info
short_description: Read lines of the console logs of User-Mode Linux instances
version_added: 1.0.0
description:
  - Returns lines that kernels and guests have printed, of all instances of a VM host that the user can see.
  - The log of a running instance is the file that its standard output goes to. The log of an instance that does not run
    is C(UMID.log) beside its directory, where M(uml.mconsole.instance) puts it by default. No instance is asked.
  - A line counts when its end is there. The text has no terminal escapes and control characters, and at most 1024
    characters. It is returned as data, and Ansible does not evaluate templates in it.
extends_documentation_fragment:
  - uml.mconsole.instance
  - uml.mconsole.attributes.info
  - uml.mconsole.attributes
options:
  umid:
    description:
      - Only read the log of the instance of this name.
      - Mutually exclusive with O(umids).
    type: str
  umids:
    description:
      - Only read the logs of instances with one of these names, which can be patterns. By default all are read.
    type: list
    elements: str
  uml_dir:
    description:
      - Only read the logs of instances of this directory. By default all directories are searched. Must be an absolute
        path, or start with C(~).
    type: str
  search:
    description: Only return lines in which this Python regular expression is found.
    type: str
  after:
    description:
      - RV(position) of an earlier task. Only lines after that are read, and all lines of logs that are not in it.
      - A log that was replaced or cut after that is read from its beginning.
    type: dict
  limit:
    description: Return at most this many lines of each instance (1 to 10000).
    type: int
    default: 100
  order:
    description:
      - V(newest) returns the last O(limit) lines that match, within the last MiB of each log. RV(position) is then the
        end of each log.
      - V(oldest) returns the first O(limit) lines that match, within the first MiB after O(after). RV(position) is then
        behind them, so the next task can continue there with O(after).
      - In both cases, the lines of an instance are in the order in which it printed them.
    type: str
    choices: [newest, oldest]
    default: newest
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.collector
  - module: uml.mconsole.event_info
"""

EXAMPLES = r"""
- name: Show the last warnings of all kernels
  uml.mconsole.console_log_info:
    search: "(?i)warning|error"
    limit: 20
  register: console_logs

- name: Read what web servers printed after that
  uml.mconsole.console_log_info:
    umids: [web*]
    order: oldest
    after: "{{ console_logs.position }}"
"""

RETURN = r"""
lines:
  description: The lines, by instance.
  returned: success
  type: list
  elements: dict
  contains:
    umid:
      description: Name of the instance.
      type: str
      sample: web1
    uml_dir:
      description: Directory that holds the directory of the instance.
      type: str
      sample: /home/uml/.uml
    offset:
      description: Byte of the log at which the line begins.
      type: int
      sample: 4711
    text:
      description: The line.
      type: str
      sample: EXT4-fs (ubda) - mounted filesystem
logs:
  description: The logs of the instances, and how much of each was read.
  returned: success
  type: list
  elements: dict
  contains:
    umid:
      description: Name of the instance.
      type: str
      sample: web1
    uml_dir:
      description: Directory that holds the directory of the instance.
      type: str
      sample: /home/uml/.uml
    running:
      description: Whether the instance runs.
      type: bool
      sample: true
    reason:
      description: Why no log was read, or an empty string.
      type: str
      sample: its standard output is not a file that can be read
    more:
      description: Whether there are lines that were not returned.
      type: bool
      sample: false
    skipped:
      description: Bytes after O(after) that were not looked at, because the log has grown by more than a MiB.
      type: int
      sample: 0
more:
  description:
    - Whether RV(logs[].more) is true for an instance. All lines together have at most 4 MiB, so the last instances
      may have no lines.
  returned: success
  type: bool
  sample: false
position:
  description: The place in each log up to which it was read, for O(after) of the next task.
  returned: success
  type: dict
  sample: {"/home/uml/.uml/web1": "2049:131075:4711"}
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import console_log_info
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(console_log_info)


if __name__ == "__main__":
    main()
