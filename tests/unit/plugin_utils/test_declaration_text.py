# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From instances to a short declaration of them, in YAML."""

from __future__ import annotations

from typing import Any

import yaml

from ansible_collections.uml.mconsole.plugins.plugin_utils import _declaration


def row(umid: str, notes: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    found = {"options": {"supervisor": "none", **options}, "notes": list(notes)}
    return {"umid": umid, "uml_dir": "/run/uml", "state": "running", "started": 1, "declaration": found}


def read(text: str) -> dict[str, Any]:
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("!unsafe", lambda loader, node: ("unsafe", node.value))
    return yaml.load(text, loader)


def test_what_instances_share_is_written_once_with_the_umid_in_its_place() -> None:
    memories = {"a": "96M", "b": "64M", "c": "96M"}
    rows = [row(name, memory=size, root={"cow": f"/d/{name}.cow", "image": "/i"}) for name, size in memories.items()]
    assert read(_declaration.text(rows)) == {
        "instances_uml_dir": "/run/uml",
        "instances_supervisor": "none",
        "instances_defaults": {"memory": "96M", "root": {"cow": "/d/{umid}.cow", "image": "/i"}},
        "instances_fleet": [{"umid": "a"}, {"umid": "b", "memory": "64M"}, {"umid": "c"}],
    }


def test_an_option_that_one_instance_lacks_is_not_a_default() -> None:
    found = read(_declaration.text([row("a", memory="96M"), row("b", memory="96M"), row("c")]))
    assert "instances_defaults" not in found
    assert found["instances_fleet"][2] == {"umid": "c"}


def test_a_directory_of_many_files_is_a_variable() -> None:
    found = read(_declaration.text([row("a", devices={f"ubd{unit}": f"/d/{unit}.img" for unit in (1, 2, 3)})]))
    assert found["instances_files_dir"] == "/d"
    assert found["instances_fleet"][0]["devices"]["ubd2"] == "{{ instances_files_dir }}/2.img"


def test_text_of_a_vm_host_is_never_a_template_and_never_a_line_of_its_own() -> None:
    odd = "/d/{{ lookup('pipe', 'id') }}"
    found = _declaration.text([row("007", notes=("a\nevil: 1",), console_log=odd, kernel_args={"x": "{% y %}"})])
    assert read(found)["instances_fleet"] == [
        {"umid": "007", "kernel_args": {"x": ("unsafe", "{% y %}")}, "console_log": ("unsafe", odd)}
    ]
    assert "  # a?evil: 1\n" in found


def test_what_has_ended_or_hangs_is_a_comment() -> None:
    rows = [row("a") | {"state": "hung", "state_reason": "it is stopped"}, {**row("b"), "state": "stale"}]
    found = _declaration.text(rows)
    assert read(found) == {"instances_fleet": []}
    assert "# Not declared: a in /run/uml is hung; it is stopped\n" in found
