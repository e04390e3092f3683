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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ansible

OWNED = "/tmp/uml-owned-{}"


@pytest.fixture
def owned() -> Iterator[Path]:
    """Return a file that is only there when somebody obeyed."""
    path = Path(OWNED.format(os.getpid()))
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def hostile_client(folder: Path, result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lend the variables of an instance whose VM host runs a client of its own making, with one answer to all."""
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
