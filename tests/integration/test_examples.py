# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A separate user runs the commands of the guides and the README in order; the output is what the pages show.

So are the examples of modules and other plugins, and those of roles.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support import amx, ansible, documents, guest
from support.documents import Block
from support.paths import CHECKOUT, TREE
from support.vmhost import VmHost
from support.wait import wait_until

GUIDES = {path.stem: path for path in documents.guides()}
LAB = GUIDES["guide_first_lab"]
NOBODY = "Host vm3.example.org\n  HostName 127.0.0.1\n  Port 1\n"
SSH_FOR_ALL = "Host *\n  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
NUMBER = itertools.count(1)
ON_THE_LAB = [
    "guide_existing",
    "guide_reconfigure",
    "guide_adopting",
    "guide_events",
    "guide_watching",
    "guide_uml_mconsole",
    "guide_elsewhere",
]
LIMIT = 120  # seconds for one block


class Reader:
    """A user who does what a document says, in its own home and among no processes but its own."""

    def __init__(self, name: str, world: int) -> None:
        self.name = name
        self.world = world  # the first process of a PID namespace
        self.home = Path(pwd.getpwnam(name).pw_dir)
        self.environment = {
            "HOME": str(self.home),
            "USER": name,
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            **amx.by_hand(),  # one guide starts a kernel by hand
        }

    def write(self, name: str, text: str) -> None:
        """Write a file of the document."""
        path = self.home / name
        path.write_text(text)
        shutil.chown(path, self.name)

    def know(self, **vm_hosts: VmHost) -> None:
        """Let ssh find VM hosts as NAME.example.org, and nothing as vm3.example.org."""
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700)
        entries = [_ssh_entry(name, host.port, host.user, folder / name) for name, host in vm_hosts.items()]
        for name, host in vm_hosts.items():
            (folder / name).write_bytes(host.key.read_bytes())
            (folder / name).chmod(0o600)
        (folder / "config").write_text("\n".join([*entries, NOBODY, SSH_FOR_ALL]))
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, self.name)

    def run(self, script: str, where: object, limit: float = LIMIT) -> str:
        """Run the commands of a block until the first that fails, and return all that they print."""
        enter = ["nsenter", f"--target={self.world}", "--pid", "--mount"]
        user = ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups"]
        done = subprocess.run(
            [*enter, *user, "bash", "-euo", "pipefail"],
            input=f"cd; {script}",
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
        assert done.returncode == 0, f"{where}: status {done.returncode}\n{script}\n{done.stdout}"
        return done.stdout

    def follow(self, blocks: list[Block]) -> None:
        """Do what the blocks say, and compare what is printed with what they show."""
        output = None
        for block in filter(lambda block: block.run, blocks):
            if block.name:
                self.write(block.name, block.text)
            elif block.language in ("shell", "sh"):
                output = self.run(block.text, block)
            elif block.language == "text":
                assert output is not None, f"{block}: nothing was run that could print this"
                missing = documents.said(block.text, output)
                assert not missing, f"{block}: no line such as {missing!r} in:\n{output}"
        assert output is not None, f"nothing to run in {blocks[0].document}"


def _ssh_entry(name: str, port: int, user: str, key: Path) -> str:
    return f"Host {name}.example.org\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {key}\n"


@pytest.fixture
def world() -> Iterator[int]:
    """Yield the first process of a PID namespace; with it all of them end, and others' instances are not seen."""
    command = ["unshare", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child", "sleep", "infinity"]
    with subprocess.Popen(command) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        try:
            yield wait_until(lambda: int(children.read_text() or 0), 60, "a PID namespace")
        finally:
            parent.kill()


@pytest.fixture
def reader(make_user: Callable[..., str], world: int) -> Reader:
    """Return a new reader."""
    return Reader(make_user(f"reader{next(NUMBER)}"), world)


@pytest.fixture
def lab(reader: Reader) -> Reader:
    """Yield a reader with the three instances and the inventory of the first lab."""
    reader.run("ansible-playbook uml.mconsole.demo -e demo_target=localhost", "the lab")
    (inventory,) = [block for block in documents.blocks(LAB) if block.name == "lab.uml.yml"]
    reader.write(inventory.name, inventory.text)
    return reader


def test_the_first_steps_of_the_readme(reader: Reader) -> None:
    steps = [block for block in documents.blocks(documents.README) if block.section == "First steps"]
    reader.follow(steps)


def test_the_first_lab(reader: Reader) -> None:
    reader.follow(documents.blocks(LAB))


@pytest.mark.parametrize("guide", ON_THE_LAB)
def test_a_guide(lab: Reader, guide: str) -> None:
    lab.follow(documents.blocks(GUIDES[guide]))


def test_the_guide_to_many_hosts(reader: Reader, make_user: Callable[..., str]) -> None:
    with VmHost(make_user("vm1")) as one, VmHost(make_user("vm2")) as two:
        reader.know(vm1=one, vm2=two)
        reader.follow(documents.blocks(GUIDES["guide_many_hosts"]))


# The examples of modules

# In this order, each finds what it is about. What `/srv` is to a reader of the documentation is a folder of the test's.
WITH_A_COLLECTOR = ["collector", "=collect", "instance", "=go on", "event_info", "event_wait", "disk_backup"]
ON_REAL_DISKS = [
    "instance_info",
    "console_log_info",
    "instance_facts",
    "proc_info",
    "stack_info",
    "kernel_log",
    "memory",
]
ON_SMALL_ONES = ["=anew", "request", "=again", "device", "devices", "cow", "sysrq"]
STORY = [*WITH_A_COLLECTOR, *ON_REAL_DISKS, *ON_SMALL_ONES]
SMALL = {"umids": ["web1", "web2"], "memory": "128M", "root": {"initrd": str(guest.initrd())}}
UNTRIED = ["image", "job", "snapshot", "snapshot_info"]
BETWEEN = {
    "=collect": [{"uml.mconsole.collector": None}],
    "=go on": [{"uml.mconsole.instance": {"umids": ["web*"], "state": "running"}}],
    "=anew": [
        {"uml.mconsole.collector": {"state": "stopped"}},
        {"uml.mconsole.instance": {"umids": ["*"], "state": "absent", "stop_methods": ["kill"]}},
        {"uml.mconsole.instance": SMALL},
    ],
    # A kernel says OK to `reboot` before it does, and would still be found running.
    "=again": [
        {"uml.mconsole.instance": {"umids": ["*"], "state": "absent", "stop_methods": ["kill"]}},
        {"uml.mconsole.instance": {**SMALL, "wait_for": "log", "wait_pattern": "guest is up"}},
    ],
}
NOT_EXAMPLES = {"uml.mconsole.collector", "uml.mconsole.instance", "Gathering Facts"}
# What the other examples do not leave as it was is what they are for.
CHANGE_NOTHING = {
    "See what is covered",
    "End a scratch instance at once",
    "Show errors since midnight",
    "Continue where the last task ended",
    "Read the end of the journal",
    "Wait until the guest reports that it is ready",
    "List the instances",
    "Show instances that need attention",
    "Show the last warnings of all kernels",
    "Read what web servers printed after that",
    "Gather the usual facts",
    "Show some of the facts",
    "Gather all facts, also of interfaces that are down",
    "Compare the kernels of all instances",
    "Show the disks",
    "Read two files of the guest",
    "Read the stacks of init and kthreadd",
    "Ask which kernel runs",
    "Query the first disks of all web servers",
    "Show how much an instance has written",
    "Show how the guest uses its memory",
}
FOLDERS = "mkdir -p srv/images srv/uml srv/backup srv/web1 srv/web2 srv/web3"
DISKS = "truncate -s 4M srv/web1/scratch.img srv/web1/data.img srv/web2/data.img srv/web3/data.img"
HOSTS = {
    "localhost": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"},
    "web1": {
        "ansible_connection": "uml.mconsole.mconsole",
        "ansible_uml_transport": "local",
        "ansible_facts_modules": "uml.mconsole.instance_facts",
    },
}
INVENTORY = {
    "vm_hosts": {"hosts": {"localhost": HOSTS["localhost"]}},
    "instances": {"hosts": {"web1": HOSTS["web1"]}},
}


@pytest.fixture
def tap(reader: Reader) -> Iterator[str]:
    """Yield a tap that belongs to the reader."""
    name = f"umlx{os.getpid()}"
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap", "user", reader.name], check=True)
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


def plays(step: str, words: dict[str, str]) -> list[dict[str, object]]:
    """Return the plays of a step: the examples of a module with some of its own words, or what lies between."""
    if step in BETWEEN:
        return [{"hosts": "localhost", "gather_facts": False, "tasks": BETWEEN[step]}]
    listed = yaml.safe_load(spoken(f"modules/{step}", words))
    tasks = [each for each in listed if "hosts" not in each]
    alone = [each for each in listed if "hosts" in each]
    return [{"name": step, "hosts": "localhost", "gather_facts": False, "tasks": tasks}, *alone]


def results(reader: Reader, playbook: object, where: str) -> list[ansible.TaskResult]:
    """Run plays as the reader and return what each task came to."""
    reader.write("hosts.yml", yaml.safe_dump(INVENTORY))
    reader.write("play.yml", yaml.safe_dump(playbook, sort_keys=False))
    reader.write("results", "")
    reader.environment |= {
        "ANSIBLE_CALLBACK_PLUGINS": str(ansible.CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "umlt_json",
        "UMLT_RESULTS": str(reader.home / "results"),
    }
    reader.run("ansible-playbook -i hosts.yml play.yml", where, limit=5 * LIMIT)
    return [ansible.TaskResult(**json.loads(line)) for line in (reader.home / "results").read_text().splitlines()]


def test_the_examples_of_modules(reader: Reader, tap: str) -> None:
    assert sorted([*(step for step in STORY if step not in BETWEEN), *UNTRIED]) == sorted(  # see docs/inclusion.md
        path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py")
    )
    words = {"/srv/": f"{reader.home}/srv/", "tap-web1": tap, "^ready": "^up"}
    image = guest.root_image()
    reader.run(f"{FOLDERS}; {DISKS}; cp {image} srv/images/bookworm.img; cp {image} srv/uml/debian.img", "the disks")
    reader.run("cp /usr/bin/linux.uml srv/uml/linux-next", "the other kernel")
    done = results(reader, [play for step in STORY for play in plays(step, words)], "the examples")
    answers = {each.task: each.changed for each in done if each.task not in NOT_EXAMPLES}
    assert {task for task, changed in answers.items() if not changed} == CHANGE_NOTHING
    assert len(answers) > 2 * len(CHANGE_NOTHING)


# The examples of other plugins

FOUND = ["web1", "web1.vm1", "db1", "kernel_", "web2"]  # what each of the inventories shows, among others


def test_the_examples_of_the_inventory_and_of_the_lookup(reader: Reader, make_user: Callable[..., str]) -> None:
    inside = ["nsenter", f"--target={reader.world}", "--pid", "--mount"]  # where no other instances are seen
    with VmHost(make_user("vm1"), inside=inside) as one, VmHost(make_user("vm2"), inside=inside) as two:
        reader.know(vm1=one, vm2=two)
        words = {"192.0.2.1": "vm1.example.org", "192.0.2.2": "vm2.example.org", "/usr/local/lib": str(reader.home)}
        words |= {"ansible_user: root": f"ansible_user: {one.user}", "ansible_user: ops": f"ansible_user: {two.user}"}
        words["ansible_become: true"] = "ansible_become: false"
        reader.run("ansible-playbook -i vm1.example.org, uml.mconsole.demo", "the lab")
        reader.write("hosts.yml", yaml.safe_dump({"vm_hosts": {"hosts": {"vm1.example.org": None}}}))
        inventories = spoken("inventory/instances", words).split("\n---\n")
        assert len(inventories) == len(FOUND)
        for text, found in zip(inventories, FOUND, strict=True):
            reader.write("fleet.uml.yml", text)
            shown = reader.run("ansible-inventory -i hosts.yml -i fleet.uml.yml --graph", text)
            assert found in shown
            assert "WARNING" not in shown
    results(reader, [{"hosts": "localhost", "tasks": yaml.safe_load(spoken("lookup/program", words))}], "the lookup")
    assert (reader.home / "uml-mconsole.py").stat().st_size > LIMIT


def spoken(plugin: str, words: dict[str, str]) -> str:
    """Return the examples of a plugin with some of its own words."""
    text = documents.examples(CHECKOUT / "plugins" / f"{plugin}.py")
    for old, new in words.items():
        text = text.replace(old, new)
    return text


# The examples of roles, and those of the README that come after the first steps


def test_the_examples_of_roles(reader: Reader) -> None:
    reader.run("mkdir -p srv/disks srv/images; truncate -s 4M srv/disks/web2.img", "the disks")
    done: list[ansible.TaskResult] = []
    for document in ("roles/guest/README.md", "roles/instances/README.md", "roles/monitor/README.md", "README.md"):
        for block in documents.blocks(CHECKOUT / document):
            if block.language == "yaml" and "hosts: vm_hosts" in block.text:
                text = block.text.replace("/srv/", f"{reader.home}/srv/").replace("become: true", "become: false")
                done += results(reader, yaml.safe_load(text), str(block))
    # A guest is built, a directory of COW files made, instances start, a collector starts and gets other patterns.
    assert sum(each.changed for each in done) == 5
    assert next(reversed(done)).result["collecting"]
