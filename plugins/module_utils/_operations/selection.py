# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The instances of a VM host that a task about all of them selects, by umid, umids and uml_dir."""

from __future__ import annotations

import fnmatch
import os
from typing import Any, Dict, List, Optional

from .._mconsole import instances
from .._mconsole.errors import NotAllowedError
from .._mconsole.instances import Instance
from .._task.task import Task


def selected(task: Task) -> List[Instance]:
    """Return what one look at the VM host shows, sorted by name.

    :raises NotAllowedError: when this user may not look into the uml_dir
    """
    return [instance for instance in instances.discover(_uml_dirs(task)) if _is_wanted(instance, task.params)]


def _uml_dirs(task: Task) -> Optional[List[str]]:
    """Return the one directory to look in, or None for all.

    :raises NotAllowedError: when this user may not look into it
    """
    if not task.params.get("uml_dir"):
        return None
    uml_dir = instances.absolute(task.params["uml_dir"])
    if not os.path.isdir(uml_dir):
        task.warn(f"the uml_dir {uml_dir} is not there")
    elif not os.access(uml_dir, os.R_OK | os.X_OK):
        owner = instances.owner_of(uml_dir)
        raise NotAllowedError(f"not allowed to look into {uml_dir}, which belongs to {owner}", uml_dir=uml_dir)
    return [uml_dir]


def _is_wanted(instance: Instance, params: Dict[str, Any]) -> bool:
    umid = instance.place.umid
    if params.get("umid"):
        return bool(umid == params["umid"])
    globs = params.get("umids")
    return globs is None or any(fnmatch.fnmatchcase(umid, glob) for glob in globs)
