# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guests, and VM hosts, would like others to obey: in plays, in the inventory, on terminals and in file names."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible, uml
from support.vmhost import VmHost

OWNED = "/tmp/uml-owned-{}"


@pytest.fixture
def owned() -> Iterator[Path]:
    """Return a file that exists only if a program obeyed the guest."""
    path = Path(OWNED.format(os.getpid()))
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def hostile_client(folder: Path, result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the variables of an instance whose VM host runs its own client making, with one answer to all."""
    path, python = folder / "s", folder / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps({'socket': str(path)})}'\n")
    python.chmod(0o755)
    said = b"".join(json.dumps(each).encode() + b"\n" for each in ({"code": "x"}, {"result": result}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_answer_all, args=(listener, said), daemon=True)
        thread.start()
        yield {
            "ansible_connection": "uml.mconsole.mconsole",
            "ansible_uml_transport": "local",
            "ansible_python_interpreter": str(python),
        }
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def _answer_all(listener: socket.socket, said: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _address = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(said)
                connection.recv(1 << 16)


def test_a_vm_host_cannot_change_the_inventory(tmp_path: Path, owned: Path) -> None:
    """Core takes these keys from the result of any action; of a module it takes them out."""
    template = f"{{{{ lookup('pipe', 'touch {owned}') }}}}"
    evil = {"ansible_connection": "local", "ansible_ssh_common_args": f"-o ProxyCommand='touch {owned}'"}
    result = {
        "changed": False,
        "add_host": {"host_name": "bystander", "groups": ["taken"], "host_vars": evil},
        "add_group": "taken",
        "_ansible_no_log": True,
        "ansible_facts": {"discovered_interpreter_python": "/evil", **evil},
        "stdout": template,
    }
    play = {
        "hosts": "liar",
        "gather_facts": False,
        "tasks": [
            {"name": "Ask", "uml.mconsole.request": {"command": "version"}, "register": "said"},
            {"name": "Use", "ansible.builtin.debug": {"msg": "{{ said.stdout ~ said.stdout }}"}},
            {
                "name": "Look",
                "ansible.builtin.debug": {"msg": "{{ [groups.taken | default('no'), theirs, ansible_connection] }}"},
                "vars": {"theirs": "{{ hostvars.bystander.ansible_connection }}"},
            },
        ],
    }
    with hostile_client(tmp_path, result) as variables:
        run = ansible.run_playbook([play], {"liar": variables, "bystander": {"ansible_connection": "ssh"}}).ok()
    assert run.result("liar", "Look")["msg"] == ["no", "ssh", "uml.mconsole.mconsole"]
    assert run.result("liar", "Use")["msg"] == template * 2
    assert "add_host" not in run.result("liar", "Ask")
    assert not owned.exists()


# A real guest that is up to no good.

NAMES = "{{ lookup('pipe','touch $path') }} {% raw %} \x1b]0;title\x07\x1b[31mred\x9b2J\u202e"
SEEN = set("\x1b\x07\x9b\u202e")


@pytest.fixture
def evil(launch_guest: Callable[..., uml.Instance], owned: Path) -> uml.Instance:
    """Return an instance whose root has named itself, and written to its console, what others should obey."""
    guest = launch_guest("evil")
    text = NAMES.replace("$path", str(owned))
    (guest.agent / "name").write_text(text[:64])  # a longer one is not a name
    (guest.agent / "text").write_bytes(text.encode() + b"\xff\n")
    guest.guest('hostname "$(cat /agent/name)"; cat /agent/text > /dev/console; cat /agent/text > /dev/kmsg')
    return guest


@pytest.fixture
def inventory(vm_host: VmHost, evil: uml.Instance) -> dict[str, dict[str, Any]]:
    """Return that instance, and a VM host."""
    reach = {**vm_host.inventory_vars(), "ansible_uml_dir": str(evil.uml_dir)}
    facts = {"ansible_facts_modules": "uml.mconsole.instance_facts"}
    return {"evil": {**reach, **facts, "ansible_connection": "uml.mconsole.mconsole"}, "vm1": reach}


def test_a_report_of_an_evil_guest_can_be_read(
    inventory: dict[str, dict[str, Any]], owned: Path, tmp_path: Path, ansible_home: Path
) -> None:
    words = [f"crash_report_directory={tmp_path}", "crash_report_umid=evil"]
    more = [word for each in words for word in ("-e", each)]
    run = ansible.run_playbook("uml.mconsole.crash_report", inventory, home=ansible_home, extra_args=more).ok()
    (report,) = tmp_path.iterdir()
    assert report.name.startswith("evil-2")
    texts = {path.name: path.read_text() for path in report.iterdir()}
    assert "lookup('pipe'" in texts["console.txt"] + texts["facts.json"]
    assert not set("".join([*texts.values(), run.stdout, run.stderr])) & SEEN
    assert not owned.exists()


def test_a_umid_that_is_a_pattern_names_nobody(
    inventory: dict[str, dict[str, Any]], tmp_path: Path, ansible_home: Path
) -> None:
    """A user may have an instance called so, and have it crash."""
    more = ["-e", f"crash_report_directory={tmp_path}", "-e", '{"crash_report_umid": "*"}']
    run = ansible.run_playbook("uml.mconsole.crash_report", inventory, home=ansible_home, extra_args=more)
    assert run.result("evil", "Look whether anything was reported")["msg"].startswith("no instance * in the inventory")
    assert not list(tmp_path.iterdir())


def test_a_prompt_shows_what_a_guest_says_and_does_not_obey(
    inventory: dict[str, dict[str, Any]], owned: Path, ansible_home: Path
) -> None:
    run = ansible.adhoc("evil", "ansible.builtin.raw", "version", inventory, home=ansible_home).ok()
    assert "lookup('pipe'" in run.stdout
    assert not set(run.stdout + run.stderr) & SEEN
    play = {
        "hosts": "evil",
        "gather_facts": True,
        "vars": {"said": "{{ ansible_facts.nodename }}"},
        "tasks": [
            {"name": "Say", "ansible.builtin.debug": {"msg": "{{ ansible_facts.hostname ~ said }}"}},
            {"name": "Keep", "ansible.builtin.set_fact": {"kept": "{{ said ~ said }}"}},
            {"name": "Use", "ansible.builtin.debug": {"msg": "{{ kept }}"}},
        ],
    }
    run = ansible.run_playbook([play], inventory, home=ansible_home).ok()
    assert "lookup('pipe'" in run.result("evil", "Use")["msg"]
    assert not owned.exists()
