# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of all tests. They end everything that they start, and check that it has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import ansible, uml, vmhost
from support.paths import TREE

if TYPE_CHECKING:
    from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets

# Before pytest-ansible reads it: with this, `ansible_collections.uml.mconsole` is the checkout.
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(TREE)


def pytest_configure() -> None:
    """Say at once what is missing, instead of failing in every import; let a SIGTERM end fixtures as Ctrl-C does."""
    if not (TREE / "ansible_collections" / "uml" / "mconsole").is_dir():
        pytest.exit(f"the collection tree {TREE} is not there: run tools/setup", returncode=2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def uml_dir() -> Iterator[Path]:
    """Yield an empty uml_dir with a short path: a socket's path has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="uml."))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kernel() -> Path:
    """Return the kernel under test (UML_KERNEL, or the system's)."""
    return uml.kernel_path()


@pytest.fixture
def launch_guest(uml_dir: Path) -> Iterator[Callable[..., uml.Instance]]:
    """Yield `launch_guest(umid, *args, uml_dir=..., **options of uml.launch)`, whose instances end with the test."""
    with contextlib.ExitStack() as stack:

        def launch(umid: str = "guest", *args: str, uml_dir: Path = uml_dir, **options: object) -> uml.Instance:
            instance = uml.launch(umid, uml_dir, *args, **options)
            stack.callback(instance.close)
            return instance

        yield launch


@pytest.fixture
def guest(launch_guest: Callable[..., uml.Instance]) -> uml.Instance:
    """Return a booted instance called `guest`."""
    return launch_guest("guest")


@pytest.fixture(scope="session")
def make_vm_host() -> Iterator[Callable[..., vmhost.VmHost]]:
    """Yield `make_vm_host(user="root", extra_config=())`: one more ssh server, until the end of the run."""
    with contextlib.ExitStack() as stack:

        def make(user: str = "root", extra_config: tuple[str, ...] = ()) -> vmhost.VmHost:
            return stack.enter_context(vmhost.VmHost(user, extra_config))

        yield make


@pytest.fixture(scope="session")
def vm_host(make_vm_host: Callable[..., vmhost.VmHost]) -> vmhost.VmHost:
    """Return the ssh server that lets root in."""
    return make_vm_host()


@pytest.fixture(scope="session")
def make_user() -> Iterator[Callable[..., str]]:
    """Yield `make_user(label, may_become=())`, which returns the full name of a new user."""
    with contextlib.ExitStack() as stack:

        def make(label: str, may_become: tuple[str, ...] = ()) -> str:
            name = vmhost.unique_user(label)
            stack.callback(vmhost.remove_user, name)
            return vmhost.make_user(name, may_become)

        yield make


@pytest.fixture
def ansible_home() -> Iterator[Path]:
    """Yield a home for several runs that share their ssh connections, closed at the end."""
    with tempfile.TemporaryDirectory(prefix="uml.ans.") as folder:
        yield Path(folder)
        ansible.close_connections(Path(folder))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder with a short path, for disk files."""
    with tempfile.TemporaryDirectory(prefix="uml.disk.") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def sockets() -> Iterator[ReplySockets]:
    """Yield the sockets of all tests of a file."""
    from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets

    with contextlib.closing(ReplySockets()) as made:
        made.start()
        yield made


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail the run when a process of a launched instance is still there at its end."""
    yield
    left = uml.leftovers()
    assert not left, f"left behind: {left}"
