# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option of every module with invalid values: each gives an error in one sentence, and none a bug.

The cases are made from the argument specs, so that a new option has its cases as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._arguments import argument_spec
from ansible_collections.uml.mconsole.plugins.module_utils._devices.classes import CLASSES
from ansible_collections.uml.mconsole.plugins.module_utils._devices.raw_options import OPTIONS
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import instances
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.parsing import format_size, parse_size
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from ansible_collections.uml.mconsole.plugins.module_utils._operations import registry
from ansible_collections.uml.mconsole.plugins.module_utils._operations.perform import perform
from support.devices import image
from support.every_module import ROWS, filled
from support.fake import FakeConsole
from support.fake_disks import KernelWithSysfs
from support.run_operation import BadArguments, operate, validated

VALUES: list[Any] = [None, "", " ", [], {}, [None], [""], [{}], {"": None}, {"x": {}}, 0, -1, 10**30, True, "x", "\0"]
VALUES += ["é\r", 1.5, "1e999", "nan", "/", "../x", "~nobody-here/x", "x" * 5000, {"ubd1": {}}, {"con1": {}}]
SENTENCE = re.compile(r"[^\n]{8,}")
A_BUG = re.compile(r"a bug of the collection|\b(Key|Attribute|Type|Value|Index|OS|FileNotFound)Error\b|\[Errno")
OF_CORE = (("instance", "root"), ("job", "root"))  # ansible-core ends with a TypeError for a number in place of these


def cases() -> list[tuple[str, str]]:
    """Return every option of every module, and every option of a dictionary in it."""
    found = []
    for name in registry.NAMES:
        for option, spec in argument_spec(registry.load(name))["argument_spec"].items():
            found.append((name, option))
            found += [(name, f"{option}.{inner}") for inner in spec.get("options", ())]
    found += [("devices", f"config.{device}") for device in DEVICES]
    found += [("instance", f"devices.{device}") for device in DEVICES]
    found += [("devices", f"config.{device}.{option}") for device in DEVICES for option in OPTIONS]
    found += [("instance", f"devices.{device}.{option}") for device in DEVICES for option in OPTIONS]
    return found


DEVICES = ("ubd1", "con1", "ssl1", "vec1", "eth1", "virtio_uml1", "vfio_uml.0000:01:00.0")
VALID = {"ubd1": {"file": "/i"}, "con1": {"channel": "pts"}, "ssl1": {"channel": "pts"}}


@pytest.fixture
def folder(uml_dir: Path) -> Iterator[Path]:
    """Yield a uml_dir with an instance that answers, and the disks that the rows of the modules name."""
    for name in "ab":
        image(uml_dir / name)
    operate("cow", path=f"{uml_dir}/old.cow", backing_file=f"{uml_dir}/b")
    with FakeConsole(uml_dir, kernel=KernelWithSysfs(series="6.1")):
        yield uml_dir


def with_value(params: dict[str, Any], option: str, value: Any) -> dict[str, Any]:
    """Return the parameters with a value in its place, which may be within dictionaries."""
    first, _dot, rest = option.partition(".")
    if not rest:
        return {**params, first: value}
    if first in ("config", "devices"):
        device = next((name for name in DEVICES if rest == name or rest.startswith(f"{name}.")), "")
        inner = rest[len(device) + 1 :]
        return {**params, first: {device: {**VALID.get(device, {}), inner: value} if inner else value}}
    if first == "patterns":
        return {**params, first: [{"name": "n", "regex": "r", rest: value}]}
    return {**params, first: {"initrd": "/i", rest: value}}


def test_every_class_of_devices_has_cases() -> None:
    assert {re.sub(r"\d+$|\..*", "", name) for name in DEVICES} == set(CLASSES)


@pytest.mark.parametrize(("name", "option"), cases(), ids=str)
def test_a_value_that_nobody_means_gets_a_sentence(name: str, option: str, folder: Path, sockets: ReplySockets) -> None:
    """In check mode, which reads and validates as a real run does and starts nothing."""
    where = {"umid": "fake", "uml_dir": str(folder), "timeout": 0.5}
    more = {"wait_timeout": 0, "kernel": "/bin/true"} if name == "instance" else {}
    base = {**where, **more, **filled(ROWS[name][0], str(folder))}
    for value in VALUES:
        try:
            params = validated(name, with_value(base, option, value))
        except BadArguments:
            continue  # Ansible itself has said what is wrong
        except TypeError:
            assert (name, option) in OF_CORE
            continue
        if name == "instance":
            params = {**params, "umid": params.get("umid") if option == "umid" else "new", "notify": ""}
        result = perform(registry.load(name), params, True, sockets)
        said = str(result.get("msg", "ok, as it is"))
        assert SENTENCE.fullmatch(said), (value, said)
        assert not A_BUG.search(said), (value, said)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("64MB", 64 << 20),
        (" 64 MiB ", 64 << 20),
        ("1T", 1 << 40),
        ("1.5G", 3 << 29),
        ("0x8000000", 128 << 20),
        ("4096", 4096),
        ("512 bytes", 512),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["", "M", "x", "-1M", "1 X", "64iB", "1,5G", "9" * 40, "\u0661M", "inf", "nan"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"memory: .* is not a size; expected a number with K, M, G or T, such as 96M"):
        parse_size(text, "memory")


PATHS = [
    ("cow", {"path": "x.cow"}, "path"),
    ("cow", {"path": "/x.cow", "backing_file": "x.img"}, "backing_file"),
    ("cow", {"path": "{folder}/old.cow", "state": "merged", "dest": "x"}, "dest"),
    ("disk_backup", {"dest": "x"}, "dest"),
    ("event_info", {"journal_dir": "x"}, "journal_dir"),
    ("event_wait", {"journal_dir": "x"}, "journal_dir"),
    ("collector", {"journal_dir": "x"}, "journal_dir"),
    ("collector", {"uml_dirs": ["x"]}, "uml_dirs"),
    ("instance", {"console_log": "x"}, "console_log"),
    ("instance", {"memory_dir": "x"}, "memory_dir"),
    ("instance_info", {"uml_dir": "x"}, "uml_dir"),
    ("request", {"uml_dir": "x", "command": "version"}, "uml_dir"),
    ("event_info", {"uml_dir": "x"}, "uml_dir"),
]


@pytest.mark.parametrize(
    ("name", "params", "option"), PATHS, ids=[f"{name} {option}" for name, _params, option in PATHS]
)
def test_a_relative_path_is_refused(name: str, params: dict[str, Any], option: str, folder: Path) -> None:
    """It would mean one place in an ordinary task, and another one over the connection to an instance."""
    result = operate(name, True, **{"umid": "fake", "uml_dir": str(folder), **filled(params, str(folder))})
    assert result["failed"]
    assert re.search(rf"{option} '\S+' is a relative path; expected an absolute one", result["msg"]), result["msg"]


@pytest.mark.parametrize("name", [name for name in registry.NAMES if registry.load(name).SCOPE != "host"])
def test_a_uml_dir_that_is_a_file_is_one_sentence(name: str, folder: Path) -> None:
    for check in (True, False):
        params = {"umid": "fake", **filled(ROWS[name][0], str(folder)), "uml_dir": str(folder / "a")}
        result = operate(name, check, **params)
        said = f"uml_dir {folder}/a is not a directory; expected the directory that holds UMID/mconsole"
        assert (result.get("failed"), result["msg"]) == (True, said)


@pytest.mark.parametrize(
    ("umid", "said"),
    [
        ("web*", "umid 'web*' is a pattern; expected the name of one instance; for a pattern, use umids"),
        ("web[1]", "umid 'web[1]' is a pattern; expected the name of one instance; for a pattern, use umids"),
        ("web1\r", "the umid 'web1\\r' contains a control character; expected a plain name"),
    ],
)
@pytest.mark.parametrize("name", ["instance", "device", "instance_info", "event_info"])
def test_a_umid_that_is_hardly_meant_is_refused(name: str, umid: str, said: str, folder: Path) -> None:
    params = {**filled(ROWS[name][0], str(folder)), "umid": umid, "uml_dir": str(folder)}
    result = operate(name, False, **params)
    assert (result.get("failed"), result["msg"]) == (True, said)


def test_an_instance_that_has_such_a_name_is_still_managed(uml_dir: Path) -> None:
    """A user may have started it by hand."""
    with FakeConsole(uml_dir, "web[1]"):
        assert "failed" not in operate("request", umid="web[1]", uml_dir=str(uml_dir), command="version")


CHANGING = ["device", "devices", "disk_backup", "kernel_log", "memory", "sysrq"]


@pytest.fixture
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Yield an instance that is not in the default directory, and is found without uml_dir."""
    there = instances.discover([str(folder)])
    monkeypatch.setattr(instances, "discover", lambda uml_dirs=None: there if uml_dirs is None else [])
    monkeypatch.setattr(instances, "default_uml_dir", lambda: "/home/me/.uml")
    return folder


@pytest.mark.parametrize("name", CHANGING)
def test_a_task_without_uml_dir_changes_nothing_in_another_directory(name: str, elsewhere: Path) -> None:
    """Two labs of one user have an instance of the same name, and a play forgets to say which."""
    said = (
        f"fake is not in the default directory /home/me/.uml but in {elsewhere}; set uml_dir, or ansible_uml_dir of an"
        " instance host, to change it there"
    )
    for check in (True, False):
        result = operate(name, check, umid="fake", **filled(ROWS[name][0], str(elsewhere)))
        assert (result.get("failed"), result["msg"]) == (True, said)
    together = operate(name, umids=["fak*"], **filled(ROWS[name][0], str(elsewhere)))
    assert (together["changed"], together["instances"]) == (False, {})
    assert f"without uml_dir they are left out: {elsewhere}/fake" in together["warnings"][0]


def test_a_task_without_uml_dir_reads_in_every_directory(elsewhere: Path) -> None:
    assert "failed" not in operate("request", umid="fake", command="version")
    refused = operate("request", umid="fake", commands=["version", "config con5=pts"])
    assert "is not in the default directory" in refused["msg"]
    assert "fake" in operate("proc_info", umids=["fak*"], paths=["uptime"])["instances"]
