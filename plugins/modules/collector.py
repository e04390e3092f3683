#!/usr/bin/python
# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: collector
short_description: Start and stop the collector of events on a VM host
version_added: 1.0.0
description:
  - The collector is a process on the VM host that writes to a journal what the instances there tell and what becomes of
    them. There is one for each user; that of root covers the instances of all users, that of another user its own.
  - It receives the notifications of kernels (a boot, a panic, a hang, a message that the guest wrote to
    C(/proc/mconsole)), and follows console logs for what is unusual. It sees instances appear, end, crash, be paused
    and resumed, and what crashed ones left.
  - An instance is covered as far as it can be. Its notifications need the notify socket that
    M(uml.mconsole.instance) gives to each by default, and its console log must be a file;
    M(uml.mconsole.instance_info) returns what is covered.
  - The collector needs nothing of the task that starts it, and outlives it. After a reboot of the VM host it is not
    started by itself.
  - Whatever is not in the journal is accounted for there by an event of type C(gap), such as the time in which no
    collector ran.
extends_documentation_fragment:
  - uml.mconsole.instance.unused
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Starts and ends nothing.
  idempotent:
    support: partial
    details:
      - With O(state=restarted) the collector is restarted each time.
  diff_mode:
    details:
      - Shows the state, the settings, and the hash of the collector's code.
options:
  state:
    description:
      - V(started) starts the collector if there is none, and restarts it if it runs with other settings than the task
        says, or with the code of another version of this collection.
      - V(restarted) ends it and starts it anew. Settings that the task does not give are kept.
      - V(stopped) ends it. The journal is kept.
    type: str
    choices: [started, stopped, restarted]
    default: started
  patterns:
    description:
      - What to look for in console logs, beside the built-in patterns V(panic), V(oops), V(bug), V(out_of_memory),
        V(hung_task), V(soft_lockup) and V(login).
      - A line becomes an event by the first pattern that it matches; those that are given here come first.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the pattern. That of a built-in one replaces it.
        type: str
        required: true
      regex:
        description:
          - Regular expression, as Python takes it, that is searched for in each line.
          - Of a line the first 1024 characters are looked at.
        type: str
        required: true
      severity:
        description: Severity of the event.
        type: str
        choices: [debug, info, warning, error, critical]
        default: warning
  uml_dirs:
    description:
      - The only directories whose instances are covered.
      - By default, and with an empty list, all instances that can be seen are.
    type: list
    elements: str
  event_rate:
    description:
      - How many events per second each instance may cause on average, counted separately for its messages and for the
        lines that match each pattern. Bursts of up to twenty times that rate are accepted.
      - Events above the limit are only counted, so that one guest cannot displace the events of others.
      - V(0) means no limit. By default V(100), or the setting of the collector that is already running.
    type: float
  journal_size:
    description:
      - Disk space that the journal may take, such as V(64M). The oldest events are removed first.
      - By default V(16M), or the setting of the collector that is already running.
    type: str
  journal_dir:
    description:
      - Directory of the journal. It is created if it does not exist, and only its owner can access it.
      - By default C(/var/lib/uml-mconsole) for root, and C(uml-mconsole) in C($XDG_STATE_HOME) or C(~/.local/state) for
        other users.
    type: str
notes:
  - A collector that a service manager runs is not ended by this module; change its unit instead.
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance
  - module: uml.mconsole.instance_info
"""

EXAMPLES = r"""
- name: Collect what all instances of the VM host tell
  uml.mconsole.collector:

- name: Look for a pattern of our own, too
  uml.mconsole.collector:
    patterns:
      - name: database
        regex: "FATAL: .*database"
        severity: error

- name: See what is covered
  uml.mconsole.collector:
  check_mode: true
  register: collector

- name: Stop collecting
  uml.mconsole.collector:
    state: stopped
"""

RETURN = r"""
state:
  description:
    - V(started) or V(stopped), read back; in check mode as it would be.
    - V(hung) for one that does not answer, before it is restarted.
  returned: success
  type: str
  sample: started
pid:
  description: Process of the collector, or null when there is none.
  returned: success
  type: int
  sample: 4711
journal_dir:
  description: Directory of the journal.
  returned: success
  type: str
  sample: /var/lib/uml-mconsole
code:
  description: Hash of the collector's code, by which a newer one is told from an older one.
  returned: success
  type: str
  sample: 4006a46448d7f001
instances:
  description: The instances that it watches.
  returned: success
  type: list
  elements: dict
  contains:
    umid:
      description: Name of the instance.
      type: str
    uml_dir:
      description: Directory that holds its own directory.
      type: str
    pid:
      description: Its main process.
      type: int
    boot:
      description: Which boot of this process it is in, counted from 1 since the collector first saw it.
      type: int
    paused:
      description: Whether it is paused.
      type: bool
    notify:
      description: Socket to which it sends its notifications, or null.
      type: str
    notifications:
      description: Whether these are received.
      type: bool
    notifications_reason:
      description: Why not.
      type: str
    console_log:
      description: File that its console goes to, or null when that is not followed.
      type: str
    console_followed:
      description: Whether that is followed.
      type: bool
    console_reason:
      description: Why not.
      type: str
counters:
  description: What the collector has done since it started.
  returned: success
  type: dict
  contains:
    datagrams:
      description: Datagrams that came to the notify sockets.
      type: int
    odd:
      description: How many of them were of no instance, or no notifications.
      type: int
    matches:
      description: Lines of console logs that matched a pattern.
      type: int
    written:
      description: Events that were written to the journal.
      type: int
    lost:
      description: Events that could not be written.
      type: int
    limited:
      description: Events that were left out since one instance caused too many; see O(event_rate).
      type: int
reason:
  description: Why there was a change or none.
  returned: success
  type: str
error:
  description: What went wrong, for programs; see the attribute C(structured_errors).
  returned: failure
  type: dict
"""

from ansible_collections.uml.mconsole.plugins.module_utils._operations import collector
from ansible_collections.uml.mconsole.plugins.module_utils._run import run_module


def main() -> None:
    """Run the operation as a module."""
    run_module(collector)


if __name__ == "__main__":
    main()
