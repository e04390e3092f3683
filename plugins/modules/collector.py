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
  - The collector is a process on the VM host that records the events of instances in a journal. Each user can run one.
    The collector of root covers the instances of all users, and that of another user covers the user's own instances.
  - It receives the notifications of kernels, which are boots, panics, hangs, and messages that guests write to
    C(/proc/mconsole). It searches console logs for unusual lines. It also records when instances appear, end, crash,
    are paused or resumed, and what crashed instances left.
  - Notifications need a notify socket, which M(uml.mconsole.instance) sets by default. The console log must be a file.
    M(uml.mconsole.instance_info) returns how far each instance is covered.
  - The collector outlives the task that starts it. It does not start again after a reboot of the VM host; for that, use
    the role P(uml.mconsole.monitor#role).
  - The journal accounts for every loss. An event of type C(gap) records missing events, and periods without a
    collector.
extends_documentation_fragment:
  - uml.mconsole.instance.unused
  - uml.mconsole.attributes
attributes:
  check_mode:
    details:
      - Does not start or stop the collector.
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
      - V(started) starts the collector if it does not run. It restarts a collector whose settings differ from the
        task, or whose code is from another version of this collection.
      - V(restarted) stops the collector and starts it again. Settings that the task does not set are kept.
      - V(stopped) stops the collector. The journal is kept.
    type: str
    choices: [started, stopped, restarted]
    default: started
  patterns:
    description:
      - Patterns to search for in console logs, in addition to the built-in patterns V(panic), V(oops), V(bug),
        V(out_of_memory), V(hung_task), V(soft_lockup) and V(login).
      - A line causes one event, from the first pattern that it matches. The patterns of this option come first.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the pattern. The name of a built-in pattern replaces that pattern.
        type: str
        required: true
      regex:
        description:
          - Python regular expression that is searched for in the first 1024 characters of each line.
        type: str
        required: true
      severity:
        description: Severity of the event.
        type: str
        choices: [debug, info, warning, error, critical]
        default: warning
  uml_dirs:
    description:
      - The only directories whose instances are covered. Must be absolute paths, or start with C(~).
      - By default, and with an empty list, all instances that the user can see are covered.
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
  metrics_file:
    description:
      - File that the collector replaces every 15 seconds with metrics of itself and of the instances, in the format of
        the textfile collector of Prometheus' C(node_exporter). Its name must end with C(.prom). Must be an absolute
        path, or start with C(~). The directory must exist.
      - The file is removed when the collector ends. If it is not written any more, its age shows that.
      - An empty string means no file. By default none, or the setting of the collector that is already running.
    type: str
  metrics_listen:
    description:
      - Where the collector serves the same metrics over HTTP, at the path C(/metrics), in the text format of
        Prometheus.
      - An IP address with a port, such as V(127.0.0.1:9749) or V([::1]:9749), or the absolute path of a Unix socket,
        which may start with C(~).
      - There is no encryption and no password. Keep to the loopback or to a Unix socket, and let a proxy stand before
        it if others are to read it. Each user of the VM host can read a loopback address. A Unix socket can be
        read by those who may enter its directory.
      - An empty string means no server. By default none, or the setting of the collector that is already running.
    type: str
  guest_metrics:
    description:
      - Whether the collector asks the console of each instance every 15 seconds for metrics of the guest, which are its
        memory, load and disks, and how fast the console answers. Without O(metrics_file) and O(metrics_listen)
        nothing is asked.
      - An instance that does not answer is asked less and less often, down to every 10 minutes.
      - By default V(true), or the setting of the collector that is already running.
    type: bool
  journal_dir:
    description:
      - Directory of the journal. It is created if it does not exist, and only its owner can access it. Must be an
        absolute path, or start with C(~).
      - By default C(/var/lib/uml-mconsole) for root, and C(uml-mconsole) in C($XDG_STATE_HOME) or C(~/.local/state) for
        other users.
    type: str
notes:
  - This module does not stop a collector that a service manager runs. Change its unit instead.
author:
  - uml.mconsole contributors (@uml-mconsole)
seealso:
  - module: uml.mconsole.instance
  - module: uml.mconsole.instance_info
"""

EXAMPLES = r"""
- name: Record the events of all instances of the VM host
  uml.mconsole.collector:

- name: Also search the console logs for a custom pattern
  uml.mconsole.collector:
    patterns:
      - name: database
        regex: "FATAL: .*database"
        severity: error

- name: Serve metrics to Prometheus, and ask no instance for them
  uml.mconsole.collector:
    metrics_listen: ~/uml-metrics.sock
    guest_metrics: false

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
    - V(started) or V(stopped), as read back. In check mode, the predicted state.
    - V(hung) if the collector does not answer.
  returned: success
  type: str
  sample: started
pid:
  description: Process of the collector, or null if it does not run.
  returned: success
  type: int
  sample: 4711
journal_dir:
  description: Directory of the journal.
  returned: success
  type: str
  sample: /var/lib/uml-mconsole
code:
  description: Hash of the collector's code, which differs between versions of this collection.
  returned: success
  type: str
  sample: 4006a46448d7f001
instances:
  description: The instances that the collector covers.
  returned: success
  type: list
  elements: dict
  contains:
    umid:
      description: Name of the instance.
      type: str
    uml_dir:
      description: Directory that holds the directory of the instance.
      type: str
    pid:
      description: Main process of the instance.
      type: int
    boot:
      description: Number of boots of this process that the collector has observed, at least 1.
      type: int
    paused:
      description: Whether the instance is paused.
      type: bool
    notify:
      description: Socket to which its kernel sends notifications, or null.
      type: str
    notifications:
      description: Whether the collector receives these notifications.
      type: bool
    notifications_reason:
      description: Why the collector does not receive them.
      type: str
    console_log:
      description: File of the console log, or null if the collector does not read it.
      type: str
    console_followed:
      description: Whether the collector reads the console log.
      type: bool
    console_reason:
      description: Why the collector does not read it.
      type: str
counters:
  description: Counters since the collector started.
  returned: success
  type: dict
  contains:
    datagrams:
      description: Datagrams that the notify sockets received.
      type: int
    odd:
      description: Datagrams that were not notifications, or not from a known instance.
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
      description: Events that were not recorded because one instance caused too many; see O(event_rate).
      type: int
reason:
  description: Why something was changed, or why not.
  returned: success
  type: str
error:
  description: Details of the failure, for programs. See the attribute C(structured_errors).
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
