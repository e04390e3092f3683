# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that travels to a VM host: whole, importable, named by what it holds."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

from ansible_collections.uml.mconsole.plugins.plugin_utils import _program


def run(order: dict[str, object], python: str = sys.executable) -> dict[str, object]:
    """Return the program's answer to an order, run as a VM host runs it."""
    done = subprocess.run(
        [python, "-I", "-c", _program.STUB], input=_program.program(order), capture_output=True, check=True, timeout=60
    )
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_program_answers_without_the_collection_or_ansible() -> None:
    answer = run({"mode": "once", "operation": "nonsense", "params": {}})
    assert answer["result"]["error"]["kind"] == "input"
    assert "no operation 'nonsense'" in answer["result"]["msg"]


def test_an_order_it_cannot_read_is_told_as_a_fault() -> None:
    answer = run({"mode": "once", "kind": "nonsense"})
    assert "KeyError" in answer["fault"]


def test_every_module_of_the_layers_is_packed() -> None:
    source = pathlib.Path(_program.__file__).parent.parent / "module_utils"
    stems = {f"{_program.PACKAGE}.{layer}" for layer in _program.LAYERS} | {_program.PACKAGE}
    for layer in _program.LAYERS:
        stems |= {
            f"{_program.PACKAGE}.{layer}.{path.stem}"
            for path in (source / layer).glob("*.py")
            if path.stem != "__init__"
        }
    assert set(_program.sources()) == stems


def test_an_old_python_is_told_so() -> None:
    stub = _program.STUB.replace("(3,8)", "(99,0)")
    done = subprocess.run([sys.executable, "-c", stub], input=b"", capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert b"Python 3.8 or later is needed" in done.stderr


def test_the_stubs_survive_any_login_shell() -> None:
    """No newline and no exclamation mark: csh would take either apart even inside quotes."""
    for stub in (_program.STUB, _program.LISTENING_STUB):
        assert "\n" not in stub
        assert "!" not in stub
