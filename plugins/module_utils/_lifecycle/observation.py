# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is there of an instance now: the process, its run state, and what its command line says."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from .._mconsole import instances, procfs, states
from .._mconsole.instances import Instance, Place
from .._mconsole.states import Probe
from .._task.task import Task
from . import instance_report, kernel_arg_groups, kernel_script

ABSENT = Probe("absent", "")
_DELETED = " (deleted)"  # what /proc adds to the path of a file that was removed or replaced


class Observation(NamedTuple):
    """What is there: the instance (None when nothing is), and how it is."""

    instance: Optional[Instance]
    probe: Probe

    @property
    def state(self) -> str:
        """Return its run state, or ``absent``."""
        return self.probe.state

    @property
    def is_up(self) -> bool:
        """Return whether its main process runs."""
        return self.instance is not None and self.instance.alive

    @property
    def pid(self) -> Optional[int]:
        """Return its main process while it runs, or None."""
        return self.instance.pid if self.instance is not None and self.instance.alive else None


def resolve_place(task: Task) -> Place:
    """Return the place that a task means, which is in the default directory unless ``uml_dir`` names another.

    Instances of other users are only pointed out, because another user may run one of the same name.

    :raises InputError: when this user runs an instance of that name in another directory
    :raises NotAllowedError: when this user may not look into the uml_dir
    """
    if instances.is_there(task.place) or task.params.get("uml_dir"):
        return task.place
    found = [instance for instance in instances.discover() if instance.place.umid == task.umid and instance.alive]
    own = [instance.place for instance in found if instance.uid == os.geteuid()]
    default = [place for place in own if instances.is_default(place)]
    if not default:
        instances.refuse_elsewhere(own)
    for instance in found:
        if instance.place not in own:
            owner = instances.user_name(instance.uid or 0)
            task.warn(
                f"{owner} runs another instance {task.umid} in {instance.place.uml_dir}; set uml_dir to act on it"
            )
    return default[0] if default else task.place


def probe_place(task: Task) -> Observation:
    """Return what there is of an instance now."""
    found = instances.find_instance(task.place)
    return Observation(found, states.probe(found, task.sockets, task.timeout) if found is not None else ABSENT)


def console_log_of(seen: Observation) -> Optional[str]:
    """Return the file that the instance's console goes to, or None when there is no such file or it cannot be seen."""
    return instance_report.log_of(seen.pid) if seen.pid else None


def boot_line(found: Instance) -> kernel_arg_groups.Words:
    """Return the words that an instance runs with; its kernel is the file, which may have been replaced meanwhile.

    Paths are absolute, as options are, however the instance was started.
    """
    path = instance_report.kernel_path(found) or ""
    script = kernel_script.of(procfs.environ(found.pid or 0))
    kernel = script + _DELETED * path.endswith(_DELETED) if script else path
    cwd = procfs.link(f"/proc/{found.pid}/cwd") or ""
    words = kernel_arg_groups.split([kernel_arg_groups.absolute(word, cwd) for word in found.argv[1:]])
    return {**words, "kernel": [kernel]}
