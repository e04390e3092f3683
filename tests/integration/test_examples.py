# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides and the README say is done, in its order, by a user of its own; what they show is what is printed."""

from __future__ import annotations

import itertools
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import documents
from support.documents import Block
from support.paths import TREE
from support.vmhost import VmHost
from support.wait import wait_until

GUIDES = {path.stem: path for path in documents.guides()}
LAB = GUIDES["guide_first_lab"]
NOBODY = "Host vm3.example.org\n  HostName 127.0.0.1\n  Port 1\n"
SSH_FOR_ALL = "Host *\n  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
NUMBER = itertools.count(1)
ON_THE_LAB = ["guide_existing", "guide_reconfigure", "guide_events", "guide_uml_mconsole", "guide_elsewhere"]
LIMIT = 120  # seconds for one block


class Reader:
    """A user who does what a document says, in a home of its own and among no processes but its own."""

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
        }

    def write(self, name: str, text: str) -> None:
        """Write a file of the document."""
        path = self.home / name
        path.write_text(text)
        shutil.chown(path, self.name)

    def know(self, **vm_hosts: VmHost) -> None:
        """Let ssh find VM hosts as NAME.example.org, and nobody as vm3.example.org."""
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700)
        entries = [_ssh_entry(name, host.port, host.user, folder / name) for name, host in vm_hosts.items()]
        for name, host in vm_hosts.items():
            (folder / name).write_bytes(host.key.read_bytes())
            (folder / name).chmod(0o600)
        (folder / "config").write_text("\n".join([*entries, NOBODY, SSH_FOR_ALL]))
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, self.name)

    def run(self, script: str, where: object) -> str:
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
            timeout=LIMIT,
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
    """Lend the first process of a PID namespace; with it all of them end, and others' instances are not seen."""
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
    """Lend a reader with the three instances and the inventory of the first lab."""
    reader.run("ansible-playbook -i localhost, -c local uml.mconsole.demo", "the lab")
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
