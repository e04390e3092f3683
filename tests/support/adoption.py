# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks adopt, fleet and drift on one VM host, and what must be so of what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from support import ansible
from support.vmhost import VmHost


class Unsafe(yaml.SafeLoader):
    """Reads what Ansible does not template."""


Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


class Adoption:
    """The playbooks with the adopted file, once there is one."""

    def __init__(self, vm_host: VmHost, home: Path, folder: Path) -> None:
        self._hosts, self._home, self.folder = {"vm1": vm_host.inventory_vars()}, home, folder
        self.file = folder / "host_vars" / "vm1" / "instances.yml"

    def run(self, name: str, *words: str, **options: Any) -> ansible.Result:
        """Run a playbook."""
        own = ["-e", f"adopt_dest={self.folder / 'host_vars'}"] if name == "adopt" else []
        declared = ["-e", f"@{self.file}"] if self.file.exists() and name != "adopt" else []
        return ansible.run_playbook(
            f"uml.mconsole.{name}", self._hosts, home=self._home, extra_args=[*declared, *words, *own], **options
        )

    def check_nothing_changes(self, umids: set[str]) -> dict[str, Any]:
        """Adopt, and prove that the declaration of these instances changes nothing."""
        self.run("adopt").ok()
        text = self.file.read_text()
        declared = yaml.load(text, Unsafe)
        assert {row["umid"] for row in declared["instances_fleet"]} >= umids, text
        declared["instances_fleet"] = [row for row in declared["instances_fleet"] if row["umid"] in umids]
        self.file.write_text(yaml.safe_dump(declared))  # without the instances of tests beside this one
        run = self.run("fleet", check=True, diff=True).ok()
        changed = [(task.task, task.result) for task in run.tasks if task.changed]
        assert changed == [], f"{changed}\n{text}"
        assert "runs otherwise than declared:" not in str(run), f"{run}\n{text}"
        return {**declared, "text": text}

    def drift(self, *words: str) -> tuple[int, set[tuple[str, str, str]]]:
        """Return the exit status, and what drifted: (instance, kind, option)."""
        report = self.folder / "drift.json"
        run = self.run("drift", "-e", "drift_format=json", "-e", f"drift_dest={report}", *words)
        assert report.exists(), run
        return run.rc, {(row["umid"], row["kind"], row["option"]) for row in json.loads(report.read_text())}
